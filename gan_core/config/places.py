"""Where the pipeline keeps what it makes, and what a declaration names, held against what is there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from gan_core.runtime.errors import InputError

if TYPE_CHECKING:
    from gan_core.config.schema import Images, Import, Run

WARM = "warm_starts"
"""The section of runs that start from another's networks."""
IMPORTS = "imports"
"""The section of networks that were trained elsewhere."""
OF_RUNS = ("exported", "models", "players", "reports", "engines", "data/hardware", ".state")
OF_DATASETS = ("data/prepared", "data/extractors")
OWN = (*OF_DATASETS, *OF_RUNS, ".dvc", ".git")
"""Folders that the pipeline, DVC or git write into; in those of runs and data sets each entry has its name."""
FILES = (".json", ".safetensors")
"""Of files among these entries."""


def cannot_be_source(path: str, root: Path) -> str | None:
    """Why a path cannot be where a user's images lie, as the end of a sentence; ``root``: the project's folder."""
    at_home = path.partition("/")[0] == "~"
    if (written := os.path.expandvars(f"{Path.home()}{path[1:]}" if at_home else path)) != path:
        return f"is '{path}', and neither ~ nor $ is read here: write {written}"
    try:
        here = Path(os.path.realpath(root / path))
        own = {name: Path(os.path.realpath(root / name)) for name in OWN}
    except ValueError:
        return f"is {path!r}, which is no path"
    for name, folder in own.items():
        if folder.is_relative_to(here) or here.is_relative_to(folder):
            how = "lies in" if here.is_relative_to(folder) else "holds"
            return (
                f"is '{path}', which {how} {name}, where commands write; give the images a folder of their own, such "
                "as data/mine"
            )
    return None


NETWORKS = ("players", "models")
"""Where trained networks lie: all of a run, and what it ships."""


def networks_of(path: str, root: Path) -> tuple[str, str] | None:
    """Whose networks a path holds, and whether ``players`` or ``models``; None: it is none of the pipeline's."""
    whole = Path(os.path.realpath(root / path))
    return next(((whole.name, k) for k in NETWORKS if whole.parent == Path(os.path.realpath(root / k))), None)


def holds_no_networks(path: str, root: Path) -> str | None:
    """Why nothing can be started from a path, as the end of a sentence: the pipeline puts something else there."""
    whole = Path(os.path.realpath(root / path))
    others = (name for name in OWN if name not in NETWORKS and whole.is_relative_to(os.path.realpath(root / name)))
    return next((f"and {name}/ holds no networks to train on; write players/<run>" for name in others), None)


def parents_missing(runs: Mapping[str, Run], root: Path) -> Iterator[tuple[str, str]]:
    """Key and sentence for each warm start whose networks are no run's of this project, and not there."""
    for name, run in runs.items():
        path = run.init.path if run.init else ""
        if path and not networks_of(path, root) and not (root / path).is_dir():
            yield f"{WARM}.{name}.init.path", f"'{path}' does not exist; {remedy(path, root, 'networks')}"


def files_missing(imports: Mapping[str, Import], root: Path) -> Iterator[tuple[str, str]]:
    """Key and sentence for each imported network whose file is not there."""
    for name, spec in imports.items():
        if not (root / spec.file).is_file():
            yield f"{IMPORTS}.{name}.file", f"'{spec.file}' does not exist; {remedy(spec.file, root, 'file')}"


def missing(images: Mapping[str, Images], root: Path) -> Iterator[tuple[str, str]]:
    """Key and sentence for each data set whose images are not there; if DVC tracks them, what brings them."""
    for name, spec in images.items():
        if not (root / spec.path).exists():
            yield f"images.{name}.path", f"'{spec.path}' does not exist; {remedy(spec.path, root, 'images')}"


def remedy(path: str, root: Path, what: str) -> str:
    """How what a declaration names gets there."""
    if pointer := tracked_by(path, root):
        return f"`dvc pull {pointer}` brings it (`dvc checkout {pointer}` where it is in this machine's cache)"
    return f"look at the path, or put the {what} there"


def tracked_by(path: str, root: Path) -> Path | None:
    """The file by which DVC tracks a path or a folder above it, relative to the project's folder."""
    whole = Path(path)
    pointers = (p.with_name(f"{p.name}.dvc") for p in (whole, *whole.parents) if p.name not in ("", ".."))
    return next((pointer for pointer in pointers if (root / pointer).is_file()), None)


def declared_runs(path: Path) -> list[str]:
    """The names of all that a declaration ships, whatever else may be wrong with it; what serves has no schemas.

    Raises:
        InputError: it is no YAML.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read: `gan check` says where; or name the folders to use") from None
    sections = [tree.get(key) for key in ("runs", WARM, IMPORTS)] if isinstance(tree, dict) else []
    return [str(name) for runs in sections if isinstance(runs, dict) for name in runs]


def left_over(root: Path, runs: Collection[str], datasets: Collection[str]) -> list[Path]:
    """What runs and data sets have left that are not declared (any more), relative to the project's folder."""
    kept = dict.fromkeys(OF_RUNS, runs) | dict.fromkeys(OF_DATASETS, datasets)
    return [
        path.relative_to(root)
        for folder, names in kept.items()
        for path in sorted((root / folder).glob("[!.]*"))
        if (path.is_dir() or path.suffix in FILES) and name_of(path) not in names
    ]


def name_of(path: Path) -> str:
    """Of which run or data set a file or folder is."""
    return path.name.partition(".")[0]


def said_of(left: Collection[Path]) -> str:
    """What is left over, and the command that lists and removes it."""
    names = ", ".join(dict.fromkeys(map(name_of, left)))
    return f"declared no more, but still there: {names}; `gan clean` lists it, `gan clean --yes` removes it"
