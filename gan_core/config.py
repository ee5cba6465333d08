"""params.yaml to typed, frozen values, read once a stage. The only file that reads YAML; it never imports torch.

It holds no value of its own, no default either: whatever a result depends on is written in params.yaml, or in the
paper's file. Every mistake is reported at once, with its line and the name that was probably meant.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import fsum, inf, isclose
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import pydantic
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
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

from gan_core import bounds
from gan_core.bounds import Fraction, Seed, Share
from gan_core.errors import InputError

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


def share_or_official(value: Any) -> Any:
    """What `heldout` of one's own images may be."""
    if value != "official" and not (isinstance(value, float) and 0 < value < 1):
        raise PydanticCustomError("heldout", "must be a share between 0 and 1, or 'official'")
    return value


@dataclass(frozen=True, config=STRICT)
class Images:
    """Images of your own: a folder, an archive, IDX, NumPy or Parquet files, brought to one size."""

    path: Annotated[str, Field(min_length=1)]
    labels: bool
    heldout: Annotated[float | Literal["official"], pydantic.BeforeValidator(share_or_official)]
    size: Annotated[int, Field(ge=4, le=1024)]
    channels: Literal[1, 3]
    fit: Literal["crop", "pad", "exact"]
    background: Annotated[int, Field(ge=0, le=255)]
    on_bad_image: Literal["error", "skip"]
    min_per_class: PositiveInt | None
    """Of a class with fewer images nothing is prepared; null, or left out: there may be any number."""


@dataclass(frozen=True, config=STRICT)
class ImageDomains(Images):
    """Two unpaired domains of images of your own: two folders below ``path``."""

    domains: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2, max_length=2)]


Dataset = Digits | Ring | Grid | Mixture | Line | Shapes | StackedDigits | DigitDomains


Family = Literal["mlp", "dcgan", "resnet", "resnet_gan"]


@dataclass(frozen=True, config=STRICT)
class Network:
    """Which networks play: a family (a file in gan_core/networks), its width, and the size of the latent."""

    family: Family
    width: PositiveInt
    latent: NonNegativeInt


@dataclass(frozen=True, config=STRICT)
class Train:
    """How a run is trained."""

    seed: Seed
    steps: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]
    shards: PositiveInt
    instance_noise: NonNegativeFloat
    ema_decay: Fraction
    log_every: PositiveInt
    watch_every: PositiveInt
    checkpoint_every: PositiveInt
    device: Literal["auto", "cpu", "cuda"]
    channels_last: bool
    precision: Literal["float32", "bfloat16"]
    graph: bool

    @field_validator("shards")
    @classmethod
    def _even(cls, shards: int, info: ValidationInfo) -> int:
        if (size := info.data.get("batch_size", 0)) % shards or size == shards:
            raise PydanticCustomError("uneven", "must divide batch_size {size} into parts of 2 or more", {"size": size})
        return shards


@dataclass(frozen=True, config=STRICT)
class Evaluate:
    """How a generator is measured."""

    seed: Seed
    samples: Annotated[int, Field(ge=500)]
    resamples: Annotated[int, Field(ge=20)]
    inception: str | None


Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, config=STRICT)
class Tolerance:
    """What an artefact may differ by and still be shipped."""

    max_abs: PositiveFloat
    psnr: PositiveFloat
    pixels_off: NonNegativeFloat
    pixels_far: NonNegativeFloat
    fid_share: PositiveFloat


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
class Run:
    """One declared run: one trained, measured and shipped generator."""

    variant: str
    dataset: str
    network: Network
    train: Train
    settings: dict[str, Any]


@dataclass(frozen=True, config=STRICT)
class Params:
    """All of params.yaml, with defaults resolved."""

    threads: int
    datasets: dict[str, Dataset]
    images: dict[str, Images]
    runs: dict[str, Run]
    train: Train
    evaluate: Evaluate
    export: Export


SECTIONS = tuple(f.name for f in fields(Params))
TWO_WAYS = re.compile(r"[-+]?(0[0-9_]+|[0-9]+(_[0-9]*)+)")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
PAPERS = Path(__file__).parent / "variants"
T = TypeVar("T")
Tree = dict[str, Any]


