"""The vocabulary a paper is written in: who moves, what they minimise, how often, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, TypeAlias

from torch import Tensor, nn

from gan_core.signature import Body, Input, Recipe
from gan_core.types import Batch, Player, Sample, Score, Terms

Settings: TypeAlias = Mapping[str, Any]
"""Symbol of a paper -> its value."""

Cast: TypeAlias = Mapping[str, Recipe | Input | tuple[Input, ...] | nn.Module]
"""Field of a game -> the recipe it is built from, or its value."""

Judge: TypeAlias = Callable[[Sample, Tensor | None], Score]
"""From samples and, where there are any, their labels to scores: the higher, the more like the data."""


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by name and numbers; the loop makes the real one."""

    kind: Literal["adam", "rmsprop", "sgd"]
    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    decay_from: float = 1.0
    """The share of the run after which the rate falls linearly, to zero at the end."""

    def rate(self, progress: float) -> float:
        """The learning rate when ``progress`` (0 to 1) of the run is done."""
        left = 1.0 if progress <= self.decay_from else (1 - progress) / (1 - self.decay_from)
        return self.learning_rate * left


@dataclass(frozen=True)
class Update:
    """One line of an algorithm box."""

    players: tuple[Player, ...]
    loss: Callable[[Batch], Terms]
    optimizer: Optimizer | tuple[Optimizer, ...]
    """Of all players, or one for each: they differ in their rates."""
    repeats: int | Callable[[int], int] = 1
    """How often in a row: a number, or a function of the step (0, 1, ...)."""
    project: Callable[[], None] | None = None
    routes: Mapping[str, Player] | None = None
    """Term -> the player that descends it, at the weights that all had before; without it each descends all terms."""
    rests: Callable[[Terms], Sequence[Player]] | None = None
    """Who does not move after all, now that the terms are known."""

    def times(self, step: int) -> int:
        """How often in a row at this step."""
        return self.repeats if isinstance(self.repeats, int) else self.repeats(step)

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The one of all players, or one for each."""
        return (self.optimizer,) if isinstance(self.optimizer, Optimizer) else self.optimizer

    @property
    def groups(self) -> list[list[nn.Parameter]]:
        """The weights that each of ``optimizers`` moves."""
        return [weights_of(p) for p in self.players] if len(self.optimizers) > 1 else [weights_of(*self.players)]


def weights_of(*some: Player) -> list[nn.Parameter]:
    """The weights of some players, in order."""
    return [p for player in some for p in player.parameters()]


Updates: TypeAlias = Sequence[Update]
"""An algorithm box, in order."""

Exports: TypeAlias = Mapping[str, Player]
"""Role -> the player that is kept under it."""

Judges: TypeAlias = Mapping[str, Judge]
"""Role -> who scores what it draws."""


class Game(Protocol):
    """One paper. A frozen dataclass of its players and symbols; nothing to inherit."""

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        """The fields that are built, not declared: recipes of the players, and inputs. ``settings``: every symbol."""
        ...

    def updates(self) -> Updates:
        """The algorithm box, in order."""
        ...

    def exports(self) -> Exports:
        """What is kept, and shipped unless it is a curve: role -> player."""
        ...


def prefixed(prefix: str, terms: Terms) -> Terms:
    """Terms under longer names, where two losses of a game have the same ones."""
    return {f"{prefix}_{name}": term for name, term in terms.items()}


def judges(game: Game) -> Judges:
    """Who scores what a role draws: role -> judge. A paper that has one says so in a method ``judges``; it need not."""
    said: Judges = getattr(game, "judges", dict)()
    return said


def players(game: Any) -> dict[str, nn.Module]:
    """Every network of a game under its field's name."""
    named = {f.name: getattr(game, f.name) for f in fields(game)}
    return {name: value for name, value in named.items() if isinstance(value, nn.Module)}
