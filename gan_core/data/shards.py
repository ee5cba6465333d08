"""Rows that are packed in shards: written some at a time, read as they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.core.pixels import TYPES
from gan_core.data.packed import ArrayWriter, mapped
from gan_core.data.store import ATTEMPTS, Store

SIZE = 64 << 20
"""Bytes of a shard, and of a block of rows that are neighbours in any order of a run (``batches.Windows``)."""
OPEN = 16
"""Shards that are mapped at a time."""
ON_THE_WAY = 2
"""Shards that are full and not yet where they belong."""


def rows_of(size: int, shape: Sequence[int], kind: Any) -> int:
    """How many rows of a shape so many bytes hold: at least one."""
    return max(1, size // (prod(shape) * int(np.dtype(kind).itemsize)))


class ShardWriter:
    """Writes an array of a known shape into a store, a shard at a time; ``written`` is what an index says of them."""

    def __init__(self, store: Store, scratch: Path, shape: tuple[int, ...], kind: Any, size: int = SIZE) -> None:
        self.store, self.scratch, self.shape, self.kind = store, scratch, shape, np.dtype(kind)
        self.rows = rows_of(size, shape[1:], kind)
        self._left, self._number = shape[0], 0
        self._room = 0
        self._writer: ArrayWriter | None = None
        self._pool, self._futures = ThreadPoolExecutor(ON_THE_WAY), list[Future[dict[str, Any]]]()

    @property
    def written(self) -> list[dict[str, Any]]:
        """Rows, bytes and sha256 of each shard, in order."""
        return [future.result() for future in self._futures]

    def __enter__(self) -> ShardWriter:
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """The next rows."""
        while len(rows):
            if self._writer is None:
                self._room = min(self.rows, self._left)
                path = self.scratch / f"shard-{self._number}.tmp"
                self._writer = ArrayWriter(path, (self._room, *self.shape[1:]), self.kind).__enter__()
            some, rows = rows[: self._room], rows[self._room :]
            self._writer.append(some)
            self._room -= len(some)
            if not self._room:
                self._close(self._writer)

    def _close(self, writer: ArrayWriter) -> None:
        writer.__exit__()
        if len(self._futures) >= ON_THE_WAY:
            self._futures[-ON_THE_WAY].result()  # no more than these wait on this disk
        self._futures.append(self._pool.submit(self._bring, writer.path, writer.shape[0]))
        self._left, self._number, self._writer = self._left - writer.shape[0], self._number + 1, None

    def _bring(self, path: Path, rows: int) -> dict[str, Any]:
        about = self.store.put(path)
        path.unlink()
        return {"rows": rows, **about}

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.__exit__()
        self._pool.shutdown()


EVERY = (slice(None), slice(None))
"""All pixels of both sides."""


class Rows:
    """What shards hold, as far as a tensor shows it: ``len``, ``shape``, ``dtype`` and ``[rows]``.

    ``rows``: a number, a slice, or a tensor of numbers (N,) int64. Only the shards that hold them are brought here.
    """

    def __init__(self, store: Store, shards: Sequence[dict[str, Any]], shape: Sequence[int], kind: Any) -> None:
        self.store, self.names = store, [str(about["sha256"]) for about in shards]
        self.ends = np.cumsum([int(about["rows"]) for about in shards])
        self.kind, self._shape, self._sides = np.dtype(kind), tuple(shape), EVERY
        self._chosen = slice(0, int(self.ends[-1]) if len(self.ends) else 0)
        self._open: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def part(self, chosen: slice, sides: tuple[slice, slice] = EVERY) -> Rows:
        """Some of the rows, and of images some pixels of both ``sides``."""
        view = copy(self)
        start, stop, _ = chosen.indices(len(self))
        view._chosen = slice(self._chosen.start + start, self._chosen.start + stop)
        view._sides = sides
        return view

    def __len__(self) -> int:
        return int(self._chosen.stop - self._chosen.start)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        *sides, channels = self._shape
        seen = (len(range(*some.indices(n))) for n, some in zip(sides, self._sides, strict=True))
        return (len(self), *seen, channels)

    @property
    def dtype(self) -> torch.dtype:
        """Of the packed numbers."""
        return {TYPES[8]: torch.uint8, TYPES[16]: torch.uint16}[self.kind.type]

    @property
    def device(self) -> torch.device:
        """Where rows are given."""
        return torch.device("cpu")

    def __getitem__(self, rows: Any) -> Tensor:
        if isinstance(rows, int):
            return self[torch.tensor([rows])][0]
        if isinstance(rows, slice):
            rows = torch.arange(*rows.indices(len(self)))
        numbers = rows.numpy() % max(len(self), 1) + self._chosen.start
        which = np.searchsorted(self.ends, numbers, "right")
        found = np.empty((len(numbers), *self.shape[1:]), self.kind)
        wanted = [int(k) for k in np.unique(which)]
        for k in wanted:
            if k not in self._open:
                self.store.start(self.names[k])
        for k in wanted:
            here = np.flatnonzero(which == k)
            first = int(self.ends[k - 1]) if k else 0
            taken = self._shard(k)[numbers[here] - first]
            found[here] = taken[:, self._sides[0], self._sides[1]]
        return torch.from_numpy(found)

    def shards_of(self, rows: Tensor) -> list[str]:
        """The names of the shards that hold some rows."""
        numbers = rows.numpy() + self._chosen.start
        return [self.names[int(k)] for k in np.unique(np.searchsorted(self.ends, numbers, "right"))]

    def fetch(self, rows: Tensor) -> None:
        """Begin to bring the shards of some rows here."""
        for name in self.shards_of(rows):
            self.store.start(name)

    def _shard(self, k: int) -> NDArray[Any]:
        if k not in self._open:
            for left in reversed(range(ATTEMPTS)):
                try:
                    self._open[k] = mapped(self.store.get(self.names[k]))
                    break
                except FileNotFoundError:  # another process made room meanwhile
                    if not left:
                        raise
            if len(self._open) > OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(k)
        return self._open[k]
