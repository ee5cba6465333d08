"""What goes wrong in a run, in words, from what was seen of it so far. Knows no paper and moves no weight.

An accusation needs evidence from several looks in a row; one bad look is no illness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

Row = Mapping[str, float]
"""One look: its step, and what was seen."""

IN_A_ROW = 3
"""So many looks must agree."""
SOLVED, APART = 0.9, 0.95
"""The chance that a real sample is scored higher: trained on against held out; real against drawn."""
PINNED = 0.99
"""The share of log 2 at which the Jensen-Shannon estimate says nothing more."""
VANISHED = 1e-2
"""The gradient's norm as a share of the largest seen."""
GAIN = 0.02
"""A figure that has changed by a smaller share of itself is no better."""
CRAMPED, NARROW = 0.3, 0.2
"""Spread and coverage of a collapse, as shares of the data's."""


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
class Illness:
    """A name, whether the looks so far show it, and how it is said; the sentence is filled from the last look."""

    kind: str
    shows: Callable[[Sequence[Row]], bool]
    says: str
    over: Callable[[Row], bool] = lambda _: True
    """Whether a look that does not show it ends it."""


def solved(looks: Sequence[Row]) -> bool:
    """The judge knows the training samples by heart: it scores new real ones far below them."""
    return throughout(looks, lambda x: x["train_over_heldout"] >= SOLVED and x["real_over_drawn"] >= APART)


def pinned(looks: Sequence[Row]) -> bool:
    """The judge tells all from all, and the samples have got no better for it."""
    at_most = throughout(looks, lambda x: x["js"] >= PINNED * log(2))
    return at_most and stuck(looks, "distance")


def vanished(looks: Sequence[Row]) -> bool:
    """The gradient has fallen by orders of magnitude, all is told from all, and the samples get no better."""
    largest = max(x["gradient"] for x in looks)
    lost = throughout(looks, lambda x: x["gradient"] <= VANISHED * largest and x["real_over_drawn"] >= APART)
    return lost and stuck(looks, "distance")


def collapsed(looks: Sequence[Row]) -> bool:
    """Samples of a small part of the data, or nearly the same ones."""

    def narrow(x: Row) -> bool:
        return x["coverage"] <= NARROW and (x["spread"] <= CRAMPED or x["precision"] >= 5 * max(x["coverage"], 0.05))

    return throughout(looks, narrow) and stuck(looks, "coverage", 1)


ILLNESSES = (
    Illness(
        "sample_solved",
        solved,
        "the discriminator has solved the sample: it scores a training sample above a real one it has not met with "
        "chance {train_over_heldout:.2f} (0.50 were fair), so what it teaches is the sample, not the data; bring more "
        "data, or add r1, instance noise or augmentation",
    ),
    Illness(
        "js_pinned",
        pinned,
        "the Jensen-Shannon estimate stands at {js:.3f}, and log 2 = 0.693 is all it can say: the discriminator tells "
        "every drawn sample from every real one, and the samples get no better; add r1 or instance noise, or use a "
        "Wasserstein critic (wgan_gp)",
    ),
    Illness(
        "vanishing_gradient",
        vanished,
        "the gradient that reaches the generator has fallen to {gradient:.1e}, a hundredth of what it was or less, "
        "and the samples get no better; use a non-saturating objective, r1 or instance noise, or wgan_gp",
    ),
    Illness(
        "mode_collapse",
        collapsed,
        "the samples have collapsed: they spread {spread:.0%} as far as the data and come near {coverage:.0%} of it; "
        "lower the learning rate, add r1, pack samples, or use wgan_gp",
        lambda look: look["coverage"] > NARROW,
    ),
)


def throughout(looks: Sequence[Row], holds: Callable[[Row], bool]) -> bool:
    """Whether something holds at each of the last looks."""
    return len(looks) >= IN_A_ROW and all(map(holds, looks[-IN_A_ROW:]))


def stuck(looks: Sequence[Row], figure: str, sign: int = -1) -> bool:
    """Whether a figure is no better at the last look than before the last few; with ``sign`` 1 more is better."""
    values = [sign * x[figure] for x in looks]
    if len(values) <= IN_A_ROW:
        return False
    before = max(values[:-IN_A_ROW])
    return values[-1] <= before + GAIN * abs(before)


def events(looks: Sequence[Row], role: str = "") -> list[dict[str, Any]]:
    """Every illness at the look where it shows first, and the look where it is over; a function of the looks alone."""
    found: list[dict[str, Any]] = []
    of = f"{role}: " if role else ""
    for illness in ILLNESSES:
        ill = False
        for k, look in enumerate(looks):
            try:
                shows = illness.shows(looks[: k + 1])
            except KeyError:  # there is no judge, or no gradient, to know it by
                break
            if shows and not ill:
                found.append({"step": look["step"], "kind": illness.kind, "says": of + illness.says.format(**look)})
            elif ill and not shows and illness.over(look):
                says = f"{of}{illness.kind.replace('_', ' ')} is over"
                found.append({"step": look["step"], "kind": "recovered", "says": says})
            ill = shows or (ill and not illness.over(look))
    return sorted(found, key=lambda event: event["step"])
