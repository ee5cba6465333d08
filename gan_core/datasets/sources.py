"""Where data comes from. Each source yields raw samples, labels and facts; SOURCES is the table of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.config import Dataset, Digits, Grid, Ring


@dataclass(frozen=True)
class Raw:
    """Samples before the split: images uint8 (N, H, W, C) or points float32 (N, D); labels int64 (N,) or None."""

    samples: NDArray[Any]
    labels: NDArray[np.int64] | None
    classes: int
    facts: dict[str, Any] = field(default_factory=dict)


def digits(_spec: Digits) -> Raw:
    """The 1,797 handwritten digits of 8x8 pixels and 17 grey levels that ship inside scikit-learn (UCI, CC BY 4.0)."""
    from sklearn.datasets import load_digits  # a second of import that no other source needs

    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    licence = "CC BY 4.0: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI (1998)"
    return Raw(images, labels.astype(np.int64), 10, {"licence": licence})


def mixture(centres: NDArray[np.float64], std: float, count: int, seed: int) -> Raw:
    """Points of an equal mixture of Gaussians; the label is the component. Facts carry the truth for the metrics."""
    rng = np.random.Generator(np.random.Philox(seed))
    labels = np.arange(count) % len(centres)
    points = centres[labels] + rng.normal(0, std, (count, centres.shape[1]))
    truth = {"centres": centres.round(9).tolist(), "std": std}
    return Raw(points.astype(np.float32), labels, len(centres), {"mixture": truth, "licence": "generated"})


def ring(spec: Ring) -> Raw:
    """Gaussians at equal angles on the unit circle."""
    angles = 2 * np.pi * np.arange(spec.modes) / spec.modes
    return mixture(np.stack([np.cos(angles), np.sin(angles)], 1), spec.std, spec.count, spec.seed)


def grid(spec: Grid) -> Raw:
    """Gaussians on a square grid of spacing 2, all divided by 2.828 (the data of the WGAN-GP and PacGAN papers)."""
    axis = 2.0 * np.arange(spec.side) - (spec.side - 1)
    centres = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    scale = 2 * np.sqrt(2)
    return mixture(centres / scale, float(spec.std / scale), spec.count, spec.seed)


SOURCES: dict[type[Dataset], Callable[[Any], Raw]] = {Digits: digits, Ring: ring, Grid: grid}


def read(spec: Dataset) -> Raw:
    """The raw data of a declaration."""
    return SOURCES[type(spec)](spec)
