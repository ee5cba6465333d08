"""Declared runs on a cluster: data sets, then runs, each as soon as what it starts from is there; all come home."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from gan_core.cluster import on_ray, schedulers, status
from gan_core.cluster.carry import Carrier
from gan_core.cluster.job import Job, bring_home, copy_code, data_job, make_workspace, outdated, run_job
from gan_core.cluster.resources import Resources
from gan_core.cluster.schedulers import Place
from gan_core.config import places
from gan_core.config.load import find
from gan_core.config.schema import Params
from gan_core.runtime import progress
from gan_core.runtime.errors import DataError, FoundryError, InputError
from gan_core.runtime.process import exclusive_lock


def run(params: Params, names: Sequence[str], work: Path, address: str, nodes: int, wanted: Resources) -> None:
    """Make what is not up to date of some runs on a cluster, and bring it into this folder's project.

    Raises:
        InputError: there is no such run, or its shards cannot be shared.
        EnvironmentFailure: there is no such cluster, or its nodes cannot reach ``work``.
        FoundryError: a run failed; all others have come home.
    """
    for name in (names := with_parents(params, names)):
        shards = params.runs[name].train.shards
        if shards % wanted.processes:
            raise InputError(
                f"--processes {wanted.processes} does not divide train.shards {shards} of '{name}'; change one of them"
            )
    work = work.resolve()
    with exclusive_lock(work, "work folder", "used"):
        datasets = dict.fromkeys(params.runs[name].dataset for name in names)
        data = outdated(data_job(params, dataset, work) for dataset in datasets)
        runs = [run_job(params, name, work) for name in names]
        if not data and not (runs := outdated(runs)):
            say("nothing to do: every run is up to date")
            return
        lay_out(work)
        with on_ray.connected(address, nodes, work) as (ray, at):
            carried = None
            if apart := on_ray.check_nodes(ray, work, wanted):
                say(f"{', '.join(apart)}: {work} is not seen there, so files are carried through Ray")
                carried = on_ray.carrier(ray, at, work)
            failed = make(ray, data, params, Resources(cpus=wanted.cpus), carried)
            without = {name: failed[of] for name in names if (of := params.runs[name].dataset) in failed}
            runs = outdated(job for job in runs if job.name not in without)
            failed = {**without, **make(ray, runs, params, wanted, carried)}
    if failed:
        names_of = ", ".join(failed)
        first = next(iter(failed.values()))
        raise type(first)(f"{len(failed)} of {len(names)} runs failed ({names_of}); the first: {first}")


def with_parents(params: Params, names: Sequence[str]) -> list[str]:
    """Some runs, and those of this project whose networks they start from.

    Raises:
        InputError: there is no such run.
    """
    found: dict[str, None] = {}
    for name in names:
        find(params.runs, name, "run")
        at: str | None = name
        while at in params.runs and at not in found:
            found[at] = None
            at = parent_of(run_job(params, at, Path()), params)
    return list(found)


def fetch(params: Params, names: Sequence[str], work: Path) -> list[str]:
    """Bring home those of some runs that another scheduler has finished; returns their names.

    Raises:
        InputError: there is no such run.
        DataError: what came home was made with something else.
    """
    jobs = [run_job(params, name, work.resolve()) for name in names if find(params.runs, name, "run")]
    done = [job for job in jobs if job.folder.is_dir() and not outdated([job], job.folder)]
    for job in done:
        bring_home(job)
    return [job.name for job in done]


def write(
    params: Params, names: Sequence[str], work: Path, kind: str, out: Path, wanted: Resources, place: Place
) -> list[Path]:
    """Make a workspace for each of some runs, and the files by which another scheduler runs them; returns these.

    Raises:
        InputError: there is no such run.
        DataError: its data are not prepared, or what it starts from is not there; or all is up to date.
    """
    jobs = [run_job(params, name, work.resolve()) for name in names if find(params.runs, name, "run")]
    first = [data_job(params, dataset, work) for dataset in dict.fromkeys(params.runs[n].dataset for n in names)]
    first += [run_job(params, parent, work) for job in jobs if (parent := parent_of(job, params))]
    if lacking := [job.stages[0] for job in outdated(first)]:
        raise DataError(f"the runs need {', '.join(lacking)} first: `dvc repro {' '.join(lacking)}`")
    if not (jobs := outdated(jobs)):
        raise DataError("nothing to write: every run is up to date")
    for job in jobs:
        make_workspace(job, params)
    return schedulers.KINDS[kind](jobs, out, wanted, place)


def lay_out(work: Path) -> None:
    """Bring this project's code to where every node finds it, and forget where the jobs of an earlier call were."""
    copy_code(Path(), work / "code")
    shutil.rmtree(work / "status", ignore_errors=True)


def make(
    ray: ModuleType, jobs: Sequence[Job], params: Params, wanted: Resources, carried: Carrier | None
) -> dict[str, FoundryError]:
    """Have jobs done, and bring each home; returns why some were not."""
    waiting, ends = {job.name: job for job in jobs}, dict[Any, Job]()
    failed: dict[str, FoundryError] = {}
    for job in jobs:
        status.note(job, "waiting")
    told = time.monotonic()
    while waiting or ends:
        for job in [job for job in waiting.values() if parent_of(job, params) not in {*waiting, *of(ends)}]:
            del waiting[job.name]
            if (parent := parent_of(job, params)) in failed:
                failed[job.name] = type(failed[parent])(f"it starts from '{parent}', which failed")
                status.note(job, "failed")
                continue
            make_workspace(job, params)
            ends[on_ray.submit(ray, job, wanted, carried)] = job
        for end in on_ray.finished(ray, list(ends), 1.0) if ends else ():
            job = ends.pop(end)
            try:
                take_home(ray, end, job)
            except FoundryError as failure:
                failed[job.name] = failure
                status.note(job, "failed")
                say(f"{job.key}: failed: {failure} (all it said: {job.log})")
        if time.monotonic() - told > progress.EVERY:
            told = time.monotonic()
            show([job for job in jobs if job.name in of(ends)])
    return failed


def of(ends: dict[Any, Job]) -> set[str]:
    """The names of jobs that are not at their end."""
    return {job.name for job in ends.values()}


def parent_of(job: Job, params: Params) -> str | None:
    """The run of this project whose networks a run starts from."""
    declared = None if job.is_data else params.runs[job.name]
    networks = places.networks_of(declared.init.path, Path()) if declared and declared.init else None
    return networks[0] if networks else None


def take_home(ray: ModuleType, end: Any, job: Job) -> None:
    """Bring a job home that has ended well.

    Raises:
        FoundryError: it has not.
    """
    try:
        ray.get(end)
    except ray.exceptions.RayError as error:
        raise on_ray.cause(ray, error) from None
    bring_home(job)
    status.note(job, "done")
    say(f"{job.key}: done, and here")


def show(jobs: Sequence[Job]) -> None:
    """Where jobs are that have begun, a line each."""
    for job in jobs:
        if job.status.is_file() and (at := status.read(job.status)).node:
            again = f", attempt {at.attempt}" if at.attempt > 1 else ""
            say(f"{at.state} on {at.node}{again}: {status.last_line(job.log)}")


def say(what: str) -> None:
    """Tell a person."""
    print(what, file=sys.stderr, flush=True)
