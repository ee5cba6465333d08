"""What is measured while a run is trained: a few cheap figures of its samples, against its own training data."""

from __future__ import annotations

import numpy as np
from torch import nn

from gan_core.core.samples import Chosen, Samples
from gan_core.metrics.batching import features, fixed_rows
from gan_core.metrics.distances import (
    Features,
    distance_sum,
    distance_within,
    frechet,
    kernel_sum,
    kernel_within,
    squared_distances,
)

REAL = 2_000
"""So many real samples are compared with, chosen once."""
MANIFOLD, NEIGHBOURS = 1_000, 5
"""How many of both ``precision`` and ``coverage`` use."""


class OnlineMeasure:
    """Generated samples against the same real ones every time, so that evaluations differ by the generator alone.

    ``distance`` is KID in the extractor's features. Of points, whose features are their coordinates, it is the energy
    distance instead: KID's kernel is a cubic, and two sets of points with the same first three moments are one to it.
    """

    def __init__(self, extractor: nn.Module, real: Samples, device: str = "cpu") -> None:
        self.extractor = extractor
        self.raw = not hasattr(extractor, "head")
        rows = fixed_rows(len(real), REAL, "looked at")
        self.real: Features = features(extractor, Chosen(real, rows), device)
        few = self.real[:MANIFOLD]
        self.radius = np.partition(squared_distances(few, few), NEIGHBOURS, axis=1)[:, NEIGHBOURS]
        self.spread = self._spread(self.real)
        self.within = distance_within(self.real) if self.raw else kernel_within(self.real)

    @property
    def distance(self) -> str:
        """The name of the figure that says which of two evaluations is the better one."""
        return "energy_distance" if self.raw else "kid"

    def __call__(self, fake: Samples) -> dict[str, float]:
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
