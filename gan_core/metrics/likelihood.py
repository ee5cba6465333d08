"""Parzen windows: the log-likelihood of real samples under a density laid over drawn ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.distances import Features, pieces, squared_distances

WIDTHS = np.logspace(-1, 0, 10)
"""The widths that are tried, in units of [0, 1]."""


def log_likelihood(centres: Features, points: Features, width: float) -> NDArray[np.float64]:
    """Log of the mean over the centres (M, D) of N(x; centre, width^2 I), at every point (N, D)."""
    return log_mean((squared_distances(rows, centres) for rows in pieces(points)), width, centres.shape[1])


def log_mean(squares: Iterable[Features], width: float, d: int) -> NDArray[np.float64]:
    """The same from the squared distances of some points at a time to all centres, in ``d`` dimensions."""
    sums = []
    for each in squares:
        exponents = -each / (2 * width**2)
        top = exponents.max(1, keepdims=True)
        sums.append(np.log(np.exp(exponents - top).sum(1)) + top[:, 0] - np.log(each.shape[1]))
    return np.asarray(np.concatenate(sums) - d * np.log(width * np.sqrt(2 * np.pi)))


def parzen(fake: Features, validation: Features, real: Iterable[Features]) -> tuple[NDArray[np.float64], float]:
    """The log-likelihood of each real sample, some of which come at a time, and the width, chosen on validation ones.

    The protocol of Goodfellow et al. 2014, section 5, in nats and in [0, 1]; a noisy measure in many dimensions that
    says little of quality (Theis et al. 2016), kept because papers give it.
    """
    squares = [squared_distances(rows, fake) for rows in pieces(validation)]
    width = float(max(WIDTHS, key=lambda w: log_mean(squares, w, fake.shape[1]).mean()))
    return np.concatenate([log_likelihood(fake, some, width) for some in real]), width
