"""What a sample is, and its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

Sample: TypeAlias = Tensor
"""float32 in [-1, 1]: images (N, C, H, W), or points (N, D) of about unit size."""


class Samples(Protocol):
    """Many samples, of which some are asked for at a time: a tensor, or a prepared set that converts what is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Sample: ...

    @property
    def shape(self) -> tuple[int, ...]:
        """As of a tensor."""
        ...


@dataclass(frozen=True)
class Chosen:
    """Some rows of samples, in any order and as often as named, converted as they are asked for."""

    samples: Samples
    rows: Tensor

    @staticmethod
    def cycled(samples: Samples, count: int) -> Chosen:
        """So many samples: all of them in order, over and over."""
        return Chosen(samples, torch.arange(count) % len(samples))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Sample:
        return self.samples[self.rows[rows]]

    @property
    def shape(self) -> tuple[int, ...]:
        """As of a tensor."""
        return (len(self.rows), *self.samples.shape[1:])


def shrunk(x: Sample, side: int) -> Sample:
    """Images (N, C, H, W) no higher or wider than ``side``: larger ones averaged, smaller ones as they are."""
    sides = x.shape[2:]
    if x.dim() < 4 or max(sides) <= side:
        return x
    high, wide = (max(1, round(n * side / max(sides))) for n in sides)
    return adaptive_avg_pool2d(x, (high, wide))


def alike(x: Sample, sides: Sequence[int], mode: str = "nearest") -> Sample:
    """Images (N, C, H, W) of these sides; of others they are brought to them by torch's ``interpolate``."""
    return x if x.dim() < 4 or x.shape[2:] == tuple(sides) else interpolate(x, tuple(sides), mode=mode)


def opaque(x: Sample, grey: Tensor | float = 0.0) -> Sample:
    """Images with alpha (N, 4, H, W) on mid-grey, (N, 3, H, W), for who knows no alpha; others as they are.

    ``grey``: another one, or one for each image (N, 1, 1, 1), in [-1, 1].
    """
    if x.dim() != 4 or x.shape[1] != 4:
        return x
    seen = x[:, :3] * (x[:, 3:] + 1) / 2
    return seen if isinstance(grey, float) and not grey else seen + grey * (1 - x[:, 3:]) / 2


Score: TypeAlias = Tensor
"""(N,), or (N, patches), raw discriminator or critic outputs v; the objective owns the sigmoid or link."""
