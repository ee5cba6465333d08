"""Samples of a generator that are drawn when they are asked for, and small copies of large pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_core.core.artifact import Artifact
from gan_core.core.inputs import LATENT
from gan_core.core.pixels import to_pixels, to_uint8
from gan_core.core.samples import Chosen, Sample, Samples, shrunk
from gan_core.data.packed import View, to_model
from gan_core.metrics.batching import in_batches, rows_at_once

KEPT = 128 << 20
"""So many bytes of samples are kept once they are drawn; of more, the latest batch."""


class Drawn:
    """What a network makes of fixed inputs, always in the same batches, so that a sample does not depend on who asks.

    ``draw``: from columns of inputs to samples in model space, or to images as pixels (N, H, W, C). ``bits``:
    images are rounded to so many, as a user gets them.
    """

    def __init__(
        self, draw: Callable[..., Tensor], columns: Sequence[Samples], shape: Sequence[int], bits: int | None = None
    ) -> None:
        self._draw, self._columns, self._bits = draw, columns, bits
        self.shape = (len(columns[0]), *shape)
        self._each = min(rows_at_once(dims) for dims in (shape, *(column.shape[1:] for column in columns)))
        self._keeps = prod(self.shape) * (bits or 32) // 8 <= KEPT
        self._kept, self._there = torch.empty(0), set[int]()
        self._latest = -1, torch.empty(0)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Sample:
        at = torch.arange(len(self))[rows]
        batches = at // self._each
        parts = [(batches == k, int(k)) for k in torch.unique(batches)]
        if len(parts) == 1:
            return self._batch(parts[0][1])[at % self._each]
        first = self._batch(parts[0][1]) if parts else torch.empty(self.shape)
        found = first.new_empty((len(at), *self.shape[1:]))
        for chosen, k in parts:
            found[chosen] = self._batch(k)[at[chosen] % self._each]
        return found

    def _batch(self, k: int) -> Sample:
        """A batch in model space; callers take rows of it, and change none."""
        if self._latest[0] == k:
            return self._latest[1]
        rows = slice(k * self._each, (k + 1) * self._each)
        if k not in self._there:
            with torch.no_grad():
                x = self._draw(*(column[rows] for column in self._columns))
            if self._bits and x.is_floating_point():
                x = torch.from_numpy(to_pixels(x.numpy(), self._bits))
            if self._keeps:
                if not self._there:  # in one piece: between large batches, kept ones would leave holes in the heap
                    self._kept = x.new_empty((len(self), *x.shape[1:]))
                self._kept[rows] = x
                self._there.add(k)
        else:
            x = self._kept[rows]
        self._latest = k, to_model(x)
        return self._latest[1]


def thumbnails(x: Samples, side: int, most: int | None = None) -> View[Tensor]:
    """Small copies, in 8 bits, of the first so many images."""

    def small(some: Sample) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(to_uint8(shrunk(some, side).numpy())))

    return View(in_batches(small, Chosen(x, torch.arange(len(x))[:most])))


def counterpart(trained: Mapping[str, Artifact], takes: str, makes: str) -> Artifact | None:
    """The role that goes from one space to another, if there is one."""
    found = [
        a for a in trained.values() if a.config.output_space == makes and [i.prior for i in a.config.inputs] == [takes]
    ]
    return found[0] if found else None


def with_latents(trained: Mapping[str, Artifact], real: Mapping[str, Samples]) -> dict[str, Samples]:
    """Samples by space, and under "latent" what the encoder among the roles makes of those of "x", when asked for."""
    encoder = counterpart(trained, takes="x", makes="latent")
    return {**real, **({LATENT: Drawn(encoder.network, [real["x"]], encoder.config.shape)} if encoder else {})}