def variants() -> list[str]:
    """The names of all variants: the files in gan_core/variants."""
    return sorted(p.stem for p in PAPERS.glob("*.py") if p.stem != "__init__")


def settings_of(variant: str) -> type[pydantic.BaseModel]:
    """The schema of a paper's symbols: the fields with a default in its dataclass.

    The file is read as text, not imported, so that a check needs no torch and a paper states its symbols once.
    """
    tree = ast.parse((PAPERS / f"{variant}.py").read_text())
    paper = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    known = {
        "Literal": Literal,
        "Fraction": bounds.Fraction,
        "Share": bounds.Share,
        **{name: getattr(pydantic, name) for name in pydantic.__all__ if name[0].isupper()},
    }
    symbols = {
        node.target.id: (
            eval(ast.unparse(node.annotation), {**known, "__builtins__": BUILTINS}),
            ast.literal_eval(node.value),
        )
        for node in paper.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
    model: type[pydantic.BaseModel] = pydantic.create_model(variant, __config__=STRICT, **symbols)  # type: ignore[call-overload]
    return model


def asks(variant: str) -> frozenset[str]:
    """What a paper's ``cast`` asks of a body (generator, discriminator, encoder, ...), and of a batch (y, pair)."""
    tree = ast.parse((PAPERS / f"{variant}.py").read_text())
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("body", "batch")
    )


