"""What params.yaml may hold, as frozen dataclasses without defaults: whatever a result depends on is declared."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, fields
from math import fsum, inf, isclose
from typing import Annotated, Any, Literal

import pydantic
from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from gan_core.config.bounds import Scheduled, Seed, Share, Strength
from gan_core.config.places import WARM
from gan_core.core.feature_names import Asked

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, config=STRICT)
class Digits:
    """The 8x8 handwritten digits of scikit-learn."""

    source: Literal["digits"]
    heldout: Share


@dataclass(frozen=True, config=STRICT)
class Ring:
    """Gaussians on the unit circle."""

    source: Literal["ring"]
    modes: Annotated[int, Field(ge=2)]
    std: PositiveFloat
    count: PositiveInt
    seed: Seed
    heldout: Share


@dataclass(frozen=True, config=STRICT)
class Grid:
    """Gaussians on a square grid of spacing 2."""

    source: Literal["grid"]
    side: Annotated[int, Field(ge=2)]
    std: PositiveFloat
    count: PositiveInt
    seed: Seed
    heldout: Share


@dataclass(frozen=True, config=STRICT)
class Mixture:
    """A mixture of Gaussians on the line; component k has the k-th weight, mean and standard deviation."""

    source: Literal["mixture"]
    weights: Annotated[list[PositiveFloat], Field(min_length=1)]
    means: list[float]
    stds: list[PositiveFloat]
    count: PositiveInt
    seed: Seed
    heldout: Share

    @field_validator("weights")
    @classmethod
    def _all_of_it(cls, weights: list[float]) -> list[float]:
        if not isclose(total := fsum(weights), 1, abs_tol=1e-9):
            raise PydanticCustomError("sum", "must sum to 1, not to {total}", {"total": f"{total:g}"})
        return weights

    @field_validator("means", "stds")
    @classmethod
    def _one_a_component(cls, values: list[float], info: ValidationInfo) -> list[float]:
        if len(values) != (components := len(info.data.get("weights", values))):
            raise PydanticCustomError(
                "length", "must hold one number a weight, {components}", {"components": components}
            )
        return values


@dataclass(frozen=True, config=STRICT)
class Line:
    """The segment {theta} x [0, 1] (Arjovsky et al. 2017, example 1)."""

    source: Literal["line"]
    theta: float
    count: PositiveInt
    seed: Seed
    heldout: Share


@dataclass(frozen=True, config=STRICT)
class Shapes:
    """Grey images of one shape each, moved by up to a shift (in pixels) along each axis."""

    source: Literal["shapes"]
    size: Annotated[int, Field(ge=8)]
    kinds: Annotated[list[Literal["disc", "cross", "frame"]], Field(min_length=1)]
    shift_x: NonNegativeFloat
    shift_y: NonNegativeFloat
    count: PositiveInt
    seed: Seed
    heldout: Share

    @field_validator("kinds")
    @classmethod
    def _each_once(cls, kinds: list[str]) -> list[str]:
        if len(set(kinds)) < len(kinds):
            raise PydanticCustomError("twice", "must name each kind once")
        return kinds

    @field_validator("shift_x", "shift_y")
    @classmethod
    def _inside(cls, shift: float, info: ValidationInfo) -> float:
        if shift > info.data.get("size", inf) / 4:
            raise PydanticCustomError("outside", "must be at most size / 4, or the shapes leave the picture")
        return shift


@dataclass(frozen=True, config=STRICT)
class StackedDigits:
    """Three random 8x8 digits as the channels of one image: 1,000 modes (Metz et al. 2017)."""

    source: Literal["stacked_digits"]
    count: PositiveInt
    seed: Seed
    heldout: Share


@dataclass(frozen=True, config=STRICT)
class DigitDomains:
    """Two unpaired domains: half of the 8x8 digits, and the other half under a known map."""

    source: Literal["digit_domains"]
    map: Literal["recolour", "inversion"]
    seed: Seed
    heldout: Share


TABLES = (".csv", ".tsv", ".json", ".jsonl")
"""What tables of labels are called."""


def share_or_official(value: Any) -> Any:
    """What `heldout` of one's own images may be."""
    if value != "official" and not (isinstance(value, float) and 0 < value < 1):
        raise PydanticCustomError("heldout", "must be a share between 0 and 1, or 'official'")
    return value


