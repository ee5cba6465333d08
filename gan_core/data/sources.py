"""Where data comes from. Each source yields raw samples, labels and facts; SOURCES is the table of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.config.schema import Dataset, DigitDomains, Digits, Grid, Line, Mixture, Ring, Shapes, StackedDigits


@dataclass(frozen=True)
class Raw:
    """Samples before the split: images uint8 (N, H, W, C) or points float32 (N, D); labels int64 (N,) or None.

    ``other`` is a second domain of the same shape and classes, maybe of another size; ``facts`` say if it is aligned.
    """

    samples: NDArray[Any]
    labels: NDArray[np.int64] | None
    classes: int
    facts: dict[str, Any] = field(default_factory=dict)
    other: Raw | None = None


def philox(seed: int) -> np.random.Generator:
    """Numbers that are the same on every machine."""
    return np.random.Generator(np.random.Philox(seed))


def digits(_spec: Digits) -> Raw:
    """The 1,797 handwritten digits of 8x8 pixels and 17 grey levels that ship inside scikit-learn (UCI, CC BY 4.0)."""
    from sklearn.datasets import load_digits  # a second of import that no other source needs

    pixels, labels = load_digits(return_X_y=True)
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    licence = "CC BY 4.0: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI (1998)"
    return Raw(images, labels.astype(np.int64), 10, {"licence": licence})


def stacked_digits(spec: StackedDigits) -> Raw:
    """Images (N, 8, 8, 3) of three independent random digits a, b, c as channels; the label is 100 a + 10 b + c.

    The split comes after: a held-out image is new as a whole, but each of its digits may have been trained on.
    """
    single = digits(Digits("digits", spec.heldout))
    assert single.labels is not None
    chosen = philox(spec.seed).integers(len(single.samples), size=(spec.count, 3))
    images = single.samples[chosen, :, :, 0].transpose(0, 2, 3, 1)
    a, b, c = single.labels[chosen].T
    return Raw(images, 100 * a + 10 * b + c, 1000, single.facts)


SAND, BLUE = np.array([237, 214, 166]) / 255, np.array([26, 51, 204]) / 255
"""What black and full red become, in RGB from 0 to 1."""


def translation(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The true map T(x) = M x + c between the domains, of one pixel in model space: M (C, C) and c (C,).

    ``recolour`` is fixed where the first domain lies, on the red axis; along green and blue it is the identity, so that
    T has an inverse.
    """
    if name == "inversion":
        return -np.eye(1), np.zeros(1)
    matrix = np.eye(3)
    matrix[:, 0] = BLUE - SAND
    return matrix, matrix.sum(1) + 2 * SAND - 1


def digit_domains(spec: DigitDomains) -> Raw:
    """Half of the digits as they are (in red on black, or in grey), and the other half under the map, in a new order.

    Facts carry the map. No digit is in both domains; ``paired``: all are, each beside its map.
    """
    single = digits(Digits("digits", spec.heldout))
    assert single.labels is not None
    matrix, offset = translation(spec.map)
    images = np.zeros((*single.samples.shape[:3], len(offset)), np.uint8)
    images[..., 0] = single.samples[..., 0]
    order = philox(spec.seed).permutation(len(images))
    a, b = (order, order) if spec.paired else np.array_split(order, 2)
    mapped = (images[b] / 127.5 - 1) @ matrix.T + offset
    other = Raw(np.rint((mapped + 1) * 127.5).astype(np.uint8), single.labels[b], single.classes)
    truth = {"matrix": matrix.round(9).tolist(), "offset": offset.round(9).tolist()}
    facts = {**single.facts, "translation": truth, **({"aligned": True} if spec.paired else {})}
    return Raw(images[a], single.labels[a], single.classes, facts, other)


def covered(offsets: NDArray[np.float64], half: float) -> NDArray[np.float64]:
    """How much of pixels at ``offsets`` from the middle of an interval of half-width ``half`` lies in it: 0 to 1."""
    inside: NDArray[np.float64] = np.minimum(offsets + 0.5, half) - np.maximum(offsets - 0.5, -half)
    return inside.clip(0)