def roles() -> dict[str, set[str]]:
    """Network family -> the roles it has: the rows of the table of networks, read as text."""
    tree = ast.parse((PAPERS.parent / "networks" / "__init__.py").read_text())
    names = [str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {family: {n.split(".")[1] for n in names if n.startswith(f"{family}.")} for family in FAMILIES}


ROLES = ("generator", "discriminator", "encoder", "recogniser", "translator")
FAMILIES: tuple[str, ...] = get_args(Family)
BUILTINS = {"bool": bool, "float": float, "int": int, "str": str, "tuple": tuple}


class Checker:
    """Collects every mistake of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mistakes: list[str] = []
        self.lines: dict[tuple[str, ...], int] = {}
        self.nodes: set[int] = set()

    def mistake(self, where: tuple[str, ...], sentence: str) -> None:
        """Note a mistake at a key; the line is that of the nearest key that is in the file."""
        near = where
        while near and near not in self.lines:
            near = near[:-1]
        line = self.lines.get(near, 1)
        self.mistakes.append(f"{self.path}:{line}: {'.'.join(where)} {sentence}")

    def parse(self) -> Tree:
        """The file as plain values, with the line of every key."""
        try:
            text = self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} cannot be read ({error}); run this in the project's folder") from None
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self._index(root, ())
            if self.mistakes:
                raise InputError("\n".join(self.mistakes))
            # OmegaConf, not PyYAML, decides values: 1e-4 is a number to it, and duplicates are errors.
            mapping = isinstance(root, yaml.MappingNode)
            tree = OmegaConf.to_container(OmegaConf.create(text), resolve=False) if mapping else None
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            raise InputError(not_yaml(self.path, error)) from None
        if not isinstance(tree, dict):
            raise InputError(f"{self.path}:1: must hold {', '.join(SECTIONS)}")
        return tree  # type: ignore[return-value]

    def _index(self, node: yaml.Node | None, where: tuple[str, ...]) -> None:
        if id(node) in self.nodes:
            self.mistake(where, "is an alias (*...) or a merge (<<): write the values out, the pipeline compares text")
            return
        self.nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*where, str(key.value))
                if here in self.lines:
                    self.mistake(here, f"appears twice (line {key.start_mark.line + 1}); keep one")
                self.lines[here] = key.start_mark.line + 1
                self._index(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for k, value in enumerate(node.value):
                self._index(value, (*where, str(k)))
        elif isinstance(node, yaml.ScalarNode) and "${" in node.value:
            self.mistake(
                where,
                f"holds '{node.value}': no ${{...}} here; the pipeline would not notice when what it refers to "
                "changes, so write the value",
            )
        elif isinstance(node, yaml.ScalarNode) and not node.style and TWO_WAYS.fullmatch(node.value):
            self.mistake(where, f"is {node.value}, which readers of YAML take for different numbers; write it plainly")

    def build(
        self, schema: type[T], tree: Any, where: tuple[str, ...], inherited: frozenset[str] = frozenset()
    ) -> T | None:
        """A typed value, or None and its mistakes noted. Mistakes in ``inherited`` keys belong to another place."""
        if not isinstance(tree, dict):
            self.mistake(where, f"must be a mapping, not {tree!r}")
            return None
        try:
            return pydantic.TypeAdapter(schema).validate_json(json.dumps(tree))
        except pydantic.ValidationError as error:
            for e in error.errors(include_url=False):
                if str(e["loc"][0]) not in inherited:
                    self._say(e, schema, where)
            return None

    def _say(self, error: Any, schema: Any, where: tuple[str, ...]) -> None:
        here = (*where, *map(str, error["loc"]))
        if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            self.unknown(here, known_keys(schema, error["loc"][:-1]))
        elif error["type"] in ("missing", "missing_argument"):
            self.mistake(here, "is missing")
        else:
            message = error["msg"].replace("Input should", "must").replace("List should", "must")
            self.mistake(here, f"is {error['input']!r}: {message[0].lower()}{message[1:]}")

    def unknown(self, here: tuple[str, ...], known: list[str], what: str = "") -> None:
        """Note a name that nobody knows, and the one that was probably meant."""
        close = difflib.get_close_matches(what if what else here[-1], known, 1, 0.5)
        meant = f"; did you mean {close[0]}?" if close else ""
        subject = f"'{what}' is not one of" if what else "is unknown, known are"
        self.mistake(here, f"{subject} {', '.join(known) or '(none)'}{meant}")


def not_yaml(path: Path, error: Exception) -> str:
    """What a parser said, as one sentence with the line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f"{path}:{mark.line + 1}:" if mark else path
    return f"{where} is not plain YAML: {problem or ' '.join(str(error).split())}"


def known_keys(schema: Any, path: tuple[Any, ...]) -> list[str]:
    """The keys a schema knows at a path inside it."""
    for part in path:
        if part not in schema.__pydantic_fields__:
            continue  # a name that the user gave, of one entry of many
        annotation = schema.__pydantic_fields__[part].annotation
        schema = next((a for a in get_args(annotation) if hasattr(a, "__pydantic_fields__")), annotation)
    return list(schema.__pydantic_fields__)


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check all of params.yaml.

    Raises:
        InputError: with every mistake, one a line: ``params.yaml:12: runs.gan.train.lrr is unknown ...``.
    """
    checker = Checker(path)
    tree = checker.parse()
    for name in tree:
        if name not in SECTIONS:
            checker.unknown((name,), list(SECTIONS))
    for name in SECTIONS:
        if name not in tree:
            checker.mistake((name,), "is missing")
    threads = tree.get("threads")
    if "threads" in tree and (type(threads) is not int or threads < 1):
        checker.mistake(("threads",), f"is {threads!r}: must be a whole number of at least 1")
    train_tree = tree.get("train")
    train = checker.build(Train, train_tree, ("train",)) if "train" in tree else None
    evaluate = checker.build(Evaluate, tree["evaluate"], ("evaluate",)) if "evaluate" in tree else None
    export = checker.build(Export, tree["export"], ("export",)) if "export" in tree else None
    datasets = dict(check_datasets(checker, tree.get("datasets", {})))
    images = dict(check_images(checker, tree.get("images", {})))
    defaults = train_tree if isinstance(train_tree, dict) else {}
    declared: Tree = {}
    for section in ("datasets", "images"):
        named_here = tree[section] if isinstance(tree.get(section), dict) else {}
        for name in declared.keys() & named_here.keys():
            checker.mistake((section, str(name)), "is the name of a data set above as well; give it another")
        declared |= named_here
    runs = dict(check_runs(checker, tree.get("runs", {}), defaults, declared))
    for name in export.engines.here if export else ():
        if name not in tree.get("runs", {}):
            checker.unknown(("export", "engines", "here"), list(map(str, tree.get("runs", {}))), name)
    if checker.mistakes:
        raise InputError("\n".join(checker.mistakes))
    assert threads and train and evaluate and export
    return Params(threads, datasets, images, runs, train, evaluate, export)


def named(checker: Checker, tree: Any, section: str) -> Iterator[tuple[str, Tree]]:
    """The entries of a section of named mappings."""
    if not isinstance(tree, dict):
        checker.mistake((section,), f"must be a mapping of names, not {tree!r}")
        return
    for name, entry in tree.items():
        if not NAME.fullmatch(str(name)):
            checker.mistake((section, str(name)), "is no name: use lower-case letters, digits, '_' and '-'")
        elif not isinstance(entry, dict):
            checker.mistake((section, str(name)), f"must be a mapping, not {entry!r}")
        else:
            yield str(name), entry


def check_datasets(checker: Checker, tree: Any) -> Iterator[tuple[str, Dataset]]:
    """Each data set by the schema of its source."""
    schemas: dict[str, type[Dataset]] = {source_name(s): s for s in SOURCE_SCHEMAS}
    for name, entry in named(checker, tree, "datasets"):
        here = ("datasets", name)
        if "source" not in entry:
            checker.mistake((*here, "source"), f"is missing; it is one of {', '.join(schemas)}")
        elif str(entry["source"]) not in schemas:
            checker.unknown((*here, "source"), list(schemas), str(entry["source"]))
        elif dataset := checker.build(schemas[entry["source"]], entry, here):
            yield name, dataset


def check_images(checker: Checker, tree: Any) -> Iterator[tuple[str, Images]]:
    """Each data set of a user's own images; ``domains`` makes it one of two, ``min_per_class`` may be left out."""
    for name, entry in named(checker, tree, "images"):
        schema = ImageDomains if "domains" in entry else Images
        images = checker.build(schema, {"min_per_class": None} | entry, ("images", name))
        if images and images.min_per_class and not images.labels:
            checker.mistake(("images", name, "min_per_class"), "needs classes, and labels is false; leave it out")
        elif images:
            yield name, images


def source_name(schema: Any) -> str:
    """The one value of its ``source`` key."""
    return str(get_args(schema.__pydantic_fields__["source"].annotation)[0])


def check_runs(checker: Checker, tree: Any, defaults: Mapping[str, Any], datasets: Tree) -> Iterator[tuple[str, Run]]:
    """Each run, its ``train`` laid over the defaults, its ``settings`` by the schema of its paper."""
    for name, entry in named(checker, tree, "runs"):
        here = ("runs", name)
        for key in entry:
            if key not in RUN_KEYS:
                checker.unknown((*here, str(key)), RUN_KEYS)
        for key in ("variant", "dataset", "network"):
            if key not in entry:
                checker.mistake((*here, key), "is missing")
        network = checker.build(Network, entry["network"], (*here, "network")) if "network" in entry else None
        own = entry.get("train", {})
        merged = {**defaults, **own} if isinstance(own, dict) else own
        elsewhere = frozenset((*defaults, *(f.name for f in fields(Train)))) - frozenset(
            own if isinstance(own, dict) else ()
        )
        train = checker.build(Train, merged, (*here, "train"), elsewhere)
        if "dataset" in entry and str(entry["dataset"]) not in datasets:
            checker.unknown((*here, "dataset"), list(map(str, datasets)), str(entry["dataset"]))
        settings = None
        if "variant" in entry and str(entry["variant"]) not in variants():
            checker.unknown((*here, "variant"), variants(), str(entry["variant"]))
        elif "variant" in entry:
            settings = checker.build(settings_of(entry["variant"]), entry.get("settings", {}), (*here, "settings"))
            check_fit(checker, here, entry, network, train, datasets.get(str(entry.get("dataset"))))
        if settings and train:
            for key, sentence in at_odds(settings.model_dump(), train, datasets.get(str(entry.get("dataset")))):
                checker.mistake((*here, "settings", key), sentence)
        if network and train and settings and not checker.mistakes:
            yield name, Run(entry["variant"], entry["dataset"], network, train, settings.model_dump())


def check_fit(
    checker: Checker, here: tuple[str, ...], entry: Tree, network: Network | None, train: Train | None, dataset: Any
) -> None:
    """Whether the family has the networks a paper asks for, and the data set and its batches what it asks of them."""
    variant, asked = entry["variant"], asks(entry["variant"])
    source = dataset.get("source") if isinstance(dataset, dict) else None
    if network:
        family, has = (*here, "network", "family"), roles()
        if lacking := sorted((asked & set(ROLES)) - has[network.family]):
            able = [f for f in FAMILIES if asked & set(ROLES) <= has[f]]
            checker.mistake(
                family,
                f"is '{network.family}', which has no {' and no '.join(lacking)}; for variant '{variant}' use "
                f"{' or '.join(able)}",
            )
        if not network.latent and asked & {"prior", "latent"}:
            checker.mistake((*here, "network", "latent"), f"is 0; variant '{variant}' draws from a latent of 1 or more")
        if network.family in IMAGES_ONLY and source in POINTS:
            checker.mistake(family, f"is '{network.family}', which draws images only; use mlp")
    if isinstance(dataset, dict) and "pair" in asked and source not in PAIRS and "domains" not in dataset:
        needs = f"variant '{variant}' needs two, as source {' or '.join(PAIRS)} has, and images with `domains`"
        checker.mistake((*here, "dataset"), f"is '{entry['dataset']}', which has one domain; {needs}")
    if train and train.instance_noise and "pair" in asked:
        checker.mistake(
            (*here, "train", "instance_noise"),
            f"is {train.instance_noise}; variant '{variant}' translates real samples, and its fakes would lack the "
            "noise, by which any discriminator tells them; set it to 0 for this run",
        )
    if isinstance(dataset, dict) and "label" in asked and (source in UNLABELLED or dataset.get("labels") is False):
        checker.mistake(
            (*here, "dataset"), f"is '{entry['dataset']}', which has no labels, and variant '{variant}' needs them"
        )


IMAGES_ONLY = ("dcgan", "resnet", "resnet_gan")


def at_odds(settings: Mapping[str, Any], train: Train, dataset: Any) -> Iterator[tuple[str, str]]:
    """Settings that are right one by one, and wrong together, or with this batch or data: key and sentence."""
    declared = dataset if isinstance(dataset, dict) else {}
    points, said = declared.get("source") in POINTS, settings.get
    if train.batch_size % said("pack", 1):
        yield "pack", f"is {settings['pack']}, which does not divide train.batch_size {train.batch_size}"
    if said("augment") and points:
        yield "augment", "changes images, and this data set holds points; leave it empty"
    if said("likelihood") == "bernoulli" and points:
        yield "likelihood", "is 'bernoulli', which is for pixels, and this data set holds points; use gaussian"
    if said("matching_aware") and 1 in (len(declared.get(key, "no list")) for key in ("kinds", "weights")):
        yield "matching_aware", "needs a wrong label, and this data set has one class; set it to false"
    if said("categories") == 0 == said("continuous"):
        yield "categories", "is 0, and so is continuous: without any code this is the variant 'gan'"
    if said("form") == "neural":
        if not settings["lowest"] < settings["start"] < settings["highest"]:
            yield "start", f"is {settings['start']}; it must lie between lowest and highest"
        if settings["clip"] > 8:
            yield "clip", f"is {settings['clip']}; a neural f is tabulated for |v| of at most 8"


POINTS = ("ring", "grid", "mixture", "line")
"""The sources of points; the others yield images."""
PAIRS = ("digit_domains",)
"""The sources of two unpaired domains."""
UNLABELLED = ("line",)
"""The sources without labels."""
SOURCE_SCHEMAS: tuple[type[Dataset], ...] = get_args(Dataset)
RUN_KEYS = [f.name for f in fields(Run)]


def find(entries: Mapping[str, T], name: str, what: str) -> T:
    """A declared entry by name.

    Raises:
        InputError: there is none, with the names there are.
    """
    if name not in entries:
        close = difflib.get_close_matches(name, entries, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"params.yaml declares no {what} '{name}', only {', '.join(entries) or 'none'}{meant}")
    return entries[name]