SIDES = (4, 1024)
"""The smallest and the largest side of a picture, in pixels."""


def side_or_sides(value: Any) -> Any:
    """What `size` of one's own images may be."""
    sides = value if isinstance(value, list) and len(value) == 2 else [value]
    if not all(type(side) is int and SIDES[0] <= side <= SIDES[1] for side in sides):
        raise PydanticCustomError(
            "size",
            "must be a side, or [height, width], each of {least} to {most} pixels",
            dict(zip(("least", "most"), SIDES, strict=True)),
        )
    return value


def ends_or_word(value: Any) -> Any:
    """What `range` of one's own images may be."""
    numbers = isinstance(value, list) and len(value) == 2 and all(type(end) in (int, float) for end in value)
    if value not in (None, "measured", "full") and not (numbers and value[0] < value[1]):
        raise PydanticCustomError("range", "must be [lowest, highest], the lower first, or 'measured', or 'full'")
    return value


@dataclass(frozen=True, config=STRICT)
class LabelColumns:
    """Where labels stand: in a table inside ``path``, or in columns of Parquet or of a JSON file beside each image."""

    table: str | None = None
    """CSV, TSV, JSON or JSON lines; null: the source has columns itself."""
    file: str | None = None
    """The column of file names; null: the one whose values are names of images."""
    label: str | None = None
    """The column of classes; null: the one that is called as such columns usually are."""

    @field_validator("table")
    @classmethod
    def _known(cls, table: str | None) -> str | None:
        if table is not None and not table.lower().endswith(TABLES):
            raise PydanticCustomError("table", f"must be a table: {', '.join('*' + s for s in TABLES)}")
        return table


def labels_or_table(value: Any) -> Any:
    """What `labels` of one's own images may be."""
    if isinstance(value, str) and value.lower().endswith(TABLES):
        return {"table": value}
    if not isinstance(value, bool | dict | LabelColumns):
        raise PydanticCustomError("labels", "must be true, false, a table (labels.csv), or {table: ..., label: ...}")
    return value


