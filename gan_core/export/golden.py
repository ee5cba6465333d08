"""A few inputs of every graph and what it gave for them, kept in an export for whoever has it to compare. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROWS, LEAST, BYTES, SIDE = 16, 2, 2 << 20, 128
"""Rows that are kept; of large images fewer, down to two, and of their pixels every n-th, about so many across."""


def rows(size: int) -> int:
    """How many outputs of so many numbers are kept."""
    return max(LEAST, min(ROWS, BYTES // (4 * size)))


def thinned(y: Array) -> Array:
    """What is kept of outputs: images (N, C, H, W), or pixels (N, H, W, C), larger than 128 pixels thinned out."""
    if y.ndim != 4:
        return y
    across = slice(None, None, max(1, max(y.shape[1:3] if y.dtype.kind == "u" else y.shape[2:]) // SIDE))
    return y[:, across, across] if y.dtype.kind == "u" else y[:, :, across, across]


def to_bytes(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> bytes:
    """Inputs by name, and thinned outputs by the file of the graph, as a safetensors file."""
    from safetensors.numpy import save

    named = {f"{kind}/{name}": v for kind, of in (("input", inputs), ("output", outputs)) for name, v in of.items()}
    content: bytes = save({name: np.ascontiguousarray(value) for name, value in named.items()})
    return content


def from_bytes(content: bytes) -> tuple[dict[str, Array], dict[str, Array]]:
    """The inverse of ``to_bytes``."""
    from safetensors.numpy import load  # not needed to draw on a CPU

    found: tuple[dict[str, Array], dict[str, Array]] = {}, {}
    for name, value in load(content).items():
        kind, _, rest = name.partition("/")
        found[kind == "output"][rest] = value
    return found
