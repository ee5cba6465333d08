"""The batches of a run: the i-th is a function of the seed and of i, so nothing about the order is saved."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_core.core.samples import Sample
from gan_core.core.types import Batch
from gan_core.data.packed import to_model
from gan_core.data.prepared import Prepared
from gan_core.runtime.errors import DataError
from gan_core.runtime.seeds import fold

MAX_CACHED = 1 << 24
"""Numbers that a run keeps as floats, 64 MiB."""


def cached(raw: Tensor) -> Tensor:
    """Packed samples as a run keeps them: few of them in model space at once, more as they are, batch by batch."""
    return to_model(raw) if raw.numel() <= MAX_CACHED else raw


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


class Batches:
    """The batches of a run. The i-th is a function of (seed, i); instance noise has torch's current seed.

    ``x`` and its labels ``y`` go together; a second domain ``x_b`` is shuffled on its own, unless the set is aligned.
    ``balanced``: every class is as frequent (``Balanced``), in each domain that is shuffled. Where the set says that
    pictures may be mirrored, each is at even odds; pairs are mirrored together. ``aside``: this share of the samples,
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
        self.samples = {name: cached(domain.raw("train")).to(device) for name, domain in domains.items()}
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

        def shuffled(name: str, domain: Prepared, *path: int | str) -> Epochs | Balanced:
            if not balanced:
                return Epochs(len(self.kept[name]), batch_size, device, *path)
            if (y := domain.labels("train")) is None:
                raise DataError(f"train.balanced is true, and {domain.folder} has no labels; set it to false")
            return Balanced(y[self.kept[name].cpu()], batch_size, device, *path)

        self.epochs = dict.fromkeys(self.samples, shuffled("x", data, seed, "epoch"))
        if data.other is not None and self.apart:
            self.epochs["x_b"] = shuffled("x_b", data.other, seed, "other", "epoch")

    def at(self, i: int) -> Batch:
        """The i-th batch of the run."""
        return self._batch({name: self.kept[name][epochs.rows(i)] for name, epochs in self.epochs.items()}, i)

    def aside(self, i: int) -> Batch:
        """The i-th batch of the samples that are set aside, which ``at`` never gives: all of them over and over."""
        turn = torch.arange(i * self.size, (i + 1) * self.size)
        return self._batch({name: rows[turn.to(rows.device) % len(rows)] for name, rows in self.set_aside.items()}, i)

    def _batch(self, rows: dict[str, Tensor], i: int) -> Batch:
        fields = {name: self._noisy(self._seen(samples[rows[name]], i, name)) for name, samples in self.samples.items()}
        return Batch(**fields, y=self.labels[rows["x"]] if self.labels is not None else None)

    def _seen(self, raw: Tensor, i: int, name: str) -> Sample:
        """Samples of the i-th batch; those that may be mirrored are at even odds, a function of (seed, i)."""
        x = to_model(raw)
        if not self.flip:
            return x
        seed = fold(self.seed, "flip", name if self.apart else "x", i)
        mirrored = torch.rand(len(x), generator=torch.Generator().manual_seed(seed)) < 0.5
        return torch.where(mirrored.to(x.device)[:, None, None, None], x.flip(3), x)

    def _noisy(self, x: Sample) -> Sample:
        x = x + self.noise * torch.randn_like(x) if self.noise else x
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x
