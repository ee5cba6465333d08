"""How far a figure would move if other samples had been drawn: intervals of 95 % from resamples, seeded.

A resample is half of the samples, without replacement: a mean over it scatters as one over a whole new set does. The
usual bootstrap draws with replacement, and its twins make FID scatter twice as far as it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.distances import Features, frechet_of
from gan_core.runtime.seeds import fold

MOST = 3_000
"""At most so many of each kind are resampled; of more, a fixed choice, so that the interval is rather too wide."""
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


def of_frechet(a: Features, b: Features, figure: float, times: int, rng: np.random.Generator) -> Interval:
    """Of FID, both sides resampled."""

    def moments(x: Features, chosen: Chosen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean = chosen @ x / chosen.sum()
        centred = x - mean
        return mean, (centred * chosen[:, None]).T @ centred / (chosen.sum() - 1)

    pairs = zip(*(halves(len(x), times, rng) for x in (a, b)), strict=True)
    return around(figure, np.array([frechet_of(*moments(a, i), *moments(b, j)) for i, j in pairs]))


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
    """Of FID, of KID, and of every figure that is a mean over the values given here."""
    a, b = (x[:MOST] for x in (real, fake))
    pairs: dict[str, Callable[..., Interval]] = {"fid": of_frechet, "kid": of_kernel}
    found = {n: f(a, b, figures[n], times, source(seed, n)) for n, f in pairs.items() if n in figures}
    return found | {name: of_mean(values, times, source(seed, name)) for name, values in means.items()}
