"""From what was measured on less to what the whole run takes, by what each stage does how often."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from gan_core.forecast.measure import LEARNED, Measured, Seconds, Spent, counts

if TYPE_CHECKING:
    from gan_core.config.schema import Export, Extractor, Params, Train


@dataclass(frozen=True)
class Row:
    """What a stage takes: seconds, of the clock and of all cores; bytes of memory, of a GPU's, and of what it keeps."""

    stage: str
    seconds: Seconds
    memory: int
    device: int
    kept: int


def rows(found: Measured, params: Params, run: str) -> list[Row]:
    """Every stage of a run; none for a data set that is prepared."""
    declared = params.runs[run]
    shape, classes = found.index["shape"], int(found.index["classes"])
    made = []
    if found.prepare:
        seconds = preparing(found, params.extractor, classes)
        made.append(Row("prepare", seconds, found.prepare.memory, 0, round(found.kept["prepare"] * found.beyond)))
    assert found.train
    assert found.export
    train = Row("train", training(found.train, found.every, declared.train), *memory(found.train), found.kept["train"])
    seconds, bytes_needed = evaluating(found, params.evaluate.samples)
    evaluate = Row("evaluate", seconds, bytes_needed, 0, found.kept["evaluate"])
    took = exporting(found.export, params.export, found.evaluate[-1][0], params.evaluate.samples, prod(shape))
    return [*made, train, evaluate, Row("export", took, *memory(found.export), exported_bytes(found, params.export))]


def memory(spent: Spent) -> tuple[int, int]:
    """Of a process, and of a GPU."""
    return spent.memory, spent.device


def learning_steps(settings: Extractor, classes: int) -> int:
    """How many steps the extractor is trained for; without classes k-means finds ten."""
    return min(max(settings.steps_per_class * (classes if classes > 1 else 10), settings.min_steps), settings.max_steps)


