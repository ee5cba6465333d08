"""Distances between two sets of features (N, D) and (M, D), in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]


def frechet(a: Features, b: Features) -> float:
    """FID: ||m1 - m2||^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) of the Gaussians of two sets. Heusel et al. 2017, eq. 6."""
    c1, c2 = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    return frechet_of(a.mean(0), c1, b.mean(0), c2)


def frechet_of(m1: Features, c1: Features, m2: Features, c2: Features) -> float:
    """The same from means (D,) and covariances (D, D).

    The trace of the root is the sum of the roots of the eigenvalues of C1^1/2 C2 C1^1/2, which is symmetric.
    """
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()
    return float(np.square(m1 - m2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def kernel(a: Features, b: Features) -> float:
    """KID: the unbiased squared MMD with k(x, y) = (x.y / D + 1)^3. Binkowski et al. 2018, section 4."""
    return kernel_within(a) + kernel_within(b) - 2 * kernel_sum(a, b) / (len(a) * len(b))


def kernel_sum(a: Features, b: Features) -> float:
    """The kernel over all pairs of a row of one set and a row of the other."""
    inner = (rows @ b.T / a.shape[1] + 1 for rows in np.array_split(a, len(a) // 500 + 1))
    return float(sum(np.einsum("ij,ij,ij", k, k, k) for k in inner))


def kernel_within(x: Features) -> float:
    """Its mean over pairs of different rows of one set."""
    n = len(x)
    return (kernel_sum(x, x) - float(((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum())) / (n * (n - 1))


def energy(a: Features, b: Features) -> float:
    """2 E|A - B| - E|A - A'| - E|B - B'|, unbiased; zero exactly when both agree. Szekely & Rizzo 2013, eq. 2."""
    return 2 * distance_sum(a, b) / (len(a) * len(b)) - distance_within(a) - distance_within(b)


def distance_sum(a: Features, b: Features) -> float:
    """|a_i - b_j| over all pairs."""
    return float(sum(np.sqrt(squared_distances(rows, b)).sum() for rows in np.array_split(a, len(a) // 500 + 1)))


def distance_within(x: Features) -> float:
    """Its mean over pairs of different rows of one set."""
    return distance_sum(x, x) / (len(x) * (len(x) - 1))


def squared_distances(a: Features, b: Features) -> Features:
    """||a_i - b_j||^2, (N, M)."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    return np.asarray(squares.clip(0))


def prdc(real: Features, fake: Features, k: int) -> dict[str, NDArray[np.float64]]:
    """Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) with k neighbours.

    Each as the values, one a sample, whose mean it is: precision and density of the fakes, the others of the real ones.
    """
    # The k-th distance: the 0-th is that of the sample to itself.
    radius_real, radius_fake = (np.partition(squared_distances(x, x), k, axis=1)[:, k] for x in (real, fake))
    between = squared_distances(real, fake)
    inside_real = between < radius_real[:, None]
    values = {
        "precision": inside_real.any(0),
        "recall": (between < radius_fake[None]).any(1),
        "density": inside_real.sum(0) / k,
        "coverage": between.min(1) < radius_real,
    }
    return {name: value.astype(np.float64) for name, value in values.items()}
