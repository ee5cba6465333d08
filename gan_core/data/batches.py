"""The batches of a run: the i-th is a function of the seed and of i, so nothing about the order is saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

import torch
from torch import Tensor

from gan_core.core.samples import Sample
from gan_core.core.types import Batch
from gan_core.data.packed import to_model
from gan_core.data.prepared import Prepared
from gan_core.data.shards import SIZE, Rows, rows_of
from gan_core.runtime.errors import DataError
from gan_core.runtime.process import Background
from gan_core.runtime.seeds import fold

MAX_CACHED = 1 << 24
"""Numbers that a run keeps as floats, 64 MiB."""
ON_DEVICE = 0.25
"""Of a GPU's memory, the share that packed samples may fill; more of them stay on the host."""
WINDOW = 8
"""Blocks of rows (``shards.SIZE``) that an epoch of stored samples is shuffled within, 512 MiB."""


def cached(raw: Tensor | Rows, device: str = "cpu") -> Tensor | Rows:
    """Packed samples as a run keeps them: few of them in model space at once, more as they are, batch by batch.

    On the device, unless they would fill too much of it.
    """
    if not isinstance(raw, Tensor):
        return raw
    kept = to_model(raw) if raw.numel() <= MAX_CACHED else raw
    return kept.to(device) if fits(kept, device) else kept


def fits(kept: Tensor, device: str) -> bool:
    """Whether samples may lie on a device."""
    if torch.device(device).type != "cuda":
        return True
    return kept.nbytes <= ON_DEVICE * torch.cuda.get_device_properties(device).total_memory


class Epochs:
    """Which rows a batch holds: every epoch a new shuffle, the ragged end dropped. A function of (path, i) alone."""

    def __init__(self, count: int, size: int, device: str, *path: int | str) -> None:
        self.count, self.size, self.device, self.path = count, size, device, path
        self.length = count // size
        self._epoch, self._order = -1, torch.empty(0)

    def rows(self, i: int) -> Tensor:
        """The rows of the i-th batch: (size,) int64."""
        epoch, k = divmod(i, self.length)
        if epoch != self._epoch:
            self._order = shuffle(self.count, *self.path, epoch).to(self.device)
            self._epoch = epoch
        return self._order[k * self.size : (k + 1) * self.size]