@dataclass(frozen=True, config=STRICT)
class Images:
    """Images of your own: a folder, an archive, IDX, NumPy or Parquet files, brought to one size."""

    path: Annotated[str, Field(min_length=1)]
    labels: Annotated[bool | LabelColumns, pydantic.BeforeValidator(labels_or_table)]
    """True: folders, or what the source holds itself (a column, an array, dataset.json, .cls files) name classes."""
    heldout: Annotated[float | Literal["official"], pydantic.BeforeValidator(share_or_official)]
    size: Annotated[int | list[int], pydantic.BeforeValidator(side_or_sides)]
    """The side of a square in pixels, or [height, width]."""
    channels: Literal[1, 3, 4]
    fit: Literal["crop", "pad", "exact"]
    background: Annotated[int, Field(ge=0, le=255)]
    on_bad_image: Literal["error", "skip"]
    min_per_class: PositiveInt | None
    """Of a class with fewer images nothing is prepared; null, or left out: there may be any number."""
    _: KW_ONLY  # the keys below may be left out
    spelling: Literal["as_is", "folded"] | None = None
    """Of classes: as they are written, or trimmed and without case; null, or left out: they must not differ by that."""
    links: str | None = None
    """A folder that links below ``path`` may lead into; null, or left out: none may lead out of ``path``."""
    image_column: str | None = None
    """Of Parquet with several columns of images; null, or left out: there is one, or one called image."""
    bits: Literal[8, 16] | None = None
    """Of a number of a pixel, as it is packed and shipped; null, or left out: 8."""
    flip: bool | None = None
    """Whether a picture in a mirror is one more of its kind: each is then mirrored in half of the batches it is in. Not
    for what is read; null, or left out: false."""
    range: Annotated[list[float] | Literal["measured", "full"] | None, pydantic.BeforeValidator(ends_or_word)] = None
    """What becomes black and what white, of sources of more than 8 bits, floats and signed numbers: two numbers; the
    lowest and highest of the set, ``measured``; ``full``, all that their type holds. Null, or left out: full, and a set
    that fills less than a tenth of it is refused."""

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.size if isinstance(self.size, list) else (self.size, self.size)
        return height, width

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one packed image: height, width, channels."""
        return (*self.sides, self.channels)

    @property
    def most(self) -> int:
        """What white is."""
        return 65535 if self.bits == 16 else 255


@dataclass(frozen=True, config=STRICT)
class ImageDomains(Images):
    """Two unpaired domains of images of your own: two folders below ``path``."""

    domains: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2, max_length=2)]

    @field_validator("domains")
    @classmethod
    def _two(cls, domains: list[str]) -> list[str]:
        if len(set(domains)) < len(domains):
            raise PydanticCustomError("twice", "must name two different folders")
        return domains


Dataset = Digits | Ring | Grid | Mixture | Line | Shapes | StackedDigits | DigitDomains


@dataclass(frozen=True, config=STRICT)
class Network:
    """Which networks play: a family (a file in gan_core/networks), its width, and the size of the latent."""

    family: str
    width: PositiveInt
    latent: NonNegativeInt
    options: dict[str, Any]
    """What only this family has; in params.yaml they stand beside the other keys."""


@dataclass(frozen=True, config=STRICT)
class Extractor:
    """How the classifier is trained whose features the figures of a data set use."""

    width: PositiveInt
    seed: Seed
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    steps_per_class: PositiveInt
    min_steps: PositiveInt
    max_steps: PositiveInt

    @field_validator("max_steps")
    @classmethod
    def _in_order(cls, most: int, info: ValidationInfo) -> int:
        if most < (least := info.data.get("min_steps", 0)):
            raise PydanticCustomError("order", "must not be below min_steps {least}", {"least": least})
        return most


@dataclass(frozen=True, config=STRICT)
class Train:
    """How a run is trained."""

    seed: Seed
    steps: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    balanced: bool
    """Every class is as frequent in the batches, however many samples it has."""
    shards: PositiveInt
    instance_noise: NonNegativeFloat
    ema_half_life: Scheduled[NonNegativeFloat]
    log_every: PositiveInt
    evaluate_every: PositiveInt
    checkpoint_every: PositiveInt
    device: Literal["auto", "cpu", "cuda"]
    channels_last: bool
    precision: Literal["float32", "bfloat16"]
    cuda_graph: bool

    @field_validator("shards")
    @classmethod
    def _even(cls, shards: int, info: ValidationInfo) -> int:
        if (size := info.data.get("batch_size", 0)) % shards or size == shards:
            raise PydanticCustomError("uneven", "must divide batch_size {size} into parts of 2 or more", {"size": size})
        return shards


Policy = Literal[
    "flip", "rotate90", "shift", "scale", "rotation", "aspect", "fractional_shift", "brightness", "contrast",
    "luma_flip", "hue", "saturation", "color", "translation", "cutout",
]  # fmt: skip
"""Random changes of pictures, of ADA (Karras et al. 2020); color and translation of DiffAugment (Zhao et al. 2020)."""


@dataclass(frozen=True, config=STRICT)
class Augment:
    """Which random changes a discriminator sees pictures under, real and generated, and with what probability each."""

    policy: Annotated[list[Policy], Field(min_length=1)]
    p: Strength

    @field_validator("policy")
    @classmethod
    def _each_once(cls, policy: list[str]) -> list[str]:
        if len(set(policy)) < len(policy):
            raise PydanticCustomError("twice", "must name each change once")
        return policy


@dataclass(frozen=True, config=STRICT)
class Evaluate:
    """How a generator is measured."""

    seed: Seed
    samples: Annotated[int, Field(ge=500)]
    resamples: Annotated[int, Field(ge=20)]
    features: Asked
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    """Held-out accuracy from which on a data set's classifier is asked for classes."""
    inception: str | None

    @field_validator("inception")
    @classmethod
    def _there(cls, path: str | None, info: ValidationInfo) -> str | None:
        if path is None and info.data.get("features") == "inception":
            raise PydanticCustomError("inception", "must name the file of weights, as features is 'inception'")
        return path


Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, config=STRICT)
class Tolerance:
    """What an artefact may differ by and still be shipped."""

    max_abs: PositiveFloat
    psnr: PositiveFloat
    pixels_off: NonNegativeFloat
    pixels_far: NonNegativeFloat
    fd_share: PositiveFloat


