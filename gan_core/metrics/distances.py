"""Distances between two sets of features (N, D) and (M, D), in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]
DOWN, ACROSS = 500, 16_384
"""At most so many rows of one set are compared with so many of another at a time."""


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
    inner = (rows @ some.T / a.shape[1] + 1 for rows in pieces(a) for some in pieces(b, ACROSS))
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
    squares = (squared_distances(rows, some) for rows in pieces(a) for some in pieces(b, ACROSS))
    return float(sum(np.sqrt(each).sum() for each in squares))


def distance_within(x: Features) -> float:
    """Its mean over pairs of different rows of one set."""
    return distance_sum(x, x) / (len(x) * (len(x) - 1))


def squared_distances(a: Features, b: Features) -> Features:
    """||a_i - b_j||^2, (N, M)."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None]
    squares -= 2 * a @ b.T
    return np.asarray(squares.clip(0, out=squares))


def pieces(x: NDArray[Any], most: int = DOWN) -> list[NDArray[Any]]:
    """The rows of an array, in parts of equal size of at most so many."""
    return np.array_split(x, len(x) // most + 1)


def nearest(
    a: Features, b: Features, skip: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of every row of ``a`` the nearest row of ``b``, and its distance; ``skip``: one of ``b`` that does not count."""
    at, squares = np.zeros(len(a), np.int64), np.full(len(a), np.inf)
    for rows in pieces(np.arange(len(a))):
        for some in pieces(np.arange(len(b)), ACROSS):
            found = squared_distances(a[rows], b[some])
            if skip is not None:
                found[skip[rows][:, None] == some[None]] = np.inf
            best, least = some[found.argmin(1)], found.min(1)
            at[rows] = np.where(least < squares[rows], best, at[rows])
            squares[rows] = np.minimum(least, squares[rows])
    return at, np.sqrt(squares)


def prdc(real: Features, fake: Features, k: int) -> dict[str, NDArray[np.float64]]:
    """Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) with k neighbours.

    Each as the values, one a sample, whose mean it is: precision and density of the fakes, the others of the real ones.
    """
    radius_real, radius_fake = radius(real, k), radius(fake, k)
    inside, recall, coverage = np.zeros(len(fake), np.int64), [], []
    for rows, radii in zip(pieces(real), pieces(radius_real), strict=True):
        between = squared_distances(rows, fake)
        inside += (between < radii[:, None]).sum(0)
        recall.append((between < radius_fake[None]).any(1))
        coverage.append(between.min(1) < radii)
    values = {
        "precision": inside > 0,
        "recall": np.concatenate(recall),
        "density": inside / k,
        "coverage": np.concatenate(coverage),
    }
    return {name: value.astype(np.float64) for name, value in values.items()}


def radius(x: Features, k: int) -> Features:
    """The squared distance of every row to the k-th nearest other one."""
    # The k-th smallest: the 0-th is that of the sample to itself.
    return np.concatenate([np.partition(squared_distances(rows, x), k, axis=1)[:, k] for rows in pieces(x)])
