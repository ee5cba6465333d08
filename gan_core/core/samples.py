"""What a sample is, and its score."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from torch import Tensor

Sample: TypeAlias = Tensor
"""float32 in [-1, 1]: images (N, C, H, W), or points (N, D) of about unit size."""


class Samples(Protocol):
    """Many samples, of which some are asked for at a time: a tensor, or a prepared set that converts what is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Sample: ...


Score: TypeAlias = Tensor
"""(N,), or (N, patches), raw discriminator or critic outputs v; the objective owns the sigmoid or link."""