@dataclass(frozen=True, config=STRICT)
class Engines:
    """Which engine library builds, for which compute capabilities (86 is SM 8.6), from graphs of which precisions.

    ``here``: the runs for which TensorRT builds on this machine, for its GPU.
    """

    flavour: Literal["tensorrt_rtx", "none"]
    targets: list[Annotated[int, Field(ge=75)]]
    precisions: list[Precision]
    here: list[str]


@dataclass(frozen=True, config=STRICT)
class Export:
    """What is shipped, and how good it must be. ``served``: the precision of the graphs in model repositories."""

    opset: Annotated[int, Field(ge=18, le=23)]
    max_batch_size: Annotated[int, Field(ge=8)]
    precisions: dict[Precision, Tolerance]
    served: Literal["fp32", "fp16", "int8"]
    engines: Engines

    @field_validator("precisions")
    @classmethod
    def _the_first(cls, precisions: dict[str, Tolerance]) -> dict[str, Tolerance]:
        if "fp32" not in precisions:
            raise PydanticCustomError("fp32", "must declare fp32, which all others come from")
        return precisions

    @field_validator("served")
    @classmethod
    def _one_of_them(cls, served: str, info: ValidationInfo) -> str:
        if served not in info.data.get("precisions", served):
            raise PydanticCustomError("served", "must be one of those that export.precisions declares")
        return served

    @field_validator("engines")
    @classmethod
    def _of_what_is_exported(cls, engines: Engines, info: ValidationInfo) -> Engines:
        if missing := [p for p in engines.precisions if p not in info.data.get("precisions", engines.precisions)]:
            raise PydanticCustomError(
                "precisions", "asks for {missing}, which export.precisions does not declare", {"missing": missing[0]}
            )
        return engines


@dataclass(frozen=True, config=STRICT)
class Init:
    """What a run's networks begin with: docs/warm-start.md."""

    path: Annotated[str, Field(min_length=1)]
    """Where an earlier run's networks are: players/<run>, models/<run> (what it ships), or such a folder elsewhere."""
    parts: Annotated[list[str], Field(min_length=1)] | None = None
    """Networks that come over, as the paper names them; null, or left out: all that both runs have."""
    freeze: dict[str, Annotated[list[str], Field(min_length=1)]] | None = None
    """Network -> its layers that stay as they come over (FreezeD); null, or left out: none."""


@dataclass(frozen=True, config=STRICT)
class Run:
    """One declared run: one trained, measured and shipped generator."""

    variant: str
    dataset: str
    network: Network
    train: Train
    settings: dict[str, Any]
    augment: Augment | None = None
    """Of what the discriminators see; none where it is not declared."""
    init: Init | None = None
    """Of warm starts."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; without ``init`` where the run starts afresh."""
        return {key: value for key, value in asdict(self).items() if key != "init" or value}


@dataclass(frozen=True, config=STRICT)
class Params:
    """All of params.yaml, with defaults resolved."""

    torch: str
    threads: int
    datasets: dict[str, Dataset]
    images: dict[str, Images]
    runs: dict[str, Run]
    train: Train
    extractor: Extractor
    evaluate: Evaluate
    export: Export


SECTIONS = (*(f.name for f in fields(Params)), WARM)
"""Of params.yaml. Runs of ``warm_starts``, which may be left out, are among ``Params.runs``."""
