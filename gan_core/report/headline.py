"""What a run comes to in a line: its verdict, and the few figures that every table of runs shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from gan_core.core.feature_names import in_features

TELLING = (
    "translation_r2",
    "psnr",
    "class_kept",
    "label_accuracy",
    "category_accuracy",
    "reconstruction_class_kept",
    "modes",
    "high_quality",
    "recognised",
)
"""What only some runs can be measured by; the first that there are say most."""
FIGURES = ("fd", "kid", "precision", "recall")
"""What all runs are measured by: distances, quality, variety."""


def listed(things: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(things[:-1]), *things[-1:]]))


def verdict(measured: Mapping[str, Mapping[str, Any]], events: Sequence[Mapping[str, Any]] | None) -> tuple[str, str]:
    """(level, verdict) of a run: ``good``, ``warn``, ``bad``, or ``none`` where it was not monitored.

    What went wrong in training, unless it is over, and what the figures say of its samples. ``measured``: the figures
    of each role that draws; ``events``: what was detected in training, in order, None where it was not monitored.
    """
    alarms = [str(event["kind"]) for event in events or () if event["kind"] != "recovered"]
    over = len(events or ()) - len(alarms) >= len(alarms)
    of_figures = [kind for found in measured.values() for kind in sorted(found.get("verdicts", {}))]
    if kinds := in_words([*of_figures, *([] if over else alarms)]):
        return "bad", kinds
    if events is None:
        return "none", "not monitored"
    if alarms:
        return "warn", f"{in_words(alarms)}, over"
    if any(found.get("unknown") for found in measured.values()):
        return "none", "nothing wrong is seen, of few samples"
    return "good", "healthy"


def in_words(kinds: Sequence[str]) -> str:
    """Kinds of failure as a person reads them, each once."""
    return listed([kind.replace("_", " ") for kind in dict.fromkeys(kinds)])


def headline(
    measured: Mapping[str, Mapping[str, Any]], events: Sequence[Mapping[str, Any]] | None
) -> dict[str, float | str]:
    """Its figures, what real samples score (``fd_own_real``), the step whose weights ship, and its verdict.

    Of several roles the mean. Each is a column of `dvc exp show`, so they are few; metrics.json has the rest.
    """
    of_roles = [of_role(found) for found in measured.values()]
    names = dict.fromkeys(name for figures in of_roles for name in figures)
    means = {name: fmean(figures[name] for figures in of_roles if name in figures) for name in names}
    steps = [int(step) for found in measured.values() if (step := found["protocol"].get("step")) is not None]
    return {**means, **({"step": max(steps)} if steps else {}), "verdict": verdict(measured, events)[1]}


def of_role(found: Mapping[str, Any]) -> dict[str, float]:
    """The headline figures of one role."""
    names = [in_features(figure, found["protocol"]["features"]) for figure in FIGURES]
    figures = {name: float(found[name]) for name in names if name in found}
    floor = {f"{names[0]}_real": float(found["real"][names[0]])} if names[0] in found["real"] else {}
    return figures | floor | {name: float(found[name]) for name in [n for n in TELLING if n in found][:1]}
