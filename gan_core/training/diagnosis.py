"""What goes wrong in training, in words, from the evaluations so far. Knows no paper and moves no weight.

A diagnosis needs evidence from several evaluations in a row; one bad evaluation is no failure.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gan_core.runtime.words import either

Row = Mapping[str, float]
"""One evaluation: its step, and what was measured."""

IN_A_ROW = 3
"""So many evaluations must agree."""
MEMORISED, SEPARATED = 0.9, 0.95
"""The chance that a real sample is scored higher: trained on against held out; real against drawn."""
SATURATED = 0.99
"""The share of log 2 at which the Jensen-Shannon estimate says nothing more."""
VANISHED = 1e-2
"""The gradient's norm as a share of the largest seen."""
GAIN = 0.02
"""A figure that has changed by a smaller share of itself is no better."""
SMALL_SPREAD, SMALL_COVERAGE = 0.3, 0.2
"""Spread and coverage of a collapse, as shares of the data's: ``covered`` is coverage as such a share."""


@torch.no_grad()
def ranked_above(these: Tensor, those: Tensor) -> float:
    """The chance that one of ``these`` scores is higher than one of ``those``; equal ones count half (the AUC)."""
    difference = these.double()[:, None] - those.double()[None]
    return float((difference > 0).double().mean() + (difference == 0).double().mean() / 2)


@torch.no_grad()
def jensen_shannon(real: Tensor, fake: Tensor) -> float:
    """The bound log 2 - 1/2 E softplus(-v(x)) - 1/2 E softplus(v(G(z))) of JS: for every v, sharp for log p/q."""
    return log(2) - float(softplus(-real.double()).mean() + softplus(fake.double()).mean()) / 2


@dataclass(frozen=True)
class FailureMode:
    """A name, whether the evaluations so far show it, and a sentence that is filled from the last one."""

    kind: str
    figures: tuple[str, ...]
    """What it is known by; evaluations without them are passed over."""
    detected: Callable[[Sequence[Row]], bool]
    says: str
    helps: tuple[tuple[str, str], ...]
    """What may help, and the setting that a run must have for it, or ``CRITIC``, ``AUGMENT``; "": any can do it."""
    recovered: Callable[[Row], bool] = lambda _: True
    """Whether an evaluation that does not show it ends it."""


def memorised(evaluations: Sequence[Row]) -> bool:
    """The discriminator overfits: it scores real samples that it has not met far below its training samples."""
    return throughout(evaluations, lambda x: x["train_over_heldout"] >= MEMORISED and x["real_over_fake"] >= SEPARATED)


def saturated(evaluations: Sequence[Row]) -> bool:
    """The discriminator tells every sample from every other, and the generator has got no better for it."""
    at_most = throughout(evaluations, lambda x: x["js"] >= SATURATED * log(2))
    return at_most and stuck(evaluations, "distance")


def vanished(evaluations: Sequence[Row]) -> bool:
    """The gradient has fallen by orders of magnitude, real and fake are separated, and the generator gets no better."""
    largest = max(x["gradient"] for x in evaluations)
    lost = throughout(evaluations, lambda x: x["gradient"] <= VANISHED * largest and x["real_over_fake"] >= SEPARATED)
    return lost and stuck(evaluations, "distance")


def collapsed(evaluations: Sequence[Row]) -> bool:
    """Samples of a small part of the data, or nearly the same ones."""

    def narrow(x: Row) -> bool:
        alike = x["spread"] <= SMALL_SPREAD or x["precision"] >= 5 * max(x["coverage"], 0.05)
        return x["covered"] <= SMALL_COVERAGE and alike

    return throughout(evaluations, narrow) and stuck(evaluations, "covered", 1)


CRITIC = "wgan_gp"
"""The paper that is advised, where it makes the same of the same data."""
AUGMENT = "augment"
"""What can be declared of images that are all of one size."""
NOISE, WASSERSTEIN = ("add instance noise", ""), (f"use a Wasserstein critic ({CRITIC})", CRITIC)
FAILURE_MODES = (
    FailureMode(
        "discriminator_overfitting",
        ("train_over_heldout", "real_over_fake"),
        memorised,
        "the discriminator overfits: it scores a training sample above a real one it has not met with probability "
        "{train_over_heldout:.2f} (0.50 is no overfitting), so it teaches the training set, not the distribution",
        (("add data", ""), ("augment it", AUGMENT), ("raise r1", "r1"), NOISE),
    ),
    FailureMode(
        "js_saturated",
        ("js", "distance"),
        saturated,
        "the Jensen-Shannon estimate is {js:.3f} of at most log 2 = 0.693: the discriminator tells every generated "
        "sample from every real one, and the samples get no better",
        (("raise r1", "r1"), NOISE, WASSERSTEIN),
    ),
    FailureMode(
        "vanishing_gradient",
        ("gradient", "real_over_fake", "distance"),
        vanished,
        "the gradient that reaches the generator has fallen to {gradient:.1e}, a hundredth of what it was or less, "
        "and the samples get no better",
        (("use a non-saturating objective", "objective"), ("raise r1", "r1"), NOISE, WASSERSTEIN),
    ),
    FailureMode(
        "mode_collapse",
        ("spread", "precision", "coverage", "covered"),
        collapsed,
        "mode collapse: the samples spread {spread:.0%} as far as the data and cover {covered:.0%} of it",
        (("lower the learning rate", ""), ("raise r1", "r1"), ("pack samples", "pack"), WASSERSTEIN),
        lambda evaluation: evaluation["covered"] > SMALL_COVERAGE,
    ),
)


def throughout(evaluations: Sequence[Row], holds: Callable[[Row], bool]) -> bool:
    """Whether something holds at each of the last evaluations."""
    return len(evaluations) >= IN_A_ROW and all(map(holds, evaluations[-IN_A_ROW:]))


def stuck(evaluations: Sequence[Row], figure: str, sign: int = -1) -> bool:
    """Whether a figure is no better at the last evaluation than before the last few; ``sign`` 1: more is better."""
    values = [sign * x[figure] for x in evaluations]
    if len(values) <= IN_A_ROW:
        return False
    before = max(values[:-IN_A_ROW])
    return values[-1] <= before + GAIN * abs(before)


def events(evaluations: Sequence[Row], role: str = "", has: Container[str] | None = None) -> list[dict[str, Any]]:
    """Every failure where it is first detected, and where it has recovered; a function of the evaluations alone.

    ``has``: settings of the run's paper, ``CRITIC`` and ``AUGMENT``, where they may be advised; None: all.
    """
    found: list[dict[str, Any]] = []
    of = f"{role}: " if role else ""
    for mode in FAILURE_MODES:
        failing, known = False, [x for x in evaluations if x.keys() >= set(mode.figures)]
        for k, evaluation in enumerate(known):
            detected, step = mode.detected(known[: k + 1]), evaluation["step"]
            if detected and not failing:
                ways = either(*(way for way, needs in mode.helps if not needs or has is None or needs in has))
                says = f"{of}{mode.says.format(**evaluation)}; {ways}"
                found.append({"step": step, "kind": mode.kind, "says": says})
            elif failing and not detected and mode.recovered(evaluation):
                says = f"{of}recovered from {mode.kind.replace('_', ' ')}"
                found.append({"step": step, "kind": "recovered", "says": says})
            failing = detected or (failing and not mode.recovered(evaluation))
    return sorted(found, key=lambda event: event["step"])
