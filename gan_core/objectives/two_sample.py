"""Distances between two samples that need no discriminator and no f."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_core.core.types import Sample
from gan_core.objectives.adversarial import same_form


def energy_distance(x: Sample, y: Sample) -> Tensor:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, unbiased, differentiable. Szekely & Rizzo 2013, eq. 2.

    Zero exactly when both distributions agree; in one dimension twice the Cramer distance.
    """
    same_form(x, y)
    return 2 * distances(x, y).mean() - within(x) - within(y)


def within(x: Sample) -> Tensor:
    """E|X - X'| over distinct pairs."""
    return distances(x, x).sum() / (len(x) * (len(x) - 1))


def distances(x: Sample, y: Sample) -> Tensor:
    """|x_i - y_j|, (N, M), its gradient finite where they coincide."""
    squares = (x.flatten(1)[:, None] - y.flatten(1)[None]).square().sum(2)
    return torch.where(squares > 0, squares, 1.0).sqrt() * (squares > 0)
