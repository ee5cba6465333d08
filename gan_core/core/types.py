"""What flows between papers, objectives and the training loop: batches, moments, losses, and who is moved by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from torch import Tensor

from gan_core.core.samples import Sample as Sample
from gan_core.core.samples import Score as Score
from gan_core.core.schedule import Schedule

if TYPE_CHECKING:
    from gan_core.core.network_config import NetworkConfig

Terms: TypeAlias = dict[str, Tensor]
"""Named scalar terms of a loss. All of them are summed and descended; nothing else is."""

Stats: TypeAlias = Mapping[str, Tensor]
"""Named scalars without gradient, averaged over shards and processes."""


class Batch:
    """Named fields of N rows each; ``vars(batch)`` is the mapping of those that the data set has.

    ``x`` (N, ...): real samples. ``y`` (N,) int64: their labels. ``x_b`` (N, ...): real samples of the second domain;
    row k belongs to ``x[k]`` only where the data set is aligned. An update may add fields for the next one
    (``Losses.shared``).
    """

    x: Sample
    y: Tensor
    x_b: Sample

    def __init__(self, x: Sample, **fields: Tensor | None) -> None:
        self.__dict__ |= {"x": x, **{name: value for name, value in fields.items() if value is not None}}

    def __getattr__(self, name: str) -> Tensor:
        raise AttributeError(f"this batch has no '{name}', only {', '.join(vars(self))}")

    def __len__(self) -> int:
        return len(self.x)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """The batch of what a function makes of each field."""
        return Batch(**{name: function(value) for name, value in vars(self).items()})

    def extended(self, fields: Mapping[str, Tensor]) -> Batch:
        """The batch with more fields."""
        return Batch(**{**vars(self), **fields})


@dataclass(frozen=True)
class Moment:
    """When an update is applied: plain numbers, the same in every process."""

    step: int = 0
    """Steps that are done: 0, 1, ..."""
    images: int = 0
    """Real images in the batches of these steps, one batch a step, as papers count them."""
    progress: float = 0.0
    """Steps that are done as a share of the run."""
    batch_size: int = 1
    """Real images a step, whichever shards and processes compute it."""

    def value(self, symbol: float | Schedule[float]) -> float:
        """What a symbol of a paper is at this moment."""
        return symbol.at(self.images, self.progress) if isinstance(symbol, Schedule) else symbol


@dataclass(frozen=True)
class Losses:
    """What an update computes of a batch."""

    terms: Terms
    """Summed and descended."""
    stats: Stats = field(default_factory=dict)
    """Only averaged over shards and processes, shown to ``Update.after``, and logged."""
    shared: Mapping[str, Tensor] = field(default_factory=dict)
    """Fields for the next update of the same step, if that one reuses the batch; without gradient."""


class Player(Protocol):
    """A network that an update can move."""

    config: NetworkConfig

    def parameters(self) -> Iterator[Any]: ...

    def named_parameters(self) -> Iterator[tuple[str, Any]]: ...


class Generator(Player, Protocol):
    """From latents (and labels or codes), one row a sample, to samples."""

    def __call__(self, *inputs: Tensor) -> Sample: ...


class Translator(Generator, Protocol):
    """From samples of one domain to samples of the other."""

    def stages(self, x: Sample) -> list[Tensor]: ...


class PatchHeads(Player, Protocol):
    """From a translator's maps, and of each some places, to vectors."""

    def __call__(self, stages: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]: ...


class Decoder(Generator, Protocol):
    """From maps of latents to samples; one with a codebook decodes the code that is nearest to each latent."""

    def nearest(self, z: Tensor) -> tuple[Tensor, Tensor]: ...

    @property
    def last_layer(self) -> Tensor:
        """The weight of the last layer."""
        ...


class Discriminator(Player, Protocol):
    """From samples, and conditions where it has any, to raw scores (N,)."""

    def __call__(self, x: Sample, *conditions: Tensor) -> Score: ...

    def features(self, x: Sample, *conditions: Tensor) -> Tensor: ...

    def stages(self, x: Sample, *conditions: Tensor) -> list[list[Tensor]]: ...

    @property
    def head(self) -> Callable[[Tensor], Score]:
        """From features to scores."""
        ...


class Encoder(Player, Protocol):
    """From samples to latents: ``posterior`` gives mean and log-variance of q(z|x), calling it the mean."""

    def __call__(self, x: Sample) -> Tensor: ...

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]: ...
