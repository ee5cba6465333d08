"""The stages of a run, each in a process of its own, on less than is declared, in a folder that vanishes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from gan_core.config.load import find
from gan_core.config.places import WARM
from gan_core.core.feature_names import feature_name
from gan_core.data.readers.containers import listing
from gan_core.data.split import LEAST_FOR_COVERAGE
from gan_core.forecast import sample
from gan_core.forecast.child import MEASURED, size_of
from gan_core.runtime import errors

if TYPE_CHECKING:
    from gan_core.config.schema import Images, Params

Seconds = NDArray[np.float64]
"""(2,): of the clock, and of all cores used."""

ROOT = Path(__file__).parents[2]
TRIED, ENOUGH = 4, 8.0
"""Steps that show how fast one is, and seconds of steps that are then timed."""
STEPS_LEAST, STEPS_MOST = 8, 1_500
LEARNED = 60
"""Steps of the extractor that are timed."""
WHOLE, WHOLE_COSTLY, FEW, MORE = 1_500, 600, 500, 1_000
"""So many samples are measured as declared, in the features of a costly network fewer; of more, two smaller numbers."""
LOOKS = 3.0
"""Seconds of an evaluation in training from which on it is timed once."""


@dataclass(frozen=True)
class Places:
    """Where things lie, within a project's folder."""

    prepared: Path
    extractor: Path
    model: Path
    last: Path
    players: Path
    report: Path
    exported: Path
    state: Path


@dataclass(frozen=True)
class Spent:
    """What a process took, in all and in each call of what was watched; memory in bytes, of a GPU too."""

    seconds: Seconds
    memory: int
    device: int = 0
    state: int = 0
    updates: list[int] = field(default_factory=list)
    calls: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """(N, 4): the two clocks at the beginning and at the end."""

    def each(self, name: str) -> NDArray[np.float64]:
        """Seconds of every call of a function: (N, 2)."""
        calls = self.calls[name]
        return calls[:, 2:] - calls[:, :2]

    def of(self, *names: str) -> Seconds:
        """Seconds of all calls of some functions."""
        return np.sum([self.each(name).sum(0) for name in names], axis=0) if names else np.zeros(2)

    def rest(self, *names: str) -> Seconds:
        """Seconds of all else."""
        return self.seconds - self.of(*names)


@dataclass
class Measured:
    """What was measured of a run, and how much of it that was."""

    index: dict[str, Any]
    """Of the prepared set, or of what stands for it."""
    features: str
    prepare: Spent | None = None
    """None: the data set is prepared."""
    sample: sample.Sample | None = None
    images: int = 0
    """In the source, where a sample of it was prepared."""
    beyond: float = 1.0
    """How many times as large the prepared set would have to be."""
    train: Spent | None = None
    every: int = 1
    """Steps between two evaluations of that training."""
    evaluate: list[tuple[int, Spent]] = field(default_factory=list)
    """With so many samples each."""
    export: Spent | None = None
    kept: dict[str, int] = field(default_factory=dict)
    """Bytes that each stage leaves."""
    load: tuple[float, float] = (0.0, 0.0)
    """Of the machine, in the last minute, before and after."""
    seconds: float = 0.0


def measure(
    params: Params, tree: Mapping[str, Any], run: str, places: Places, folder: Path, say: Callable[[str], None]
) -> Measured:
    """Run every stage of a run on less, in ``folder``.

    ``params``, ``tree``: the declaration, typed and as plain values.

    Raises:
        FoundryError: a stage fails, in its words.
    """
    begun, load = time.perf_counter(), os.getloadavg()[0]
    declared = find(params.runs, run, "run")
    less = alone(tree, run, declared.dataset)
    less["extractor"] |= {"min_steps": LEARNED, "max_steps": LEARNED, "steps_per_class": 1}
    found = prepared(params, less, declared.dataset, places, folder, say)
    shape = found.index["shape"]
    found.features = feature_name(params.evaluate.features, shape)
    found.train, found.every = trained(params, less, run, places, folder, say)
    found.evaluate = evaluated(params, less, run, found, places, folder, say)
    found.export = exported(params, less, run, places, folder, say)
    for name, path in (("evaluate", places.report), ("export", places.exported)):
        found.kept[name] = size_of(folder / path)
    found.kept["train"] = size_of(folder / places.model) - size_of(folder / places.last)
    found.kept["train"] += size_of(folder / places.players)
    found.kept["engines"] = size_of(folder / places.exported / "engines")
    found.kept["prepare"] = size_of(folder / places.prepared) + (folder / places.extractor).stat().st_size
    found.load, found.seconds = (load, os.getloadavg()[0]), time.perf_counter() - begun
    return found


