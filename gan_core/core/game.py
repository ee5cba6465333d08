"""What a paper is written in: who moves, what they minimise, when and how often, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeAlias

from torch import nn

from gan_core.core.frozen import Frozen
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Schedule
from gan_core.core.types import Batch, Losses, Moment, Player, Sample, Score, Stats, Terms

Settings: TypeAlias = Mapping[str, Any]
"""Symbol of a paper -> its value."""

Spec: TypeAlias = Mapping[str, NetworkConfig | Input | tuple[Input, ...] | nn.Module | None]
"""Field of a game -> the configuration that it is built from, or its value."""

Needs: TypeAlias = Mapping[str, tuple[str, ...]]
"""What a paper asks for. Role of a network -> what that network must offer (``CAPABILITIES`` of its family), ``batch``
-> fields of the batch, ``batch if <symbol>`` -> those that it asks for besides where that symbol is true, ``aligned``
-> those whose rows must belong together. Generators and encoders need a latent."""

Signed: TypeAlias = Mapping[str, tuple[str, ...]]
"""Symbol -> its values with which a score above 0 says that a sample is real; none: whatever they are."""

Scorer: TypeAlias = Callable[[Sample, Batch], Score]
"""From samples, and a batch of what they are conditioned on, to scores: the higher, the more like the data."""

Symbol: TypeAlias = float | Schedule[float]


@dataclass(frozen=True)
class Adam:
    """Kingma & Ba 2015. ``freeze``: names of submodules whose weights stay as they are (FreezeD, Mo et al. 2020)."""

    lr: Symbol
    beta1: Symbol = 0.9
    beta2: Symbol = 0.999
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True)
class RMSprop:
    """Hinton 2012, its average with a decay of 0.99; ``freeze`` as of ``Adam``."""

    lr: Symbol
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True)
class SGD:
    """Plain gradient descent; ``freeze`` as of ``Adam``."""

    lr: Symbol
    freeze: tuple[str, ...] = ()


Optimizer: TypeAlias = Adam | RMSprop | SGD

Optimizers: TypeAlias = Optimizer | Mapping[str, Optimizer]
"""How networks move, whichever update moves them: field of a game -> optimizer, or one for all that updates move.

A network has one optimizer state of its own either way.
"""


@dataclass(frozen=True)
class Update:
    """One line of an algorithm box."""

    players: tuple[str, ...]
    """Who moves: fields of the game."""
    loss: Callable[[Batch, Moment], Losses]
    every: int = 1
    """It is applied at steps 0, ``every``, 2 ``every``, ... (lazy regularisation)."""
    repeats: int | Callable[[Moment], int] = 1
    """How often in a row, each time on another batch: a number, or a function of the moment."""
    after: Callable[[Stats], None] | None = None
    """What follows the step, without gradients; it sees terms and statistics, averaged over shards and processes."""
    terms_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Player -> the terms it descends, all at the weights of one pass; without it every player descends all terms."""
    skip: Callable[[Stats], Sequence[str]] | None = None
    """Who does not move after all, now that these statistics are known."""
    reuse_batch: bool = False
    """It sees the batch of the update before it, with what that one shared, and no batch of its own."""

    def times(self, at: Moment) -> int:
        """How often in a row at a moment."""
        if at.step % self.every:
            return 0
        return self.repeats(at) if callable(self.repeats) else self.repeats


Updates: TypeAlias = Sequence[Update]
"""An algorithm box, in order."""

Exports: TypeAlias = tuple[str, ...]
"""Fields of a game whose networks are kept, and shipped unless they are curves; a field's name is the role's."""

Scorers: TypeAlias = Mapping[str, Scorer]
"""Role -> who scores what it draws."""


class Game(Protocol):
    """One paper. A frozen dataclass of its networks and symbols; nothing to inherit.

    A method ``scorers`` may say who scores what a role draws; a literal ``signed``, when the sign of a score tells real
    from fake, by which the strength of augmentation can be adapted.
    """

    needs: ClassVar[Needs]
    """A literal: ``check`` reads it without running the file."""
    exports: ClassVar[Exports]

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        """The fields that are built, not declared: networks' configurations, and inputs. ``settings``: all symbols."""
        ...

    def optimizers(self) -> Optimizers:
        """How each network moves."""
        ...

    def updates(self) -> Updates:
        """The algorithm box, in order."""
        ...


