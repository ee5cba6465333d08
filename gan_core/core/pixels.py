"""Images as 8-bit pixels. NumPy alone: who draws from a shipped graph needs no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def to_uint8(x: NDArray[np.float32]) -> Pixels:
    """Images float (N, C, H, W) in [-1, 1] to uint8 (N, H, W, C), rounded half to even. The only unscaling."""
    return np.rint((x.transpose(0, 2, 3, 1).clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def as_pixels(rows: Mapping[str, NDArray[Any]], pixels: bool) -> dict[str, NDArray[Any]]:
    """Inputs as a graph takes them: images as pixels, if it is one of pixels."""
    return {name: to_uint8(v) if pixels and v.ndim == 4 and v.dtype != np.uint8 else v for name, v in rows.items()}