def alone(tree: Mapping[str, Any], run: str, dataset: str) -> dict[str, Any]:
    """A declaration of one run and its data set alone; paths that it names are made absolute."""
    less = deepcopy(dict(tree))
    for section in ("runs", WARM):
        less[section] = {name: entry for name, entry in less.get(section, {}).items() if name == run}
    if declared := less[WARM].get(run):
        declared["init"]["path"] = str(Path(declared["init"]["path"]).absolute())
    for section in ("datasets", "images"):
        less[section] = {name: entry for name, entry in less.get(section, {}).items() if name == dataset}
    for entry in less["images"].values():
        entry["path"] = str(Path(entry["path"]).absolute())
    if less["evaluate"]["inception"]:
        less["evaluate"]["inception"] = str(Path(less["evaluate"]["inception"]).absolute())
    less["export"]["engines"] |= {"here": [], "targets": less["export"]["engines"]["targets"][:1]}
    return less


def environment() -> dict[str, str]:
    """Of a stage that runs in another folder: this code is found there."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def stage(name: str, less: Mapping[str, Any], folder: Path, *arguments: str, whole: int = 0) -> Spent:
    """Run a stage on a declaration, in a process of its own.

    Raises:
        FoundryError: it fails, in its words.
    """
    (folder / "params.yaml").write_text(yaml.safe_dump(less, sort_keys=False))
    command = [sys.executable, "-m", "gan_core.forecast.child", f"stages.{name}", str(whole), *arguments]
    begun = time.perf_counter()
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = np.array([time.perf_counter() - begun, used.ru_utime + used.ru_stime])
        if process.returncode:
            log.seek(0)
            raise failure(name, process.returncode, log.read())
    made = json.loads((folder / MEASURED).read_text())
    calls = {k: np.array(v, np.float64).reshape(-1, 4) for k, v in made.pop("calls").items()}
    return Spent(seconds, **made, calls=calls)


def failure(name: str, code: int, log: str) -> errors.FoundryError:
    """What a stage said when it failed, as an error of the same exit code."""
    kinds = (errors.InputError, errors.DataError, errors.EnvironmentFailure, errors.NumericsError)
    kind = next((kind for kind in kinds if kind.exit_code == code), errors.EnvironmentFailure)
    lines = log.strip().splitlines()
    said = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), (lines or [""])[-1])
    return kind(f"the stage {name} fails on less of this run: {said or f'exit code {code}'}")


def prepared(
    params: Params, less: dict[str, Any], dataset: str, places: Places, folder: Path, say: Callable[[str], None]
) -> Measured:
    """The prepared set as it lies there, or one of a sample that is as large."""
    index = places.prepared / "index.json"
    spec = (params.images | params.datasets)[dataset]
    if index.is_file() and places.extractor.is_file():
        facts = json.loads(index.read_text())
        if facts.get("source") == json.loads(json.dumps(asdict(spec))):
            for path in (places.prepared, places.extractor):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).symlink_to(path.absolute())
            return Measured(facts, "")
    if dataset in params.datasets:
        say(f"preparing {dataset}, {LEARNED} steps of its extractor")
        spent = stage("prepare", less, folder, dataset)
        return Measured(json.loads((folder / index).read_text()), "", spent)
    images = params.images[dataset]
    listed = listing(images)
    with closing(listed.items):
        drawn = sample.drawn(listed.items, images, folder)
    less["images"][dataset] |= as_sampled(images, drawn)
    say(f"preparing {drawn.images:,} of {listed.total:,} pictures of {dataset}, {LEARNED} steps of its extractor")
    spent = stage("prepare_images", less, folder, dataset)
    beyond = sample.enlarge(folder / places.prepared, listed.total / drawn.images, images.heldout)
    for made in (drawn.path,):
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    facts = json.loads((folder / index).read_text())
    return Measured(facts, "", spent, drawn, listed.total, beyond)


def as_sampled(images: Images, drawn: sample.Sample) -> dict[str, Any]:
    """How a sample is declared: its classes are in it, whatever named them, and enough of it is held out."""
    changed: dict[str, Any] = {"path": drawn.path.name, "labels": bool(images.labels), "min_per_class": None}
    changed["on_bad_image"] = "skip"
    changed |= dict.fromkeys(("spelling", "links", "image_column", "store"))
    if not isinstance(images.heldout, str):
        changed["heldout"] = min(max(images.heldout, 1.1 * LEAST_FOR_COVERAGE / drawn.images), 0.5)
    return changed


def trained(
    params: Params, less: dict[str, Any], run: str, places: Places, folder: Path, say: Callable[[str], None]
) -> tuple[Spent, int]:
    """A few steps, then as many as are timed in some seconds, with three evaluations unless they are slow.

    Returns what these took, and after how many steps each they were evaluated.
    """
    train = params.runs[run].train
    own = (less["runs"] | less[WARM])[run].setdefault("train", {})

    def steps(count: int, every: int) -> Spent:
        own.update({"steps": count, "evaluate_every": every, "checkpoint_every": count})
        shutil.rmtree(folder / places.model, ignore_errors=True)
        return stage("train", less, folder, run, whole=train.steps)

    every = count = min(TRIED, train.steps)
    say(f"training {run} for {count} of {train.steps:,} steps")
    spent = steps(count, every)
    if count < train.steps:
        one = float(spent.each("advance")[count // 2 :, 0].mean())
        looks = 3 if float(spent.each("on_step_end")[-1, 0]) < LOOKS else 1
        count = min(train.steps, max(STEPS_LEAST, min(STEPS_MOST, round(ENOUGH / one))))
        every = -(-count // looks)
        say(f"training {run} for {count:,} steps")
        spent = steps(count, every)
    last = folder / places.last
    if train.steps <= train.evaluate_every:  # evaluated once, at the last step, which therefore ships
        shutil.rmtree(last, ignore_errors=True)
    elif not last.is_dir():  # where an earlier step is better, and it mostly is, both are kept and measured
        made = [*(folder / places.model).glob("*.safetensors")]
        last.mkdir(parents=True)
        for path in made:
            shutil.copy(path, last / path.name)
    return spent, every


def counts(index: Mapping[str, Any], samples: int) -> tuple[int, int]:
    """How many samples are drawn, and how many of all kinds are looked at, where so many are asked for."""
    train, heldout = (int(index["counts"][part]) for part in ("train", "heldout"))
    drawn = min(samples, train)
    return drawn, 2 * drawn + min(samples, heldout)


def evaluated(
    params: Params,
    less: dict[str, Any],
    run: str,
    found: Measured,
    places: Places,
    folder: Path,
    say: Callable[[str], None],
) -> list[tuple[int, Spent]]:
    """Evaluate few samples as declared; of many, two smaller numbers."""
    dataset, samples = params.runs[run].dataset, params.evaluate.samples
    limit = WHOLE if found.features in ("own", "coordinates") else WHOLE_COSTLY
    drawn, _ = counts(found.index, samples)
    spent = []
    for n in [samples] if drawn <= limit else [FEW, min(MORE, drawn)]:
        less["evaluate"]["samples"] = n
        shutil.rmtree(folder / places.state, ignore_errors=True)
        say(f"evaluating {min(n, drawn):,} samples")
        spent.append((n, stage("evaluate", less, folder, run, dataset)))
    return spent


def exported(
    params: Params, less: dict[str, Any], run: str, places: Places, folder: Path, say: Callable[[str], None]
) -> Spent:
    """Export, with engines for one compute capability."""
    say("exporting")
    return stage("export", less, folder, run, params.runs[run].dataset)
