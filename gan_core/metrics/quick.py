"""What is measured while a run trains: a few cheap numbers on what it draws, against its own training data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_core.metrics.distances import (
    Features,
    distance_sum,
    distance_within,
    frechet,
    kernel_sum,
    kernel_within,
    squared_distances,
)
from gan_core.seeds import fold
from gan_core.types import Sample, Samples

BATCH = 256
LOOKED_AT = 2_000
"""So many real samples are compared with, chosen once."""
MANIFOLD, NEIGHBOURS = 1_000, 5
"""How many of both ``precision`` and ``coverage`` look at."""


def in_batches(function: Any, *columns: Samples) -> Tensor:
    """A function of rows over many rows, a few at a time; no more of a column than that is asked for."""
    with torch.no_grad():
        starts = range(0, max(len(columns[0]), 1), BATCH)
        return torch.cat([function(*(c[k : k + BATCH] for c in columns)) for k in starts])


def features(extractor: nn.Module, x: Samples) -> Features:
    """(N, D) float64."""
    out: Features = in_batches(extractor.features, x).double().cpu().numpy()
    return out


def chosen(count: int, most: int, *path: int | str) -> Tensor:
    """The rows of at most ``most`` of ``count`` samples: a fixed choice that depends on the path alone."""
    source = torch.Generator().manual_seed(fold(*path))
    return torch.randperm(count, generator=source)[:most]


class Quick:
    """Drawn samples against the same real ones every time, so that two looks differ by the generator alone.

    ``distance`` is KID in the extractor's features. Of points, whose features are their coordinates, it is the energy
    distance instead: KID's kernel is a cubic, and two sets of points with the same first three moments are one to it.
    """

    def __init__(self, extractor: nn.Module, real: Samples, device: str = "cpu") -> None:
        self.extractor = extractor
        self.raw = not hasattr(extractor, "head")
        rows = chosen(len(real), LOOKED_AT, "looked at")
        seen = in_batches(lambda some: extractor.features(real[some].to(device)), rows)  # type: ignore[operator]
        self.real: Features = seen.double().cpu().numpy()
        few = self.real[:MANIFOLD]
        self.radius = np.partition(squared_distances(few, few), NEIGHBOURS, axis=1)[:, NEIGHBOURS]
        self.spread = self._spread(self.real)
        self.within = distance_within(self.real) if self.raw else kernel_within(self.real)

    @property
    def distance(self) -> str:
        """The name of the figure that says which of two looks is the better one."""
        return "energy_distance" if self.raw else "kid"

    def __call__(self, fake: Sample) -> dict[str, float]:
        """The figures of drawn samples. ``spread``: how far they lie from their mean, the data being 1."""
        found = features(self.extractor, fake)
        between = squared_distances(self.real[:MANIFOLD], found[:MANIFOLD])
        return {
            self.distance: self._distance(found),
            "fid": frechet(self.real, found),
            "spread": self._spread(found) / self.spread,
            "precision": float((between < self.radius[:, None]).any(0).mean()),
            "coverage": float((between.min(1) < self.radius).mean()),
        }

    def _distance(self, found: Features) -> float:
        """``kernel`` or ``energy`` from the real samples; what does not change was computed before."""
        pairs = len(self.real) * len(found)
        if self.raw:
            return 2 * distance_sum(self.real, found) / pairs - distance_within(found) - self.within
        return self.within + kernel_within(found) - 2 * kernel_sum(self.real, found) / pairs

    @staticmethod
    def _spread(x: Features) -> float:
        return float(np.sqrt(x.var(0).sum()))
