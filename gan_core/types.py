"""The words every other file uses: what flows between networks, objectives and the loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from torch import Tensor, nn

if TYPE_CHECKING:
    from gan_core.signature import Recipe

Sample: TypeAlias = Tensor
"""float32 in [-1, 1]: images (N, C, H, W), or points (N, D) of about unit size."""

Score: TypeAlias = Tensor
"""(N,) raw discriminator or critic outputs v; the objective owns the sigmoid or link."""

Terms: TypeAlias = dict[str, Tensor]
"""Named scalar terms of a loss. All of them are summed and descended; nothing else is."""


@dataclass(frozen=True)
class Batch:
    """Real samples ``x`` (N, ...) and, where the data set has them, labels ``y`` (N,) int64."""

    x: Sample
    y: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


class Player(Protocol):
    """A network that an update can move."""

    recipe: Recipe

    def parameters(self) -> Iterator[nn.Parameter]: ...


class Generator(Player, Protocol):
    """From latents (and labels or codes), one row a sample, to samples."""

    def __call__(self, *inputs: Tensor) -> Sample: ...


class Discriminator(Player, Protocol):
    """From samples, and conditions where it has any, to raw scores (N,)."""

    def __call__(self, x: Sample, *conditions: Tensor) -> Score: ...
