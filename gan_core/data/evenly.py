"""Some images of a source in place of all: evenly spaced over it, bounded in number, bytes and seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable

from gan_core.data.readers.items import Item

MOST, MOST_BYTES, PATIENCE = 800, 48 << 20, 5.0
"""Images that are kept at least, where there are as many and they are not too large, and seconds of reading."""


def evenly(items: Iterable[Item], together: int = 1) -> tuple[list[Item], float]:
    """Some of a stream, up to twice as many as ``MOST``, and the seconds that reading one took.

    So many in a row are kept or left ``together``. What is not reached in ``PATIENCE`` seconds is not looked at.
    """
    kept: list[Item] = []
    begun, stride, held, seen = time.perf_counter(), 1, 0, 0
    for seen, item in enumerate(items, 1):
        if not (seen - 1) // together % stride:
            kept.append(item)
            held += size_of(item)
        if seen % together:
            continue
        if len(kept) > 2 * MOST or (held > 2 * MOST_BYTES and len(kept) > together):
            kept, stride = [item for k, item in enumerate(kept) if not k // together % 2], 2 * stride
            held = sum(map(size_of, kept))
        if time.perf_counter() - begun > PATIENCE:
            break
    return kept, (time.perf_counter() - begun) / max(seen, 1)


def size_of(item: Item) -> int:
    """Bytes of an image as its source holds it."""
    return len(item.content) if isinstance(item.content, bytes) else item.content.nbytes