@dataclass(frozen=True)
class Modules:
    """The modules of a game under the names of their fields."""

    trained: Mapping[str, nn.Module]
    """They have an optimizer."""
    state: Mapping[str, nn.Module]
    """Buffers without weights to train, as a history of fakes: part of every checkpoint."""
    frozen: Mapping[str, Frozen]
    """Fields, and parts of networks under ``<field>.<part>``."""

    @property
    def saved(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        return {**self.trained, **self.state}


def algorithm_box(game: Game) -> Updates:
    """The updates of a game.

    Raises:
        TypeError: one reuses the batch of an update that is not always applied before it.
    """
    box = game.updates()
    for k, update in enumerate(box):
        if update.reuse_batch and (k == 0 or update.every % box[k - 1].every):
            raise TypeError(f"update {k} of {type(game).__name__} reuses a batch, and none is always drawn before it")
    return box


def optimizers(game: Game) -> dict[str, Optimizer]:
    """The optimizer of every player, in the order of the game's fields.

    Raises:
        TypeError: a player has none, or one is not of a player.
    """
    given, name = game.optimizers(), type(game).__name__
    players = {player for update in game.updates() for player in update.players}
    each = given if isinstance(given, Mapping) else dict.fromkeys(players, given)
    if wrong := sorted(players ^ each.keys()):
        raise TypeError(f"{name}.optimizers() and {name}.updates() disagree about {', '.join(wrong)}")
    return {f.name: each[f.name] for f in fields(game) if f.name in each}  # type: ignore[arg-type]


def depends_on_length(game: Game, *others: object) -> bool:
    """Whether a step depends on how many there will be: a symbol goes with the share of the run that is done.

    ``others``: symbols beside those of the game.
    """
    specs = [value for spec in optimizers(game).values() for value in vars(spec).values()]
    return any(isinstance(s, Schedule) and s.images is None for s in (*vars(game).values(), *specs, *others))


def modules(game: Game) -> Modules:
    """The modules of a game by what becomes of them.

    Raises:
        TypeError: a network has weights, is not frozen, and no update moves it.
    """
    owned = {f.name: getattr(game, f.name) for f in fields(game)}  # type: ignore[arg-type]
    networks = {name: value for name, value in owned.items() if isinstance(value, nn.Module)}
    parts = ((f"{name}.{at}".strip("."), part) for name, n in networks.items() for at, part in n.named_modules())
    frozen = {name: part for name, part in parts if isinstance(part, Frozen)}
    trained = {name: networks[name] for name in optimizers(game)}
    state = {name: network for name, network in networks.items() if name not in {**trained, **frozen}}
    if idle := [name for name, network in state.items() if next(network.parameters(), None) is not None]:
        raise TypeError(f"no update of {type(game).__name__} moves {', '.join(idle)}; what only computes is Frozen")
    return Modules(trained, state, frozen)


def trainable(network: nn.Module, optimizer: Optimizer) -> list[nn.Parameter]:
    """The weights of a network that its optimizer moves.

    Raises:
        ValueError: it is to freeze what is not there.
    """
    for name in optimizer.freeze:
        if not any(key == name or key.startswith(f"{name}.") for key, _ in network.named_parameters()):
            raise ValueError(
                f"there are no weights '{name}' to freeze, only {[k for k, _ in network.named_parameters()]}"
            )
    kept = tuple(f"{name}." for name in optimizer.freeze)
    return [p for key, p in network.named_parameters() if not f"{key}.".startswith(kept)]


def prefixed(prefix: str, terms: Terms) -> Terms:
    """Terms under longer names, where two losses of a game have the same ones."""
    return {f"{prefix}_{name}": term for name, term in terms.items()}


def exported(game: Game) -> dict[str, Player]:
    """What is kept: role -> network."""
    return {role: getattr(game, role) for role in game.exports}


def scorers(game: Game) -> Scorers:
    """Who scores what a role draws: role -> scorer. A paper that has one says so in a method; it need not."""
    found: Scorers = getattr(game, "scorers", dict)()
    return found
