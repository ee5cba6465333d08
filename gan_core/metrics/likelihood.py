"""Parzen windows: the log-likelihood of real samples under a density laid over drawn ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.distances import Features, squared_distances

WIDTHS = np.logspace(-1, 0, 10)
"""The widths that are tried, in units of [0, 1]."""


def log_likelihood(centres: Features, points: Features, width: float) -> NDArray[np.float64]:
    """Log of the mean over the centres (M, D) of N(x; centre, width^2 I), at every point (N, D)."""
    n, d = centres.shape
    exponents = (
        -squared_distances(rows, centres) / (2 * width**2) for rows in np.array_split(points, len(points) // 500 + 1)
    )
    tops = [(e, e.max(1, keepdims=True)) for e in exponents]
    sums = np.concatenate([np.log(np.exp(e - top).sum(1)) + top[:, 0] for e, top in tops])
    return np.asarray(sums - np.log(n) - d * np.log(width * np.sqrt(2 * np.pi)))


def parzen(fake: Features, validation: Features, real: Features) -> tuple[NDArray[np.float64], float]:
    """The log-likelihood of each real sample, and the width, chosen on the validation samples.

    The protocol of Goodfellow et al. 2014, section 5, in nats and in [0, 1]; a noisy measure in many dimensions that
    says little of quality (Theis et al. 2016), kept because papers give it.
    """
    width = float(max(WIDTHS, key=lambda w: log_likelihood(fake, validation, w).mean()))
    return log_likelihood(fake, real, width), width
