"""A claim of a paper, how it is measured, its bar, and the table of all verdicts.

A bar is written before anything is measured, and is never moved to meet a figure. A claim that misses its bar stays in
the table with its figure; one that is known to miss it carries the reason.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import statistics
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import groupby
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from gan_core.runtime import files
from gan_core.runtime.device import set_up
from gan_core.runtime.errors import DataError
from gan_core.runtime.process import die_with_parent

Figures = dict[str, float]
Measure = Callable[[int], Figures]
"""From a seed to figures; a module's function, or a partial of one, so that another process finds it."""

SPAWN = multiprocessing.get_context("spawn")
JSON, MARKDOWN = "claims.json", "claims.md"
HEAD = """\
# What the papers claim, measured

Written by `make claims`; `python -m claims --only G1 W2` measures some again. Each seed runs on one CPU core.
A bar holds when the figures on the named seeds meet it; of several seeds the median is shown, and the range.
"""


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, and the bar at which it counts as reproduced. Claims may share a ``measure``."""

    id: str
    paper: str
    says: str
    protocol: str
    bar: str
    measure: Measure
    holds: Callable[[Sequence[Figures]], bool]
    """The bar, over the figures of all seeds."""
    shows: tuple[str, ...] = ()
    """The figures that belong to this claim, where a measure has more."""
    seeds: tuple[int, ...] = (0,)
    cost: float = 60.0
    """About how many seconds a seed takes; the longest start first."""
    fast: bool = False
    known: str = ""
    """Why it does not hold here, where that is known."""


@dataclass(frozen=True)
class Row:
    """A claim and what was measured."""

    id: str
    paper: str
    says: str
    protocol: str
    bar: str
    seeds: list[int]
    figures: list[Figures]
    holds: bool
    seconds: int
    torch: str
    known: str = ""
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether it misses its bar for no known reason."""
        return not (self.holds or self.known)

    @property
    def verdict(self) -> str:
        """Holds, or does not, and why."""
        if self.holds:
            return "holds"
        reason = self.known or self.error
        return f"does not hold: {reason}" if reason else "does not hold"

    @property
    def measured(self) -> str:
        """Each figure: its value, or of several seeds the median and the range."""
        if not self.figures:
            return "nothing"
        columns = {name: [f[name] for f in self.figures] for name in self.figures[0]}
        return ", ".join(f"{name} {spread(values)}" for name, values in columns.items())


@dataclass(frozen=True)
class Outcome:
    """What one seed of one measure came to."""

    figures: Figures
    seconds: float
    error: str = ""


def spread(values: Sequence[float]) -> str:
    """Three digits of the median, and of the range where the values differ."""
    low, middle, high = (f"{v:.3g}" for v in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def each(bar: Callable[[Figures], bool]) -> Callable[[Sequence[Figures]], bool]:
    """A bar that every seed must meet."""
    return lambda seeds: all(map(bar, seeds))


def work(measure: Measure, seed: int, result: Connection) -> None:
    """Measure one seed: one thread, deterministic, and an error instead of a figure that is no number."""
    die_with_parent()
    set_up(1)
    started = time.perf_counter()
    try:
        figures = {name: float(value) for name, value in measure(seed).items()}
        wrong = [f"{name} is {value}" for name, value in figures.items() if not math.isfinite(value)]
        error = ", ".join(wrong)
    except Exception as exception:
        traceback.print_exc()
        figures, error = {}, f"{type(exception).__name__}: {exception}"
    result.send(Outcome({} if error else figures, time.perf_counter() - started, error))


def alone(measure: Measure, seed: int) -> Outcome:
    """Measure one seed in a process of its own, which may die without taking anything else along."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=work, args=(measure, seed, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        outcome: Outcome = ours.recv()
    except EOFError:
        process.join()
        return Outcome({}, 0.0, f"its process ended with exit code {process.exitcode}")
    process.join()
    return outcome


def row_of(claim: Claim, outcomes: Sequence[Outcome]) -> Row:
    """The row of a claim whose seeds are all measured."""
    error = "; ".join(dict.fromkeys(o.error for o in outcomes if o.error))
    figures = [] if error else [{n: o.figures[n] for n in claim.shows or o.figures} for o in outcomes]
    return Row(
        claim.id, claim.paper, claim.says, claim.protocol, claim.bar, list(claim.seeds), figures,
        holds=not error and bool(claim.holds([o.figures for o in outcomes])),
        seconds=round(sum(o.seconds for o in outcomes)),
        torch=torch.__version__, known=claim.known, error=error,
    )  # fmt: skip


def run(claims: Iterable[Claim], jobs: int) -> Iterator[Row]:
    """Measure claims, ``jobs`` seeds at a time, the longest first; a row as soon as a claim is done."""
    waiting = sorted(claims, key=lambda c: -c.cost)
    outcomes: dict[tuple[Measure, int], Outcome] = {}
    with ThreadPoolExecutor(jobs) as pool:
        tasks = dict.fromkeys((c.measure, seed) for c in waiting for seed in c.seeds)
        futures = {pool.submit(alone, *task): task for task in tasks}
        try:
            for future in as_completed(futures):
                outcomes[futures[future]] = future.result()
                for claim in [c for c in waiting if all((c.measure, seed) in outcomes for seed in c.seeds)]:
                    waiting.remove(claim)
                    yield row_of(claim, [outcomes[claim.measure, seed] for seed in claim.seeds])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read(folder: Path) -> dict[str, Row]:
    """The rows of an earlier table, if there is one."""
    path = folder / JSON
    try:
        return {name: Row(**row) for name, row in files.read_json(path).items()} if path.exists() else {}
    except (TypeError, AttributeError) as error:
        raise DataError(f"{path} is no table of claims ({error}); remove it and run `make claims`") from None


def write(folder: Path, rows: Mapping[str, Row], order: Sequence[str]) -> None:
    """Both forms of the table, rows in ``order`` and any others after them."""
    ordered = [*(rows[name] for name in order if name in rows), *(r for name, r in rows.items() if name not in order)]
    content = json.dumps({row.id: plain(row) for row in ordered}, indent=2, allow_nan=False)  # figures keep their order
    files.write(folder / JSON, f"{content}\n".encode())
    files.write(folder / MARKDOWN, render(ordered).encode())


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON, its figures to six digits."""
    return asdict(row) | {"figures": [{name: float(f"{v:.6g}") for name, v in f.items()} for f in row.figures]}


def render(rows: Sequence[Row]) -> str:
    """The table as Markdown, a section a paper."""
    columns = ("id", "claim", "protocol", "bar", "measured", "seeds", "verdict", "seconds")
    lines = [HEAD]
    papers = list(dict.fromkeys(row.paper for row in rows))
    for paper, group in groupby(sorted(rows, key=lambda r: papers.index(r.paper)), key=lambda r: r.paper):
        lines += [f"## {paper}", "", line(columns), line(["---"] * len(columns))]
        for row in group:
            seeds = ", ".join(map(str, row.seeds))
            cells = (row.id, row.says, row.protocol, row.bar, row.measured, seeds, row.verdict, str(row.seconds))
            lines.append(line(cells))
        lines.append("")
    return "\n".join(lines)


def line(cells: Iterable[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '&#124;') for cell in cells)} |"
