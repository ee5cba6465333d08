"""What runs and data sets have left that are declared no more: what of it the pipeline made, and its removal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gan_core.config import places
from gan_core.config.schema import Params
from gan_core.runtime.errors import DataError, EnvironmentFailure
from gan_core.runtime.process import exclusive_lock

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCK = "dvc.lock"
STATE = ".state"
NAMED = 5
"""So many files that stay are named."""


@dataclass(frozen=True)
class LeftOver:
    """A folder or file of an entry that is gone: which files in it the pipeline made, and which it did not."""

    path: Path
    made: tuple[Path, ...]
    others: tuple[Path, ...]

    def said(self, root: Path) -> str:
        """Its name, what it takes, and what stays."""
        size = sum((root / path).lstat().st_size for path in self.made)
        names = [path.relative_to(self.path).as_posix() if path != self.path else "it" for path in self.others]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        stays = f"; no stage made {', '.join(names[:NAMED])}{more}, which stays" if names else ""
        return f"{self.path}: {size / 1e6:,.1f} MB{stays}"


@dataclass(frozen=True)
class Found:
    """All that is left over, and the stages of dvc.lock that no entry has."""

    root: Path
    left: tuple[LeftOver, ...]
    stages: tuple[str, ...]


def find(root: Path, params: Params) -> Found:
    """Look for what is left over in the project's folder ``root``.

    Raises:
        DataError: DVC cannot read the project.
    """
    left, locked = places.left_over(root, params.shipped, [*params.datasets, *params.images]), read_lock(root)
    with project(root) as repo:
        recorded = {*made_by_stages(repo, locked), *in_git(root, left)}
        declared = {stage.addressing for stage in repo.index.stages}
    looked_at = tuple(look(root, path, recorded) for path in left)
    return Found(root, looked_at, tuple(name for name in locked if name not in declared))


@contextmanager
def project(root: Path) -> Iterator[Repo]:
    """The project as DVC reads it.

    Raises:
        DataError: DVC cannot do what is asked of it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            yield repo
    except DvcException as error:
        raise DataError(f"DVC says of this project: {str(error).splitlines()[0]}; `dvc status` says more") from None


def dvc(root: Path, *arguments: str) -> str:
    """What a command of DVC prints in a project.

    Raises:
        DataError: it fails.
    """
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["?"]
        raise DataError(f"`dvc {arguments[0]}` fails: {said[-1].removeprefix('ERROR: ')}")
    return done.stdout


def read_lock(root: Path) -> dict[str, Any]:
    """The stages of dvc.lock by name."""
    path = root / LOCK
    stages: dict[str, Any] = (yaml.safe_load(path.read_text()) or {}).get("stages", {}) if path.is_file() else {}
    return stages


def made_by_stages(repo: Repo, locked: Mapping[str, Any]) -> Iterator[Path]:
    """Every file that dvc.lock records; those of a folder by the list of them in DVC's cache, if it is there."""
    for out in (out for stage in locked.values() for out in stage.get("outs", ())):
        path, content = Path(out["path"]), str(out.get("md5", ""))
        if not content.endswith(".dir"):
            yield path
        elif (listing := Path(repo.cache.local.oid_to_path(content))).is_file():
            yield from (path / entry["relpath"] for entry in json.loads(listing.read_text()))


def in_git(root: Path, paths: Iterable[Path]) -> Iterator[Path]:
    """The files below some paths that git has."""
    names = [path.as_posix() for path in paths]
    done = subprocess.run(["git", "ls-files", "-z", "--", *names], cwd=root, capture_output=True, text=True)
    yield from (Path(name) for name in done.stdout.split("\0") if name and names)


def look(root: Path, path: Path, recorded: set[Path]) -> LeftOver:
    """Which files of a left-over path were made by the pipeline. What is a link, or lies behind one, was not."""
    if not inside(root, path):
        return LeftOver(path, (), (path,))
    files = sorted(files_of(root, path))
    own = {f for f in files if f in recorded or path.parts[0] == STATE}
    return LeftOver(path, tuple(f for f in files if f in own), tuple(f for f in files if f not in own))


def inside(root: Path, path: Path) -> bool:
    """Whether a path lies in the project, with no link on the way."""
    return Path(os.path.realpath(root / path)) == Path(os.path.realpath(root)) / path


def files_of(root: Path, path: Path) -> Iterator[Path]:
    """A file, or every file of a folder; a link to a folder is one."""
    if not (root / path).is_dir():
        yield path
    for folder, folders, names in os.walk(root / path):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        yield from ((Path(folder) / name).relative_to(root) for name in (*names, *links))


def remove(found: Found) -> None:
    """Remove what the pipeline made, folders that are empty then, and the stages of dvc.lock.

    Raises:
        EnvironmentFailure: a command of DVC is at work, or a run that is left over is being trained.
    """
    from dvc.dvcfile import Lockfile
    from dvc.lock import LockError

    root = found.root
    with project(root) as repo, ExitStack() as held:
        try:
            held.enter_context(repo.lock)
        except LockError:
            raise EnvironmentFailure("a command of DVC is at work here; wait for it, then clean") from None
        for left in found.left:
            if left.path.parts[0] == STATE and left.made:
                held.enter_context(exclusive_lock(root / left.path))
        for left in found.left:
            locks = [left.path / "lock"] if left.path.parts[0] == STATE and left.made else []
            for path in (*left.made, *locks):
                (root / path).unlink(missing_ok=True)
            if inside(root, left.path):
                remove_empty(root / left.path)
        lockfile = Lockfile(repo, str(root / LOCK))
        for name in found.stages:
            lockfile.remove_stage(Named(name))


@dataclass(frozen=True)
class Named:
    """A stage of which nothing is left but its name."""

    name: str


def remove_empty(folder: Path) -> None:
    """Remove a folder's empty folders, and itself if nothing is left."""
    for path, _, _ in os.walk(folder, topdown=False):
        if not any(Path(path).iterdir()):
            Path(path).rmdir()
