"""Images as pixels of 8 or 16 bits. NumPy alone: who draws from a shipped graph needs no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
TYPES: dict[int, type[np.uint8] | type[np.uint16]] = {8: np.uint8, 16: np.uint16}
SHADE = 257
"""Steps of 16 bits in one of 8."""


def half(bits: int) -> float:
    """What is added to -1 at most, in pixels: half of white."""
    return float((2**bits - 1) / 2)


def to_pixels(x: NDArray[np.float32], bits: int) -> NDArray[Any]:
    """Images float (N, C, H, W) in [-1, 1] to pixels (N, H, W, C), rounded half to even. The only unscaling."""
    return np.rint((x.transpose(0, 2, 3, 1).clip(-1, 1) + 1) * np.float32(half(bits))).astype(TYPES[bits])


def to_uint8(x: NDArray[np.float32]) -> Pixels:
    """The same in 8 bits, as pictures are shown."""
    return to_pixels(x, 8)


def as_pixels(rows: Mapping[str, NDArray[Any]], images: Collection[str], bits: int = 8) -> dict[str, NDArray[Any]]:
    """Inputs as a graph of pixels takes them, those that are ``images`` as pixels; what is none as a float stays."""
    return {n: to_pixels(v, bits) if n in images and v.dtype.kind == "f" else v for n, v in rows.items()}


def images_of(inputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names of inputs, described as in manifest.json, that are images of the data."""
    return [i["name"] for i in inputs if len(i["shape"]) == 4 and i["prior"] in ("x", "x_b")]


def in_shades(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """Pixels in the 256 shades of 8 bits, to be compared."""
    deep = pixels.astype(np.int64)
    return (deep + SHADE // 2) // SHADE if pixels.dtype == np.uint16 else deep
