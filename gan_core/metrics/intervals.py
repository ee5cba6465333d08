"""How far a figure would move if other samples had been drawn: intervals of 95 %.

A Frechet distance is a smooth function of two samples' moments, so its scatter follows from how much each sample moves
it. All else is resampled, seeded. A resample is half of the samples, without replacement: a mean over it scatters as
one over a whole new set does. The usual bootstrap draws with replacement, and its twins make KID scatter twice as far.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.distances import Features
from gan_core.runtime.seeds import fold

MOST = 3_000
"""At most so many of each kind are resampled; of more, a fixed choice, so that the interval is rather too wide."""
NORMAL, TINY = 1.96, 1e-9
"""Deviations of a normal figure's 95 %; the share of the largest variance below which there is no direction."""
Interval = list[float]
Chosen = NDArray[np.float64]
"""(resamples, samples): 1 for those that are in, 0 for the others."""


def source(seed: int, *path: str) -> np.random.Generator:
    """Numbers that depend on the seed and the name of the figure alone."""
    return np.random.Generator(np.random.Philox(fold(seed, "resample", *path)))


def halves(n: int, times: int, rng: np.random.Generator) -> Chosen:
    """So many halves of ``n`` samples."""
    chosen = np.zeros((times, n))
    chosen[:, : n // 2] = 1
    return rng.permuted(chosen, axis=1)


def around(figure: float, replicates: NDArray[np.float64]) -> Interval:
    """The middle 95 % of the replicates about their own mean, laid about the figure.

    A half has more of a figure's bias than the whole, so where it lies says nothing; how it scatters does.
    """
    low, high = np.quantile(replicates, (0.025, 0.975)) - replicates.mean()
    return [figure + float(low), figure + float(high)]


def of_mean(values: NDArray[np.float64], times: int, rng: np.random.Generator) -> Interval:
    """Of a mean over samples."""
    return around(float(values.mean()), halves(len(values), times, rng) @ values / (len(values) // 2))


def of_frechet(a: Features, b: Features, figure: float) -> Interval:
    """Of a Frechet distance, from the influence of each sample of both sets on it.

    With T the optimal transport from the Gaussian of b to that of a, C1^1/2 (C1^1/2 C2 C1^1/2)^-1/2 C1^1/2, a sample x
    of b moves the distance by 2 (m2 - m1).(x - m2) + (x - m2)' (I - T) (x - m2) less its mean, over n: the derivative
    of tr (C1^1/2 C2 C1^1/2)^1/2 in C2 is T / 2. For a, the inverse of T takes its place.
    """
    (m1, m2), (c1, c2) = (x.mean(0) for x in (a, b)), (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    root, inverse = power(c1, 0.5), power(c1, -0.5)
    middle = root @ c2 @ root
    to_a, to_b = root @ power(middle, -0.5) @ root, inverse @ power(middle, 0.5) @ inverse
    variance = 0.0
    for x, mean, other, transport in ((a, m1, m2, to_b), (b, m2, m1, to_a)):
        y = x - mean
        moved = 2 * y @ (mean - other) + np.einsum("ni,ni->n", y, y - y @ transport)
        variance += float(moved.var()) / len(x)
    return [figure - NORMAL * variance**0.5, figure + NORMAL * variance**0.5]


def power(c: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Of a symmetric matrix, on the space that it spans."""
    values, vectors = np.linalg.eigh(c)
    there = values > TINY * values.max()
    return np.asarray((vectors[:, there] * values[there] ** exponent) @ vectors[:, there].T)


def of_kernel(a: Features, b: Features, figure: float, times: int, rng: np.random.Generator) -> Interval:
    """Of KID, both sides resampled."""

    def gram(x: Features, y: Features) -> NDArray[np.float64]:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    def within(x: Features, chosen: Chosen) -> NDArray[np.float64]:
        k, n = gram(x, x), len(x) // 2
        np.fill_diagonal(k, 0)
        return np.asarray(np.einsum("ti,ti->t", chosen @ k, chosen) / (n * (n - 1)))

    i, j = (halves(len(x), times, rng) for x in (a, b))
    cross = np.einsum("ti,ti->t", i @ gram(a, b), j) / ((len(a) // 2) * (len(b) // 2))
    return around(figure, within(a, i) + within(b, j) - 2 * cross)


def intervals(
    real: Features,
    fake: Features,
    figures: Mapping[str, float],
    means: Mapping[str, NDArray[np.float64]],
    times: int,
    seed: int,
) -> dict[str, Interval]:
    """Of the Frechet distance, of KID, and of every figure that is a mean over the values given here, two or more."""
    a, b = (x[:MOST] for x in (real, fake))
    found = {"fd": of_frechet(real, fake, figures["fd"])} if "fd" in figures else {}
    if "kid" in figures:
        found["kid"] = of_kernel(a, b, figures["kid"], times, source(seed, "kid"))
    return found | {
        name: of_mean(values, times, source(seed, name)) for name, values in means.items() if len(values) > 1
    }
