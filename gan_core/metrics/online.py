"""What is measured while a run is trained: a few cheap figures of its samples, against its own training data."""

from __future__ import annotations

import numpy as np
import torch

from gan_core.core.samples import Chosen, Samples
from gan_core.metrics.batching import fixed_rows
from gan_core.metrics.distances import (
    Features,
    distance_sum,
    distance_within,
    frechet,
    kernel_sum,
    kernel_within,
    squared_distances,
)
from gan_core.metrics.features import FeatureNetwork

REAL, DRAWN, REAL_FEW, DRAWN_FEW = 2_000, 1_024, 1_000, 512
"""So many real samples, chosen once, and drawn ones are compared; and in the features of a costly network."""
MANIFOLD, NEIGHBOURS = 1_000, 5
"""How many of both ``precision`` and ``coverage`` use."""


class OnlineMeasure:
    """Generated samples against the same real ones every time, so that evaluations differ by the generator alone.

    ``distance`` is KID in a network's features. Of points, whose features are their coordinates, it is the energy
    distance instead: KID's kernel is a cubic, and two sets of points with the same first three moments are one to it.
    """

    def __init__(self, network: FeatureNetwork, real: Samples, *which: str | int) -> None:
        self.network = network
        self.raw = network.name == "coordinates"
        most, self.drawn = (REAL_FEW, DRAWN_FEW) if network.costly else (REAL, DRAWN)
        rows = fixed_rows(real, most + self.drawn, "looked at")
        seen = network.remembered(Chosen(real, rows), "looked at", *which)
        self.real: Features = seen[:most]
        few = self.real[:MANIFOLD]
        k = min(NEIGHBOURS, len(few) - 1)
        self.radius = np.partition(squared_distances(few, few), k, axis=1)[:, k]
        self.spread = self._spread(self.real)
        self.within = distance_within(self.real) if self.raw else kernel_within(self.real)
        self.floor = self._coverage(seen[-self.drawn :])

    @property
    def features(self) -> str:
        """The network's name."""
        return self.network.name

    @property
    def distance(self) -> str:
        """The name of the figure that says which of two evaluations is the better one."""
        return "energy_distance" if self.raw else "kid"

    def __call__(self, fake: Samples) -> dict[str, float]:
        """The figures of drawn samples.

        ``spread``: how far they lie from their mean, the data being 1; left out where the data are all alike.
        ``covered``: their coverage, that of as many real samples being 1.
        """
        found = self.network(Chosen(fake, torch.arange(min(len(fake), self.drawn))))
        between = squared_distances(self.real[:MANIFOLD], found[:MANIFOLD])
        coverage = float((between.min(1) < self.radius).mean())
        return {
            self.distance: self._distance(found),
            "fd": frechet(self.real, found),
            **({"spread": self._spread(found) / self.spread} if self.spread else {}),
            "precision": float((between < self.radius[:, None]).any(0).mean()),
            "coverage": coverage,
            "covered": coverage / max(self.floor, MANIFOLD**-1),
        }

    def _coverage(self, found: Features) -> float:
        """The share of real samples with one of these in their neighbourhood."""
        return float((squared_distances(self.real[:MANIFOLD], found[:MANIFOLD]).min(1) < self.radius).mean())

    def _distance(self, found: Features) -> float:
        """``kernel`` or ``energy`` from the real samples; what does not change was computed before."""
        pairs = len(self.real) * len(found)
        if self.raw:
            return 2 * distance_sum(self.real, found) / pairs - distance_within(found) - self.within
        return self.within + kernel_within(found) - 2 * kernel_sum(self.real, found) / pairs

    @staticmethod
    def _spread(x: Features) -> float:
        return float(np.sqrt(x.var(0).sum()))
