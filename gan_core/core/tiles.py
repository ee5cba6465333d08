"""Pictures through a network in tiles: the pixels of the whole picture, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Span = tuple[slice, slice, slice]
"""What a tile sees of a side, what of its answer is kept, and where that goes."""


def spans(size: int, core: int, margin: int) -> Iterator[Span]:
    """The tiles of a side of ``size`` pixels: ``core`` are kept of each, and it sees so many more on both sides."""
    for start in range(0, size, core):
        low, high, end = max(0, start - margin), min(size, start + core + margin), min(size, start + core)
        yield slice(low, high), slice(start - low, end - low), slice(start, end)


def in_tiles(
    compute: Callable[[Pixels], Pixels], picture: Pixels, core: int, reach: int, multiple: int, scale: int = 1
) -> Pixels:
    """A picture (H, W, C), whose sides are multiples of ``multiple``, through a network that takes such pictures.

    ``core``: pixels of a tile's side that are kept, a multiple of ``multiple``. ``reach``: how far from a pixel lies
    what it depends on. A tile sees so much beyond what is kept, and begins where the network halves evenly, so nothing
    of the picture is lost at its edges. ``scale``: how many times as high and wide comes out as went in.
    """
    margin = -(-reach // multiple) * multiple
    found: Pixels | None = None
    for rows, kept_rows, to_rows in spans(picture.shape[0], core, margin):
        for columns, kept_columns, to_columns in spans(picture.shape[1], core, margin):
            made = compute(picture[rows, columns])
            if found is None:
                found = np.empty((*(scale * side for side in picture.shape[:2]), made.shape[2]), made.dtype)
            kept, to = (
                tuple(slice(scale * part.start, scale * part.stop) for part in parts)
                for parts in ((kept_rows, kept_columns), (to_rows, to_columns))
            )
            found[to] = made[kept]
    assert found is not None
    return found
