"""What params.yaml may hold, as frozen dataclasses without defaults: whatever a result depends on is declared."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, fields
from math import fsum, inf, isclose
from typing import Annotated, Any, Literal, get_args

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
from gan_core.config.places import IMPORTS, WARM
from gan_core.core.feature_names import Asked

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Heldout = Annotated[Share, Field(description="Share of the samples that is kept from training, to measure with.")]
Count = Annotated[PositiveInt, Field(description="Samples that are drawn, those held out among them.")]
Drawn = Annotated[Seed, Field(description="Of the samples that are drawn.")]
Each = Field(json_schema_extra={"uniqueItems": True})
"""A list that names everything once; a validator says so in words."""


@dataclass(frozen=True, config=STRICT)
class Digits:
    """The 8x8 handwritten digits of scikit-learn."""

    source: Literal["digits"]
    heldout: Heldout


@dataclass(frozen=True, config=STRICT)
class Ring:
    """Gaussians on the unit circle."""

    source: Literal["ring"]
    modes: Annotated[int, Field(ge=2)]
    """How many Gaussians, at equal angles."""
    std: PositiveFloat
    """Standard deviation of each, along each axis; the circle has radius 1."""
    count: Count
    seed: Drawn
    heldout: Heldout


@dataclass(frozen=True, config=STRICT)
class Grid:
    """Gaussians on a square grid of spacing 2."""

    source: Literal["grid"]
    side: Annotated[int, Field(ge=2)]
    """Gaussians along each axis: 5 makes 25."""
    std: PositiveFloat
    """Standard deviation of each, along each axis, where neighbours are 2 apart."""
    count: Count
    seed: Drawn
    heldout: Heldout


@dataclass(frozen=True, config=STRICT)
class Mixture:
    """A mixture of Gaussians on the line; component k has the k-th weight, mean and standard deviation."""

    source: Literal["mixture"]
    weights: Annotated[list[PositiveFloat], Field(min_length=1)]
    """How much of the data is of each component; they sum to 1."""
    means: list[float]
    """Where each component lies."""
    stds: list[PositiveFloat]
    """Standard deviation of each component."""
    count: Count
    seed: Drawn
    heldout: Heldout

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
    """Where the segment stands on the first axis."""
    count: Count
    seed: Drawn
    heldout: Heldout


@dataclass(frozen=True, config=STRICT)
class Shapes:
    """Grey images of one shape each, moved by up to a shift (in pixels) along each axis."""

    source: Literal["shapes"]
    size: Annotated[int, Field(ge=8)]
    """Side of the square picture, in pixels."""
    kinds: Annotated[list[Literal["disc", "cross", "frame"]], Field(min_length=1), Each]
    """Which shapes; each is a class."""
    shift_x: NonNegativeFloat
    """Pixels by which a shape lies left or right of the middle, at most; at most a quarter of `size`."""
    shift_y: NonNegativeFloat
    """Pixels by which a shape lies above or below the middle, at most; at most a quarter of `size`."""
    count: Count
    seed: Drawn
    heldout: Heldout

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
    count: Count
    seed: Drawn
    heldout: Heldout


@dataclass(frozen=True, config=STRICT)
class DigitDomains:
    """Two domains under a known map: half of the 8x8 digits and the other half under it, or all of them in pairs."""

    source: Literal["digit_domains"]
    map: Literal["recolour", "inversion"]
    """The true map between the domains: red on black to blue on sand, or grey to its negative."""
    seed: Drawn
    heldout: Heldout
    _: KW_ONLY
    paired: bool | None = None
    """True: all digits are in both domains, each beside its own map. False, null, or left out: no digit is in both."""


TABLES = (".csv", ".tsv", ".json", ".jsonl")
"""What tables of labels are called."""


A_TABLE = r"\.([cC][sS][vV]|[tT][sS][vV]|[jJ][sS][oO][nN][lL]?)$"
"""What ends as TABLES do, whatever the case."""


def share_or_official(value: Any) -> Any:
    """What `heldout` of one's own images may be."""
    if value != "official" and not (isinstance(value, float) and 0 < value < 1):
        raise PydanticCustomError("heldout", "must be a share between 0 and 1, or 'official'")
    return value


