"""Functions of many rows, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from gan_core.core.samples import Samples
from gan_core.runtime.seeds import fold

BATCH, BYTES = 256, 8 << 20
"""At most so many samples, or bytes of samples as floats, are looked at together."""


def rows_at_once(shape: Sequence[int]) -> int:
    """How many samples of a shape are looked at together: memory then does not grow with the picture."""
    return max(1, min(BATCH, BYTES // (4 * max(prod(shape), 1))))


def in_batches(function: Any, *columns: Samples, rows: int = 0) -> Tensor:
    """A function of rows over many rows, a few at a time; no more of a column than that is asked for.

    ``rows``: at most so many at a time, for a function that gives more than it is given, as a generator does.
    """
    each = min([rows or BATCH, *(rows_at_once(c.shape[1:]) for c in columns)])
    n = len(columns[0])
    with torch.no_grad():
        first: Tensor = function(*(c[:each] for c in columns))
        if n <= each:
            return first
        # In one piece from the start: kept between large batches, small results would leave holes in the heap.
        found = first.new_empty((n, *first.shape[1:]))
        found[:each] = first
        for k in range(each, n, each):
            found[k : k + each] = function(*(c[k : k + each] for c in columns))
    return found


def fixed_rows(samples: Samples, most: int, *path: int | str) -> Tensor:
    """The rows of at most ``most`` of the samples: a fixed choice that depends on their number and the path alone.

    Of samples whose order says nothing these are neighbours, which few shards hold.
    """
    count = len(samples)
    if getattr(samples, "mixed", False):
        return (fold(*path) % max(count, 1) + torch.arange(min(most, count))) % max(count, 1)
    source = torch.Generator().manual_seed(fold(*path))
    return torch.randperm(count, generator=source)[:most]