def preparing(found: Measured, settings: Extractor, classes: int) -> Seconds:
    """What was prepared, the pictures that were not read, and the steps that the extractor did not take."""
    spent = found.prepare
    assert spent
    seconds = spent.seconds.copy()
    if found.sample:
        left = found.images - found.sample.images
        one, cores = found.sample, len(os.sched_getaffinity(0))
        seconds += left * np.array([one.reading + one.decoding / cores, one.reading + one.decoding])
        seconds += spent.of("accuracy", "clusters") * (found.images / found.sample.images - 1)
    if len(spent.calls["train_classifier"]):
        begun, ended = spent.calls["train_classifier"][0, 0], spent.calls["train_classifier"][0, 2]
        at = spent.calls["step"][:, 2:]
        at = at[(at[:, 0] > begun) & (at[:, 0] < ended)][LEARNED // 3 :]
        seconds += (at[-1] - at[0]) / (len(at) - 1) * (learning_steps(settings, classes) - LEARNED)
    return seconds


def training(spent: Spent, every: int, train: Train) -> Seconds:
    """Every step by how many updates it applies, every evaluation, every draw of samples to show, every saved state.

    ``every``: after so many steps what was measured was evaluated.
    """
    taken, called = spent.each("advance"), spent.each("on_step_end")
    count, half = len(taken), len(taken) // 2
    one = taken[half:].sum(0) / sum(spent.updates[half:count])
    seconds = spent.rest("advance", "on_step_end", "save") + taken.sum(0) + one * sum(spent.updates[count:])
    for here, there in (  # what is done now and then, in what was measured and in the whole run
        (looks(count, every), looks(train.steps, train.evaluate_every)),
        (shown(count, every), shown(train.steps, train.evaluate_every)),
    ):
        if here:
            seconds = seconds + np.mean([called[k - 1] for k in here], axis=0) * len(there)
    saves = 1 + len(looks(train.steps, train.checkpoint_every))
    return np.asarray(seconds + spent.each("save").mean(0) * saves)


def looks(steps: int, every: int) -> set[int]:
    """The steps after which something is done that is done every so many, and at the end."""
    return {*range(every, steps + 1, every), steps}


def shown(steps: int, every: int) -> set[int]:
    """The steps after which samples are drawn to be shown, and not evaluated."""
    from gan_core.training.monitor import snapshot_steps

    return {*snapshot_steps(steps)} - looks(steps, every)


def evaluating(found: Measured, samples: int) -> tuple[Seconds, int]:
    """Seconds and bytes: as measured, or on the line through two numbers of samples.

    What looks at no more than so many of them has a line of its own, which ends there.
    """
    from gan_core.metrics.evaluate import FEW
    from gan_core.metrics.measure import PAIRS

    (n, less), (m, more) = found.evaluate[0], found.evaluate[-1]
    drawn, looked = zip(*(counts(found.index, k) for k in (n, m, samples)), strict=True)
    if looked[0] == looked[1]:
        return more.seconds, more.memory
    share, most = beyond(*looked), {"last_step": FEW, "likeness": PAIRS}
    grown = (more.rest(*most) - less.rest(*most)) * share
    for name, end in most.items():
        grown += (more.of(name) - less.of(name)) * beyond(*(min(k, end) for k in drawn))
    together = less.seconds + more.seconds  # what else runs here disturbs the clock, and a difference most of all
    bytes_needed = more.memory + max(0, more.memory - less.memory) * share
    return more.seconds + grown[1] * together / together[1], round(bytes_needed)


def beyond(low: int, high: int, whole: int) -> float:
    """How far the last number lies beyond the second, from the first to the second being 1."""
    return (whole - high) / (high - low)


def exporting(spent: Spent, export: Export, measured: int, samples: int, size: int) -> Seconds:
    """Graphs as they are; the samples that each of them draws; engines for every compute capability."""
    from gan_core.export.ship import gated

    drawn = gated(samples, size) / gated(measured, size)
    again = spent.each("build")
    if len(again) > 1:
        again[0] = again[1]  # the first of a process sets the library up, and the second is of the same graph in pixels
    engines = spent.of("build") + again.sum(0) * (len(export.engines.targets) - 1)
    return np.asarray(spent.rest("fd_of", "build") + spent.of("fd_of") * drawn + engines)


def exported_bytes(found: Measured, export: Export) -> int:
    """Bytes that are exported: engines for every compute capability, and all else."""
    return found.kept["export"] + found.kept.get("engines", 0) * (len(export.engines.targets) - 1)


def table(found: Measured, params: Params, run: str) -> str:
    """The rows, their sum, and what they depend on, as lines for a terminal."""
    made = rows(found, params, run)
    on_gpu = any(row.device for row in made)
    lines = [heading(on_gpu)]
    total = sum((row.seconds for row in made), np.zeros(2))
    most = Row(
        "all",
        total,
        max(row.memory for row in made),
        max(row.device for row in made),
        sum(row.kept for row in made),
    )
    lines += [line(row, on_gpu) for row in (*made, most)]
    return "\n".join([*lines, "", *notes(found, params, run)])


def heading(on_gpu: bool) -> str:
    """Of the table."""
    device = f"{'on the GPU':>12}" if on_gpu else ""
    return f"{'stage':9}{'time':>13}{'CPU time':>13}{'memory':>11}{device}{'kept':>11}"


def line(row: Row, on_gpu: bool) -> str:
    """A row of the table."""
    wall, cpu = (duration(float(s)) for s in row.seconds)
    device = f"{size(row.device) if row.device else '':>12}" if on_gpu else ""
    return f"{row.stage:9}{wall:>13}{cpu:>13}{size(row.memory):>11}{device}{size(row.kept):>11}"


def notes(found: Measured, params: Params, run: str) -> Iterator[str]:
    """What else there is to know of a forecast."""
    dataset, train = params.runs[run].dataset, params.runs[run].train
    if found.prepare is None:
        yield f"{dataset} is prepared already."
    elif len(found.prepare.calls["train_classifier"]):
        classes = int(found.index["classes"])
        yield f"The extractor of {dataset} is to be trained: {learning_steps(params.extractor, classes):,} steps."
    else:
        yield f"No extractor is to be trained for {dataset}."
    if found.sample:
        yield f"{found.sample.images:,} of {found.images:,} pictures were prepared for this."
    last = float(found.evaluate[-1][1].of("last_step")[1])
    if last > 1:
        yield f"Of evaluate {duration(last)} of CPU time are for the last step's weights, and fall away if those ship."
    assert found.train
    yield (
        f"{len(found.train.calls['advance']):,} of {train.steps:,} steps were taken. While it trains, a run keeps "
        f"{size(2 * found.train.state)} more for its state."
    )
    before, after = found.load
    yield (
        f"Load of the machine: {before:.1f} before, {after:.1f} after, {len(os.sched_getaffinity(0))} cores; times are "
        f"those of a machine as busy as now. Memory is that of one process, and DVC's cache may hold what is kept "
        f"once more. This took {duration(found.seconds)}."
    )


def duration(seconds: float) -> str:
    """As a person says it: 41 s, 3 min 20 s, 2 h 13 min."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def size(count: float) -> str:
    """Bytes as a person says them."""
    for unit, least in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= least:
            return f"{count / least:.1f} {unit}" if count < 100 * least else f"{count / least:,.0f} {unit}"
    return f"{count / 1024:.0f} KiB"