def draw(kind: str, size: int, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """One antialiased shape per row (right, down) of ``shifts`` (N, 2) in pixels: (N, size, size), 0 to 1.

    All are half a picture wide. Coverage is exact for cross and frame, so the centre of mass is where the shift says.
    """
    x, y = (np.arange(size) - (size - 1) / 2 - shifts[:, k, None] for k in (0, 1))
    half, thick = size / 4, size / 8

    def box(width: float, height: float) -> NDArray[np.float64]:
        return covered(y, height)[:, :, None] * covered(x, width)[:, None, :]

    if kind == "cross":
        return box(half, thick / 2) + box(thick / 2, half) - box(thick / 2, thick / 2)
    if kind == "frame":
        return box(half, half) - box(half - thick, half - thick)
    radius = np.sqrt(np.square(x)[:, None, :] + np.square(y)[:, :, None])
    return np.asarray((half + 0.5 - radius).clip(0, 1))


def shapes(spec: Shapes) -> Raw:
    """White shapes on black, (N, size, size, 1); the label is the place in ``kinds``, the shifts are uniform."""
    shifts = philox(spec.seed).uniform(-1, 1, (spec.count, 2)) * [spec.shift_x, spec.shift_y]
    labels = np.arange(spec.count) % len(spec.kinds)
    images = np.empty((spec.count, spec.size, spec.size, 1), np.uint8)
    for label, kind in enumerate(spec.kinds):
        drawn = draw(kind, spec.size, shifts[labels == label])
        images[labels == label, ..., 0] = np.rint(255 * drawn)
    return Raw(images, labels, len(spec.kinds), {"licence": "generated"})


def gaussians(centres: NDArray[np.float64], std: float, count: int, seed: int) -> Raw:
    """Points of an equal mixture of Gaussians; the label is the component. Facts carry the truth for the metrics."""
    rng = philox(seed)
    labels = np.arange(count) % len(centres)
    points = centres[labels] + rng.normal(0, std, (count, centres.shape[1]))
    truth = {"centres": centres.round(9).tolist(), "std": std}
    return Raw(points.astype(np.float32), labels, len(centres), {"mixture": truth, "licence": "generated"})


def ring(spec: Ring) -> Raw:
    """Gaussians at equal angles on the unit circle."""
    angles = 2 * np.pi * np.arange(spec.modes) / spec.modes
    return gaussians(np.stack([np.cos(angles), np.sin(angles)], 1), spec.std, spec.count, spec.seed)


def grid(spec: Grid) -> Raw:
    """Gaussians on a square grid of spacing 2, all divided by 2.828 (the data of the WGAN-GP and PacGAN papers)."""
    axis = 2.0 * np.arange(spec.side) - (spec.side - 1)
    centres = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    scale = 2 * np.sqrt(2)
    return gaussians(centres / scale, float(spec.std / scale), spec.count, spec.seed)


def mixture(spec: Mixture) -> Raw:
    """Independent points (N, 1) of a mixture of Gaussians on the line; the label is the component."""
    rng = philox(spec.seed)
    labels = rng.choice(len(spec.weights), spec.count, p=spec.weights)
    points = np.array(spec.means)[labels] + np.array(spec.stds)[labels] * rng.standard_normal(spec.count)
    truth = {"weights": spec.weights, "means": spec.means, "stds": spec.stds}
    return Raw(
        points[:, None].astype(np.float32), labels, len(spec.weights), {"components": truth, "licence": "generated"}
    )


def line(spec: Line) -> Raw:
    """Points (N, 2) uniform on a vertical segment of length 1, without labels."""
    height = philox(spec.seed).random(spec.count)
    points = np.stack([np.full(spec.count, spec.theta), height], 1).astype(np.float32)
    return Raw(points, None, 0, {"licence": "generated"})


SOURCES: dict[type[Dataset], Callable[[Any], Raw]] = {
    Digits: digits,
    Ring: ring,
    Grid: grid,
    Mixture: mixture,
    Line: line,
    Shapes: shapes,
    StackedDigits: stacked_digits,
    DigitDomains: digit_domains,
}


def read(spec: Dataset) -> Raw:
    """The raw data of a declaration."""
    return SOURCES[type(spec)](spec)
