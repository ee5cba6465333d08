"""A run or a data set that is made elsewhere: its workspace, a project of its own, and how what was made comes home."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.config import clean
from gan_core.config.schema import Params
from gan_core.runtime import files
from gan_core.runtime.errors import DataError

CODE = ("gan_core", "stages")
DECLARED = ("params.yaml", "dvc.yaml")
OF_RUNS = ("models", "players", "reports", "exported", ".state")
UNLOCKED = shutil.ignore_patterns("lock")
CONFIG = (
    "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n[cache]\n    type = hardlink,symlink\n"
)


@dataclass(frozen=True)
class Job:
    """A run or a data set in the making below ``work``, a folder that all nodes see; ``stages``: DVC's, in order."""

    work: Path
    name: str
    stages: tuple[str, ...]

    @property
    def is_data(self) -> bool:
        """Whether it prepares a data set, which may have the name of a run."""
        return self.stages[0].startswith("prepare")

    @property
    def key(self) -> str:
        """Its name among all jobs; no run has a dot in its own."""
        return f"{self.name}.data" if self.is_data else self.name

    @property
    def folder(self) -> Path:
        """Its workspace: a project of DVC, in which nothing else is made."""
        return self.work / "workspaces" / self.key

    @property
    def log(self) -> Path:
        """What its stages say."""
        return self.work / "logs" / f"{self.key}.log"

    @property
    def status(self) -> Path:
        """Where it is: see ``status.Status``."""
        return self.work / "status" / f"{self.key}.json"


def run_job(params: Params, run: str, work: Path) -> Job:
    """The job of a declared run."""
    warm = "_warm" if params.runs[run].init else ""
    return Job(work, run, tuple(f"{stage}{warm}@{run}" for stage in ("train", "evaluate", "export")))


def data_job(params: Params, dataset: str, work: Path) -> Job:
    """The job of a declared data set."""
    return Job(work, dataset, (f"prepare{'_images' if dataset in params.images else ''}@{dataset}",))


def outdated(jobs: Iterable[Job], root: Path = Path()) -> list[Job]:
    """The jobs of which DVC would run a stage in the project ``root``.

    Raises:
        DataError: DVC fails.
    """
    if not (every := list(jobs)):
        return []
    changed = json.loads(clean.dvc(root, "status", "--json", *(stage for job in every for stage in job.stages)))
    return [job for job in every if not changed.keys().isdisjoint(job.stages)]


def make_workspace(job: Job, params: Params, root: Path = Path()) -> None:
    """Bring the project's code and declaration into a workspace, and what is there already of what its stages need.

    What an earlier attempt has left there stays: its stages go on from it.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    copy_code(root, job.folder)
    for name in DECLARED:
        files.write(job.folder / name, (root / name).read_bytes())
    files.write(job.folder / ".dvc/config", CONFIG.encode())
    if job.is_data:
        link_pictures(job, params, root)
        return
    run = params.runs[job.name]
    for path in (Path("data/prepared") / run.dataset, Path("data/extractors") / f"{run.dataset}.safetensors"):
        copy(root / path, job.folder / path, link)
    if run.init and not Path(run.init.path).is_absolute():
        copy(root / run.init.path, job.folder / run.init.path)
    if not (job.folder / "dvc.lock").is_file():
        for path in (Path(folder) / job.name for folder in OF_RUNS):
            copy(root / path, job.folder / path)
        copy(root / "dvc.lock", job.folder / "dvc.lock")


def copy_code(root: Path, target: Path) -> None:
    """Bring a project's code into a folder, in place of what is there."""
    for name in CODE:
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))


def link_pictures(job: Job, params: Params, root: Path) -> None:
    """Let the pictures of a data set be found at their declared path; they are read where they lie."""
    path = Path(params.images[job.name].path) if job.name in params.images else None
    if path and not path.is_absolute():
        link = job.folder / path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to((root / path).resolve())


def bring_home(job: Job, root: Path = Path()) -> None:
    """Take what a job's stages made into this folder's project: outputs, saved state, dvc.lock and DVC's cache.

    Raises:
        DataError: a stage has not run there, or declaration, code or data here are no longer those it ran with.
    """
    locked = clean.read_lock(job.folder)
    if lacking := [stage for stage in job.stages if stage not in locked]:
        raise DataError(f"{job.folder} holds no finished {', '.join(lacking)}; `gan cluster run {job.name}` makes it")
    for path in (out["path"] for stage in job.stages for out in locked[stage]["outs"]):
        copy(job.folder / path, root / path)
    if not job.is_data:
        copy(job.folder / ".state" / job.name, root / ".state" / job.name)
    lock(root, {stage: locked[stage] for stage in job.stages})
    try:
        clean.dvc(root, "commit", "--quiet", *job.stages)
    except DataError as error:
        raise DataError(
            f"'{job.name}' has come home, but not what it was made with: declaration, code or data have changed since "
            f"({error}); `dvc repro {job.stages[-1]}` makes it again"
        ) from None
    shutil.rmtree(job.folder)


def lock(root: Path, entries: dict[str, Any]) -> None:
    """Write stages into dvc.lock as DVC recorded them elsewhere; all others stay as they are."""
    from dvc.utils.serialize import modify_yaml

    with clean.project(root) as repo, repo.lock, modify_yaml(str(root / clean.LOCK)) as content:
        content.setdefault("schema", "2.0")
        content.setdefault("stages", {}).update(entries)


def link(source: str, target: str) -> None:
    """The same file under another name, or a copy where that lies on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy(source: Path, target: Path, how: Callable[[str, str], object] = shutil.copyfile) -> None:
    """Let a file or folder be as another, whole or not at all; nothing, where that is not there."""
    if source.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(target) as new:
            shutil.copytree(source, new, copy_function=how, dirs_exist_ok=True, ignore=UNLOCKED)
    elif source.is_file():
        files.write(target, source.read_bytes())