def number(value: Any) -> Any:
    """What is no truth value: true equals 1."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "must be a number")
    return value


SIDES = (4, 1024)
"""The smallest and the largest side of a picture, in pixels."""
Side = Annotated[int, Field(ge=SIDES[0], le=SIDES[1])]


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


def both(size: int | list[int]) -> tuple[int, int]:
    """Height and width of a side, or of both."""
    height, width = size if isinstance(size, list) else (size, size)
    return height, width


def ends_or_word(value: Any) -> Any:
    """What `range` of one's own images may be."""
    numbers = isinstance(value, list) and len(value) == 2 and all(type(end) in (int, float) for end in value)
    if value not in (None, "measured", "full") and not (numbers and value[0] < value[1]):
        raise PydanticCustomError("range", "must be [lowest, highest], the lower first, or 'measured', or 'full'")
    return value


@dataclass(frozen=True, config=STRICT)
class LabelColumns:
    """Where labels stand: in a table inside ``path``, or in columns of Parquet or of a JSON file beside each image."""

    table: Annotated[str | None, Field(json_schema_extra={"pattern": A_TABLE})] = None
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
    """A folder, ``*.zip``, ``*.tar[.gz]``, ``*.npz``, ``*.npy``, ``*.parquet``, or a folder of archives, Parquet or IDX
    files. Neither ``~`` nor ``$`` is read."""
    labels: Annotated[
        bool | LabelColumns,
        pydantic.BeforeValidator(
            labels_or_table, json_schema_input_type=bool | Annotated[str, Field(pattern=A_TABLE)] | LabelColumns
        ),
    ]
    """What names the classes. True: folders, or what the source holds itself (a column, an array, dataset.json, .cls
    files). A table beside the images: its name, or its columns. False: there are no classes."""
    heldout: Annotated[
        float | Literal["official"],
        pydantic.BeforeValidator(share_or_official, json_schema_input_type=Share | Literal["official"]),
    ]
    """Share of the images of every class that is kept from training, to measure with; ``official``: what the source
    itself calls test."""
    size: Annotated[
        int | list[int],
        pydantic.BeforeValidator(
            side_or_sides,
            json_schema_input_type=Side | Annotated[list[Side], Field(min_length=2, max_length=2)],
        ),
    ]
    """The side of a square in pixels, or [height, width]."""
    channels: Annotated[Literal[1, 3, 4], pydantic.BeforeValidator(number)]
    """1 is grey, 3 is RGB, 4 is RGB with alpha."""
    fit: Literal["crop", "pad", "exact"]
    """How a picture is brought to ``size``: ``crop`` its middle, ``pad`` it with the background, or ``exact``: another
    size is a bad image."""
    background: Annotated[int, Field(ge=0, le=255)]
    """Grey level under what is transparent and around what is padded: 0 is black, 255 white."""
    on_bad_image: Literal["error", "skip"]
    """``error``: stop and name it. ``skip``: leave it out and count it. An image without a class is one."""
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
    crop_from: (
        Annotated[
            int | list[int],
            pydantic.BeforeValidator(
                side_or_sides,
                json_schema_input_type=Side | Annotated[list[Side], Field(min_length=2, max_length=2)],
            ),
        ]
        | None
    ) = None
    """What pictures are brought to instead of ``size``, a side or [height, width]: each batch then takes a window of
    ``size`` of each, wherever it falls (286 for 256: resize, then crop, of pix2pix and CycleGAN). Figures are of the
    middle. Null, or left out: the whole picture is seen."""
    flip: bool | None = None
    """Whether a picture in a mirror is one more of its kind: each is then mirrored in half of the batches it is in. Not
    for what is read; null, or left out: false."""
    store: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://.+")] | None = None
    """Where packed pictures lie, as an address that fsspec reads, such as s3://bucket/sets: in shards, fetched as they
    are needed, so that the set may be larger than this machine. Null, or left out: in data/prepared."""
    range: Annotated[
        list[float] | Literal["measured", "full"] | None,
        pydantic.BeforeValidator(
            ends_or_word,
            json_schema_input_type=Annotated[list[float], Field(min_length=2, max_length=2)]
            | Literal["measured", "full"]
            | None,
        ),
    ] = None
    """What becomes black and what white, of sources of more than 8 bits, floats and signed numbers: two numbers; the
    lowest and highest of the set, ``measured``; ``full``, all that their type holds. Null, or left out: full, and a set
    that fills less than a tenth of it is refused."""

    @property
    def domain_names(self) -> tuple[str, ...]:
        """What its domains are called; none: there is one."""
        return self.folders

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of its domains below ``path``."""
        return ()

    @field_validator("crop_from")
    @classmethod
    def _larger(cls, crop_from: int | list[int] | None, info: ValidationInfo) -> int | list[int] | None:
        size = info.data.get("size", 1)
        if crop_from and any(a < b for a, b in zip(both(crop_from), both(size), strict=True)):
            raise PydanticCustomError("crop_from", "must be as large as size {size} or larger", {"size": str(size)})
        if crop_from and info.data.get("scale"):
            raise PydanticCustomError("crop_from", "is for pairs of one size: leave it out, or scale")
        return crop_from

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width in pixels of what the networks see."""
        return both(self.size)

    @property
    def packed_sides(self) -> tuple[int, int]:
        """The same of what is packed, of which they may see a part at a time."""
        return both(self.crop_from or self.size)

    @property
    def of_sources(self) -> Images:
        """The declaration of what is translated alone, which may be of another size than what it becomes."""
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one packed image: height, width, channels."""
        return (*self.packed_sides, self.channels)

    @property
    def most(self) -> int:
        """What white is."""
        return 65535 if self.bits == 16 else 255


@dataclass(frozen=True, config=STRICT)
class ImageDomains(Images):
    """Two unpaired domains of images of your own: two folders below ``path``."""

    domains: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2, max_length=2), Each]
    """The folders of the first and of the second domain, as for ``cycle_gan``; left out: there is one domain."""

    @field_validator("domains")
    @classmethod
    def _two(cls, domains: list[str]) -> list[str]:
        if len(set(domains)) < len(domains):
            raise PydanticCustomError("twice", "must name two different folders")
        return domains

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(self.domains)


@dataclass(frozen=True, config=STRICT)
class Pair:
    """Where the two images of a pair are: folders below ``path``, or columns of Parquet."""

    source: Annotated[str, Field(min_length=1)]
    """Of what is translated."""
    target: Annotated[str, Field(min_length=1)]
    """Of what it becomes; in a folder, the file of the same name, whatever its suffix."""

    @field_validator("target")
    @classmethod
    def _another(cls, target: str, info: ValidationInfo) -> str:
        if target == info.data.get("source"):
            raise PydanticCustomError("twice", "must be another one than source")
        return target


Halves = Literal["left-right", "right-left", "top-bottom", "bottom-top", "downscaled"]
"""The half that is the source, and the half that is the target; or the source is the whole image made smaller."""


def pair_or_halves(value: Any) -> Any:
    """What `pairs` of one's own images may be."""
    if not isinstance(value, dict | Pair) and value not in get_args(Halves):
        raise PydanticCustomError(
            "pairs",
            "must be {source: <folder>, target: <folder>}, or one of {halves}",
            {"halves": ", ".join(get_args(Halves))},
        )
    return value


