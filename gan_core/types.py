"""The words every other file uses: what flows between networks, objectives and the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from torch import Tensor, nn

if TYPE_CHECKING:
    from gan_core.signature import Recipe

Sample: TypeAlias = Tensor
"""float32 in [-1, 1]: images (N, C, H, W), or points (N, D) of about unit size."""


class Samples(Protocol):
    """Many samples, of which some are asked for at a time: a tensor, or a prepared set that converts what is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Sample: ...


Score: TypeAlias = Tensor
"""(N,), or (N, patches), raw discriminator or critic outputs v; the objective owns the sigmoid or link."""

Terms: TypeAlias = dict[str, Tensor]
"""Named scalar terms of a loss. All of them are summed and descended; nothing else is."""


@dataclass(frozen=True)
class Batch:
    """Real samples ``x`` (N, ...) and, where the data set has them, labels ``y`` (N,) int64 of them.

    ``other`` (N, ...) are real samples of the second domain, where there is one; row k has nothing to do with ``x[k]``.
    """

    x: Sample
    y: Tensor | None = None
    other: Sample | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def labels(self) -> Tensor:
        """The labels, for games that need them: drawn from the data's own marginal, as the samples are."""
        assert self.y is not None, "a conditional game needs labelled data"
        return self.y

    @property
    def pair(self) -> Sample:
        """The second domain's samples, for games that need two domains."""
        assert self.other is not None, "a game of two domains needs data of two domains"
        return self.other


class Player(Protocol):
    """A network that an update can move."""

    recipe: Recipe

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


class Generator(Player, Protocol):
    """From latents (and labels or codes), one row a sample, to samples."""

    def __call__(self, *inputs: Tensor) -> Sample: ...


class Discriminator(Player, Protocol):
    """From samples, and conditions where it has any, to raw scores (N,)."""

    def __call__(self, x: Sample, *conditions: Tensor) -> Score: ...

    def features(self, x: Sample, *conditions: Tensor) -> Tensor: ...

    @property
    def head(self) -> Callable[[Tensor], Score]:
        """From features to scores."""
        ...


class Encoder(Player, Protocol):
    """From samples to latents: ``posterior`` gives mean and log-variance of q(z|x), calling it the mean."""

    def __call__(self, x: Sample) -> Tensor: ...

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]: ...
