"""Runs that differ in nothing but their seed, as one line each: mean and deviation, as Lucic et al. 2018 compare."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from gan_core.config.schema import Run
from gan_core.core.feature_names import in_features
from gan_core.metrics.record import read_figures

FIGURES = ("fd", "kid", "precision", "recall", "coverage")
NAME_ENDS = "-_0123456789"


@dataclass(frozen=True)
class Group:
    """Runs of one declaration over several seeds, and one role of theirs."""

    name: str
    role: str
    found: Sequence[Mapping[str, Any]]

    def cell(self, figure: str) -> str:
        """Mean and standard deviation over the seeds; a dash where it was not measured."""
        values = [float(f[figure]) for f in self.found if figure in f]
        if len(values) < len(self.found):
            return "–"
        deviation = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
        return f"{statistics.fmean(values):.3g}{deviation}"


def groups(runs: Mapping[str, Run], reports: Path) -> Iterator[Group]:
    """Every group of measured runs, in the order of the declaration; a run of which there is but one seed is one."""
    alike: dict[str, list[str]] = {}
    for name, run in runs.items():
        if (reports / name / "metrics.json").is_file():
            declared = run.to_json()
            del declared["train"]["seed"]
            alike.setdefault(json.dumps(declared, sort_keys=True), []).append(name)
    for names in alike.values():
        metrics = [read_figures(reports / name / "metrics.json") for name in names]
        common = "".join(a[0] for a in takewhile(lambda c: len(set(c)) == 1, zip(*names, strict=False)))
        for role, found in metrics[0].items():
            if "protocol" in found:
                yield Group(common.rstrip(NAME_ENDS) if len(names) > 1 else common, role, [m[role] for m in metrics])


def table(found: Sequence[Group], figures: Sequence[str] = ()) -> str:
    """A Markdown table; without ``figures``, the usual ones and whatever else says much of one of the groups."""
    usual = dict.fromkeys(in_features(n, g.found[0]["protocol"]["features"]) for n in FIGURES for g in found)
    columns = figures or [*usual, *(n for n in MORE if any(n in g.found[0] for g in found))]
    head = ["run", "role", "seeds", *columns]
    rows = [[g.name, g.role, str(len(g.found)), *map(g.cell, columns)] for g in found]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


MORE = ("modes", "class_kl", "label_accuracy", "category_accuracy", "translation_r2", "high_quality")