@dataclass(frozen=True, config=STRICT)
class ImagePairs(Images):
    """Pairs of images of your own: of each, a source and what it is to become."""

    pairs: Annotated[Pair | Halves, pydantic.BeforeValidator(pair_or_halves, json_schema_input_type=Pair | Halves)]
    """Images that belong together, as for ``pix2pix``: two folders of equally named files, two columns of Parquet, or
    the halves of every image, its source first; ``downscaled``: every image, and before it the same made smaller by
    ``scale``; left out: there are no pairs."""
    scale: Annotated[Literal[2, 4] | None, pydantic.BeforeValidator(number)] = None
    """How many times as high and wide as their sources the targets are, which are of ``size``; null, or left out: they
    are of one size."""

    @field_validator("scale")
    @classmethod
    def _even(cls, scale: int | None, info: ValidationInfo) -> int | None:
        size, downscaled = info.data.get("size", 0), info.data.get("pairs") == "downscaled"
        sides = size if isinstance(size, list) else [size]
        if any(side % (scale or 1) or side < SIDES[0] * (scale or 1) for side in sides):
            raise PydanticCustomError(
                "scale", "must divide size {size} evenly, into sources of {least} pixels and more",
                {"size": str(size), "least": SIDES[0]},
            )  # fmt: skip
        if downscaled and not scale:
            raise PydanticCustomError("scale", "must say how much smaller sources are, 2 or 4")
        return scale

    @property
    def domain_names(self) -> tuple[str, ...]:
        if self.pairs == "downscaled":
            return "source", "target"
        return tuple(self.pairs.split("-")) if isinstance(self.pairs, str) else self.folders

    @property
    def of_sources(self) -> Images:
        given = {f.name: getattr(self, f.name) for f in fields(Images)}
        given["size"] = [side // (self.scale or 1) for side in self.sides]
        if self.pairs == "downscaled" and self.fit == "exact":
            given["fit"] = "crop"  # of a target's size, which is all that has to be exact
        return Images(**given)

    @property
    def folders(self) -> tuple[str, ...]:
        return () if isinstance(self.pairs, str) else (self.pairs.source, self.pairs.target)


Dataset = Digits | Ring | Grid | Mixture | Line | Shapes | StackedDigits | DigitDomains


@dataclass(frozen=True, config=STRICT)
class Network:
    """Which networks play: a family (a file in gan_core/networks), its width, and the size of the latent."""

    family: str
    """Which file of gan_core/networks; ``mlp`` for points and small pictures, ``resnet`` translates."""
    width: PositiveInt
    """How wide its layers are; what that counts is the family's."""
    latent: NonNegativeInt
    """Dimensions of z, or of a latent that is a map its channels; 0 where there is none, as of translators."""
    options: dict[str, Any]
    """What only this family has; in params.yaml they stand beside the other keys."""


@dataclass(frozen=True, config=STRICT)
class Extractor:
    """How the classifier is trained whose features the figures of a data set use."""

    width: PositiveInt
    """Channels of its first convolution."""
    seed: Seed
    """Of its first weights and batches."""
    batch_size: Annotated[int, Field(ge=2)]
    """Images of a step."""
    learning_rate: PositiveFloat
    """Of Adam."""
    steps_per_class: PositiveInt
    """Steps for each class of the data set."""
    min_steps: PositiveInt
    """Steps at least."""
    max_steps: PositiveInt
    """Steps at most; not below `min_steps`."""

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
    """Of all that is random in training. Runs that differ in it alone are summed up by ``gan compare``."""
    steps: PositiveInt
    """Steps of the game: each player's update once, or as often as the paper says."""
    batch_size: Annotated[int, Field(ge=2)]
    """Real samples of an update."""
    balanced: bool
    """Every class is as frequent in the batches, however many samples it has."""
    shards: PositiveInt
    """Parts in which a batch is computed, one after the other or by several processes; memory is that of a part. It
    divides `batch_size` into parts of 2 or more."""
    instance_noise: NonNegativeFloat
    """Standard deviation, where pixels are -1 to 1, of the noise on real samples, so that no discriminator can tell
    them by their grey levels."""
    ema_half_life: Scheduled[NonNegativeFloat]
    """Images after which weights count half in the averaged weights, which are evaluated and shipped; 0 averages
    nothing."""
    log_every: PositiveInt
    """Steps between two rows of the loss table."""
    evaluate_every: PositiveInt
    """Steps between two evaluations of samples, each of which costs about 25 steps; the weights of the best one are
    shipped."""
    checkpoint_every: PositiveInt
    """Steps between two saved states, from which an interrupted run goes on."""
    device: Literal["auto", "cpu", "cuda"]
    """``auto``: the GPU where there is one."""
    channels_last: bool
    """How images lie in memory: pixel by pixel, which convolutions like, or plane by plane."""
    precision: Literal["float32", "bfloat16"]
    """Of the products of layers; bfloat16 is faster where the processor multiplies it, and less exact."""
    cuda_graph: bool
    """On a GPU, an update is one CUDA graph."""

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

    policy: Annotated[list[Policy], Field(min_length=1), Each]
    """Which changes: docs/augmentation.md says what each does."""
    p: Strength
    """The probability of each change: a number, a schedule, or one that adapts to a measure of overfitting."""

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
    """Of the samples that are measured, and of resampling."""
    samples: Annotated[int, Field(ge=500)]
    """Samples that are drawn to be measured; fewer where fewer are trained on."""
    resamples: Annotated[int, Field(ge=20)]
    """Resamples behind every interval."""
    features: Asked
    """What looks at pictures: ``lite0`` is EfficientNet-Lite0, ``own`` the classifier of ``extractor``, ``inception``
    the file of ``inception``; ``auto``: lite0 for pictures of 32 pixels and more, own for smaller ones."""
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    """Held-out accuracy from which on a data set's classifier is asked for classes."""
    inception: str | None
    """A file ``pt_inception-2015-12-05-6726825d.pth`` that you have: then there is FID as papers give it, too. Null:
    there is none."""

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
    """Largest difference of a number from the trained network's, where pixels are -1 to 1."""
    psnr: PositiveFloat
    """Least peak signal-to-noise ratio against the trained network's samples, in dB."""
    pixels_off: NonNegativeFloat
    """Share of 8-bit pixels that may differ at all."""
    pixels_far: NonNegativeFloat
    """Share of 8-bit pixels that may differ by more than 1 level."""
    fd_share: PositiveFloat
    """Share by which the Frechet distance of the artefact's samples may differ from that of the network's."""


@dataclass(frozen=True, config=STRICT)
class Engines:
    """Which engine library builds, for which compute capabilities (86 is SM 8.6), from graphs of which precisions.

    ``here``: the runs for which TensorRT builds on this machine, for its GPU.
    """

    flavour: Literal["tensorrt_rtx", "none"]
    """Which library builds engines, without a GPU; ``none``: no engine is built."""
    targets: list[Annotated[int, Field(ge=75)]]
    """Compute capabilities of GPUs: 86 is an RTX 3090, 89 an RTX 4090, 120 an RTX 5090."""
    precisions: list[Precision]
    """Of which graphs; each is declared under ``export.precisions``."""
    here: list[str]
    """Runs whose engines TensorRT builds for the GPU of this machine too, and again on another."""


@dataclass(frozen=True, config=STRICT)
class Serving:
    """How a server computes with what it loads."""

    instances: PositiveInt
    """Batches of a model that are computed at a time, each by an instance with its own copy of the weights."""
    cache: bool
    """Whether answers of seeded models are kept: the same seed and labels are then answered from memory."""


@dataclass(frozen=True, config=STRICT)
class Export:
    """What is shipped, and how good it must be. ``served``: the precision of the graphs in model repositories."""

    opset: Annotated[int, Field(ge=18, le=23)]
    """Version of ONNX's operators."""
    max_batch_size: Annotated[int, Field(ge=8)]
    """Samples of a request to a server, and of an engine, at most."""
    precisions: Annotated[dict[Precision, Tolerance], Field(json_schema_extra={"required": ["fp32"]})]
    """Of the graphs, each with what it may differ by. One that differs more is not shipped, and nothing is without
    fp32."""
    served: Literal["fp32", "fp16", "int8"]
    """The precision of the graphs that a server loads; one of ``precisions``."""
    serving: Serving
    """What model repositories ask of the server."""
    engines: Engines
    """TensorRT engines."""

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
    parts: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """Networks that come over, as the paper names them; null, or left out: all that both runs have."""
    freeze: dict[str, Annotated[list[str], Field(min_length=1)]] | None = None
    """Network -> its layers that stay as they come over (FreezeD); null, or left out: none."""


@dataclass(frozen=True, config=STRICT)
class Run:
    """One declared run: one trained, measured and shipped generator."""

    variant: str
    """The paper: a file in gan_core/variants."""
    dataset: str
    """The name of an entry of ``datasets`` or ``images``."""
    network: Network
    """Which networks play."""
    train: Train
    """What differs from the common ``train`` section."""
    settings: dict[str, Any]
    """The paper's symbols; what is not named keeps the paper's value."""
    augment: Augment | None = None
    """Of what the discriminators see; none where it is not declared."""
    init: Init | None = None
    """Of warm starts: what their networks begin with."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; without ``init`` where the run starts afresh."""
        return {key: value for key, value in asdict(self).items() if key != "init" or value}


Input = Literal["normal", "uniform", "label", "x", "x_b"]
"""What an imported graph is fed: N(0, I), U(-1, 1), a class, or pictures of the data set's first or second domain."""


def low_and_high(value: Any) -> Any:
    """What `range` of an imported graph may be."""
    if value is not None and not (
        isinstance(value, list) and len(value) == 2 and all(type(end) in (int, float) for end in value)
        and value[0] < value[1]
    ):  # fmt: skip
        raise PydanticCustomError("range", "must be [what black is, what white is], the lower first")
    return value


@dataclass(frozen=True, config=STRICT)
class OnnxNetwork:
    """A network that is an ONNX graph of any origin."""

    family: Literal["onnx"]
    inputs: dict[str, Input] | None = None
    """The graph's name of an input -> what it is fed; left out: pictures and whole numbers are told by their shape."""
    output: str | None = None
    """The graph's name of the output that is a sample; left out: there is one."""
    range: Annotated[
        list[float] | None,
        pydantic.BeforeValidator(
            low_and_high, json_schema_input_type=Annotated[list[float], Field(min_length=2, max_length=2)] | None
        ),
    ] = None
    """What black and white are in its pictures; left out: -1 and 1, of uint8 0 and 255."""


@dataclass(frozen=True, config=STRICT)
class Import:
    """A network that was trained elsewhere, measured, exported and served as a run's is."""

    file: Annotated[str, Field(min_length=1)]
    """An ONNX graph (``*.onnx``), or the weights of a network of this project (``*.safetensors``, ``*.pt``)."""
    dataset: str
    """The name of an entry of ``datasets`` or ``images``: what its samples are compared with."""
    network: OnnxNetwork | Network
    """``family: onnx`` for a graph; for weights, the network that they are of: a generator from z, or a translator."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, config=STRICT)
class Params:
    """All of params.yaml, with defaults resolved."""

    torch: str
    """The version of torch, which is part of every result: another one gives other last bits, and everything is made
    again."""
    threads: PositiveInt
    """Threads of every stage, part of every result as well."""
    datasets: dict[str, Dataset]
    """Data sets that the project makes itself, by name."""
    images: dict[str, Images]
    """Data sets of your own pictures, by name; ``gan new <pictures>`` writes an entry."""
    runs: dict[str, Run]
    """One entry is one trained, measured and shipped generator, by name."""
    train: Train
    """How runs are trained, unless a run's own ``train`` says otherwise."""
    extractor: Extractor
    """The classifier that is trained on each data set of images; figures use its features."""
    evaluate: Evaluate
    """How generators are measured."""
    export: Export
    """What is shipped, and how good it must be."""
    imports: dict[str, Import]
    """Networks that were trained elsewhere, by name: measured, exported and served as runs are. May be left out."""

    @property
    def shipped(self) -> dict[str, Run | Import]:
        """All that is measured and exported, by name."""
        return {**self.runs, **self.imports}


OPTIONAL = (IMPORTS, WARM)
"""Sections that may be left out."""
SECTIONS: tuple[str, ...] = (*(f.name for f in fields(Params)), WARM)
"""Of params.yaml. Runs of ``warm_starts`` are among ``Params.runs``."""