class Windows:
    """Which rows a batch holds where samples lie in shards, in an order that says nothing. A function of (path, i).

    Every epoch blocks of neighbours are shuffled, and then the rows of each ``WINDOW`` blocks in a row of these. So
    a batch asks for few shards, and ``ahead`` hears which rows the next ``WINDOW`` blocks hold. The size of the shards
    has no part in it. The ragged end of an epoch is dropped.
    """

    def __init__(
        self, count: int, size: int, block: int, ahead: Callable[[Tensor], None], device: str, *path: int | str
    ) -> None:
        self.count, self.size, self.block, self.ahead, self.device, self.path = count, size, block, ahead, device, path
        self.length = count // size
        self._epoch, self._windows, self._ends = -1, list[Tensor](), torch.empty(0)
        self._orders: dict[tuple[int, int], Tensor] = {}

    def rows(self, i: int) -> Tensor:
        """The rows of the i-th batch: (size,) int64."""
        epoch, k = divmod(i, self.length)
        self._begin(epoch)
        found, at, last = list[Tensor](), k * self.size, (k + 1) * self.size
        while at < last:
            w = self._window(at)
            start = int(self._ends[w - 1]) if w else 0
            found.append(self._order(epoch, w)[at - start : last - start])
            at += len(found[-1])
        return torch.cat(found).to(self.device)

    def _begin(self, epoch: int) -> None:
        if epoch != self._epoch:
            blocks = shuffle(-(-self.count // self.block), *self.path, epoch)
            self._windows = list(torch.split(blocks, WINDOW))
            counts = [(torch.clamp((w + 1) * self.block, max=self.count) - w * self.block).sum() for w in self._windows]
            self._ends, self._epoch = torch.stack(counts).cumsum(0), epoch

    def _window(self, at: int) -> int:
        """In which window a place of the epoch's order is."""
        return int(torch.searchsorted(self._ends, at, right=True))

    def _rows_of(self, w: int) -> Tensor:
        starts = (self._windows[w] * self.block).tolist()
        return torch.cat([torch.arange(start, min(start + self.block, self.count)) for start in starts])

    def _order(self, epoch: int, w: int) -> Tensor:
        if (epoch, w) not in self._orders:
            rows = self._rows_of(w)
            self._orders = {(epoch, w): rows[shuffle(len(rows), *self.path, epoch, "window", w)]}
            if w + 1 < len(self._windows):
                self.ahead(self._rows_of(w + 1))
        return self._orders[epoch, w]


class Balanced:
    """Which rows a batch holds where every class is as frequent, however many samples it has. A function of (path, i).

    Batches are cut from one sequence of rounds; a round is a new shuffle of the classes, with one sample of each. So
    in any batches in a row two classes differ by at most two samples. Each class goes through its samples as ``Epochs``
    does: in a new shuffle every time, none again before all were there. ``labels`` (N,): classes without samples have
    no turn.
    """

    def __init__(self, labels: Tensor, size: int, device: str, *path: int | str) -> None:
        found = labels.cpu()
        self.members = [torch.nonzero(found == c).flatten() for c in sorted(set(found.tolist()))]
        self.size, self.device, self.path = size, device, path
        self._orders: dict[int, tuple[int, list[int]]] = {}

    def rows(self, i: int) -> Tensor:
        """The rows of the i-th batch: (size,) int64."""
        count, rows = len(self.members), list[int]()
        for turn in range(i * self.size // count, -(-(i + 1) * self.size // count)):
            order = shuffle(count, *self.path, "round", turn).tolist()
            first, last = (min(max(at - turn * count, 0), count) for at in (i * self.size, (i + 1) * self.size))
            rows += [self._row(c, turn) for c in order[first:last]]
        return torch.tensor(rows).to(self.device)

    def _row(self, c: int, turn: int) -> int:
        """What a class gives in a round: one sample a round, so the number of the round is that of its sample."""
        epoch, k = divmod(turn, len(self.members[c]))
        if self._orders.get(c, (-1, []))[0] != epoch:
            order = shuffle(len(self.members[c]), *self.path, "class", c, epoch)
            self._orders[c] = epoch, self.members[c][order].tolist()
        return self._orders[c][1][k]


def shuffle(count: int, *path: int | str) -> Tensor:
    """An order of so many things that is a function of the path: (count,) int64."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(fold(*path)))


def divided(count: int, share: float, *path: int | str) -> tuple[Tensor, Tensor]:
    """Rows that are kept, in order, and a share of them that is not, a function of the path: (N,) int64 each."""
    order, some = shuffle(count, *path) if share else torch.arange(count), round(share * count)
    return order[some:].sort().values, order[:some]


def windows(x: Sample, sides: Sequence[int], chance: torch.Generator) -> Sample:
    """Of each picture (N, C, H, W) a window (N, C, *sides), wherever it falls."""
    taken = []
    for whole, seen in zip(x.shape[2:], sides, strict=True):
        starts = torch.randint(whole - seen + 1, (len(x), 1), generator=chance)
        taken.append((starts + torch.arange(seen)).to(x.device))
    rows, columns = taken
    every = torch.arange(len(x), device=x.device)[:, None, None]
    return x[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


class Batches:
    """The batches of a run. The i-th is a function of (seed, i); instance noise has torch's current seed.

    ``x`` and its labels ``y`` go together; a second domain ``x_b`` is shuffled on its own, unless the set is aligned.
    ``balanced``: every class is as frequent (``Balanced``), in each domain that is shuffled. Where the set says that
    pictures may be mirrored, each is at even odds, and of pictures that are packed larger than they are seen each gives
    a window, wherever it falls; pairs are treated alike. ``aside``: this share of the samples,
    chosen by the seed, is in no batch of the run.
    """

    def __init__(
        self,
        data: Prepared,
        batch_size: int,
        seed: int,
        noise: float = 0.0,
        device: str = "cpu",
        channels_last: bool = False,
        balanced: bool = False,
        aside: float = 0.0,
    ) -> None:
        self.noise, self.channels_last, self.seed = noise, channels_last and data.is_image, seed
        self.flip, self.apart = data.flip, data.other is not None and not data.aligned
        domains = {"x": data} | ({"x_b": data.other} if data.other is not None else {})
        self.window = data.shape[1:] if data.packed else None
        self.device = device
        self.samples = {name: cached(domain.raw("train", whole=True), device) for name, domain in domains.items()}
        here = torch.device(device).type
        kept = self.samples.values()
        self._apart = any(isinstance(packed, Rows) or packed.device.type != here for packed in kept)
        self._background = Background(1)
        self._next: dict[int, Future[dict[str, Tensor]]] = {}
        labels = data.labels("train")
        self.labels = labels.to(device) if labels is not None else None
        self.size, self.kept, self.set_aside = batch_size, dict[str, Tensor](), dict[str, Tensor]()
        for name, samples in self.samples.items():
            parts = divided(len(samples), aside, seed, "aside", name if self.apart else "x")
            self.kept[name], self.set_aside[name] = (rows.to(device) for rows in parts)
            if aside and not len(parts[1]):
                raise DataError(f"augment.p.aside {aside} of {len(samples)} training samples is none; raise it")
            if len(self.kept[name]) < batch_size:
                raise DataError(
                    f"train.batch_size {batch_size} is more than the {len(self.kept[name])} training samples of "
                    f"{'the second domain of ' if name != 'x' else ''}{data.folder}; lower it, or prepare more data"
                )

        def shuffled(name: str, domain: Prepared, *path: int | str) -> Epochs | Windows | Balanced:
            raw = self.samples[name]
            if isinstance(raw, Rows):
                block = rows_of(SIZE, raw.shape[1:], raw.kind)
                ahead = partial(self._fetch, (name,) if self.apart else tuple(self.samples))
                return Windows(len(self.kept[name]), batch_size, block, ahead, device, *path)
            if not balanced:
                return Epochs(len(self.kept[name]), batch_size, device, *path)
            if (y := domain.labels("train")) is None:
                raise DataError(f"train.balanced is true, and {domain.folder} has no labels; set it to false")
            return Balanced(y[self.kept[name].cpu()], batch_size, device, *path)

        self.epochs = dict.fromkeys(self.samples, shuffled("x", data, seed, "epoch"))
        if data.other is not None and self.apart:
            self.epochs["x_b"] = shuffled("x_b", data.other, seed, "other", "epoch")

    def at(self, i: int) -> Batch:
        """The i-th batch of the run. Where samples are not on the device, those of the next are gathered meanwhile."""
        rows = self._rows(i)
        if not self._apart:
            return self._batch(self._gather(rows), rows, i)
        packed = self._next.pop(i).result() if i in self._next else self._gather(rows)
        self._next = {i + 1: self._background.submit(partial(self._gather, self._rows(i + 1)))}
        return self._batch(packed, rows, i)

    def _fetch(self, names: tuple[str, ...], rows: Tensor) -> None:
        """Begin to bring here what the next batches of some domains are made of."""
        for name in names:
            if isinstance(raw := self.samples[name], Rows):
                raw.fetch(self.kept[name].cpu()[rows])

    def _gather(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: packed[rows[name].to(packed.device)] for name, packed in self.samples.items()}

    def _rows(self, i: int) -> dict[str, Tensor]:
        return {name: self.kept[name][epochs.rows(i)] for name, epochs in self.epochs.items()}

    def aside(self, i: int) -> Batch:
        """The i-th batch of the samples that are set aside, which ``at`` never gives: all of them over and over."""
        turn = torch.arange(i * self.size, (i + 1) * self.size)
        rows = {name: rows[turn.to(rows.device) % len(rows)] for name, rows in self.set_aside.items()}
        return self._batch(self._gather(rows), rows, i)

    def _batch(self, packed: dict[str, Tensor], rows: dict[str, Tensor], i: int) -> Batch:
        fields = {name: self._noisy(self._seen(self._moved(some), i, name)) for name, some in packed.items()}
        return Batch(**fields, y=self.labels[rows["x"]] if self.labels is not None else None)

    def _moved(self, packed: Tensor) -> Tensor:
        """Packed samples on the device; from pinned memory, so that this process need not wait for the copy."""
        here = packed.device.type == torch.device(self.device).type
        return packed if here else packed.pin_memory().to(self.device, non_blocking=True)

    def _seen(self, raw: Tensor, i: int, name: str) -> Sample:
        """Samples of the i-th batch, of windows or mirrored as the set says: a function of (seed, i)."""
        x, whose = to_model(raw), name if self.apart else "x"
        if self.window:
            x = windows(x, self.window, self._chance("crop", whose, i))
        if not self.flip:
            return x
        mirrored = torch.rand(len(x), generator=self._chance("flip", whose, i)) < 0.5
        return torch.where(mirrored.to(x.device)[:, None, None, None], x.flip(3), x)

    def _chance(self, of: str, name: str, i: int) -> torch.Generator:
        return torch.Generator().manual_seed(fold(self.seed, of, name, i))

    def _noisy(self, x: Sample) -> Sample:
        x = x + self.noise * torch.randn_like(x) if self.noise else x
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x
