"""Reads params.yaml, all of it, and says every mistake at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gan_core.config.checker import Checker, Mistaken, Tree
from gan_core.config.places import IMPORTS, WARM
from gan_core.config.rules import (
    check_datasets,
    check_features,
    check_images,
    check_imports,
    check_parents,
    check_runs,
    check_torch,
)
from gan_core.config.schema import OPTIONAL, SECTIONS, Evaluate, Export, Extractor, Params, Train
from gan_core.runtime.errors import InputError, did_you_mean

T = TypeVar("T")


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check all of params.yaml.

    Raises:
        Mistaken: with every mistake, one a line: ``params.yaml:12: runs.gan.train.lrr is unknown ...``.
        InputError: the file cannot be read.
    """
    checker = Checker(path)
    return typed(checker, checker.parse())


def typed(checker: Checker, tree: Tree) -> Params:
    """A declaration as typed values.

    Raises:
        Mistaken: with every mistake that the checker has noted.
    """
    for name in tree:
        if name not in SECTIONS:
            checker.unknown((name,), list(SECTIONS))
    for name in SECTIONS:
        if name not in tree and name not in OPTIONAL:
            checker.mistake((name,), "is missing")
    torch, threads = tree.get("torch"), tree.get("threads")
    if "torch" in tree:
        check_torch(checker, torch)
    if "threads" in tree and (type(threads) is not int or threads < 1):
        checker.mistake(("threads",), f"is {threads!r}: must be a whole number of at least 1")
    train_tree = tree.get("train")
    train = checker.build(Train, train_tree, ("train",)) if "train" in tree else None
    extractor = checker.build(Extractor, tree["extractor"], ("extractor",)) if "extractor" in tree else None
    evaluate = checker.build(Evaluate, tree["evaluate"], ("evaluate",)) if "evaluate" in tree else None
    export = checker.build(Export, tree["export"], ("export",)) if "export" in tree else None
    datasets = dict(check_datasets(checker, tree.get("datasets", {})))
    images = dict(check_images(checker, tree.get("images", {})))
    defaults = train_tree if isinstance(train_tree, dict) else {}
    declared: Tree = {}
    for section in ("datasets", "images"):
        declared |= named_once(checker, tree.get(section), section, declared, "a data set")
    entries: Tree = {}
    for section in ("runs", WARM, IMPORTS):
        entries |= named_once(checker, tree.get(section), section, entries, "a run")
    runs = dict(check_runs(checker, tree.get("runs", {}), defaults, declared))
    runs |= check_runs(checker, tree.get(WARM, {}), defaults, declared, WARM)
    check_parents(checker, tree.get(WARM, {}), entries)
    imports = dict(check_imports(checker, tree.get(IMPORTS, {}), declared))
    if evaluate:
        check_features(checker, evaluate.features, {**runs, **imports}, declared)
    for name in export.engines.here if export else ():
        if name not in entries:
            checker.unknown(("export", "engines", "here"), list(map(str, entries)), name)
    if checker.mistakes:
        raise Mistaken(checker.mistakes)
    assert torch and threads and train and extractor and evaluate and export
    return Params(torch, threads, datasets, images, runs, train, extractor, evaluate, export, imports)


def named_once(checker: Checker, tree: Any, section: str, above: Tree, what: str) -> Tree:
    """The entries of a section, none of which may have the name of one above."""
    entries: Tree = tree if isinstance(tree, dict) else {}
    for name in above.keys() & entries.keys():
        checker.mistake((section, str(name)), f"is the name of {what} above as well; give it another")
    return entries


def find(entries: Mapping[str, T], name: str, what: str) -> T:
    """A declared entry by name.

    Raises:
        InputError: there is none, with the names there are.
    """
    if name not in entries:
        known = ", ".join(entries) or "none"
        raise InputError(f"params.yaml declares no {what} '{name}', only {known}{did_you_mean(name, entries)}")
    return entries[name]
