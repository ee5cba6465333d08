"""Everything that changes while a game is trained, and how it is saved and restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from gan_core.core.game import Adam, Game, Optimizer, RMSprop, Update, modules, optimizers, trainable
from gan_core.core.schedule import Adaptive, Schedule
from gan_core.core.types import Batch, Moment, Player
from gan_core.runtime import distributed
from gan_core.runtime.errors import NumericsError
from gan_core.training.ema import Average

if TYPE_CHECKING:
    from gan_core.training.cuda_graph import Captured

Row: TypeAlias = dict[str, float]

STATE_FIELDS = ("step", "drawn", "history", "window", "times", "rollbacks")
"""What a run's state holds beside its networks and optimizers."""


@dataclass(frozen=True)
class Plan:
    """How long a run is, with which batches and seed, what is averaged, and how often it logs and saves."""

    name: str
    steps: int
    batch_size: int
    seed: int
    log_every: int
    checkpoint_every: int
    ema_half_life: float | Schedule[float] = 0.0
    """Of the averaged weights, in images."""
    augment_p: float | Schedule[float] | Adaptive | None = None
    """Probability of each change that discriminators are shown; None: they see samples as they are."""


@dataclass(frozen=True)
class ExecutionConfig:
    """How the numbers of a run are computed; which numbers, the paper says. Reasons and figures: docs/speed.md."""

    channels_last: bool = False
    """Images lie in memory pixel by pixel, not plane by plane."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' products; weights, their steps and their averages are float32."""
    shards: int = 1
    """In how many parts a batch is computed, each with noise and batch statistics of its own. Processes share them."""
    cuda_graph: bool = False
    """On a GPU, an update of one shard is one CUDA graph."""


DEFAULT = ExecutionConfig()


@dataclass
class Run:
    """A game in training. ``state`` and ``restore`` are each other's inverse."""

    game: Game
    updates: Sequence[Update]
    exports: Mapping[str, Player]
    averages: dict[str, Average]
    optimizers: dict[str, torch.optim.Optimizer]
    """Of every player."""
    plan: Plan
    execution: ExecutionConfig = DEFAULT
    step: int = 0
    drawn: int = 0
    """Batches used so far."""
    history: list[Row] = field(default_factory=list)
    window: dict[str, Tensor] = field(default_factory=dict)
    """Sums of terms and statistics since the last logged row."""
    times: dict[str, int] = field(default_factory=dict)
    """How often each of them was computed since then."""
    rollbacks: list[dict[str, Any]] = field(default_factory=list)
    """Where the numbers became NaN or infinite and the run went back, each as step and sentence."""
    graphs: list[Captured] = field(default_factory=list)
    """Of every update, where they are used."""
    freeze: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Player -> submodules whose weights stay, beside those that the paper freezes."""
    warm: set[str] = field(default_factory=set)
    """Roles whose average goes on from that of an earlier run."""
    aside_at: Callable[[int], Batch] | None = None
    """The i-th batch of training samples that are set aside, by which augmentation adapts; None: there are none."""

    def __post_init__(self) -> None:
        self.modules = modules(self.game)
        self.specs: dict[str, Optimizer] = {
            name: replace(spec, freeze=(*spec.freeze, *self.freeze.get(name, ())))
            for name, spec in optimizers(self.game).items()
        }
        self.weights = {name: trainable(self.modules.trained[name], spec) for name, spec in self.specs.items()}
        """Of every player, those that move."""

    @property
    def at(self) -> Moment:
        """When the next update is applied."""
        size = self.plan.batch_size
        return Moment(self.step, self.step * size, self.step / self.plan.steps, size)

    @property
    def lr_scale(self) -> float:
        """What every learning rate is multiplied by: half for each rollback."""
        return 0.5 ** len(self.rollbacks)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            **{f"network/{name}": network for name, network in self.modules.saved.items()},
            **{f"average/{role}": average.network for role, average in self.averages.items()},
            **{f"optimizer/{name}": optimizer for name, optimizer in self.optimizers.items()},
        }

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on as if nothing had happened."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        buffers = distributed.all_gather(
            {name: {key: b.cpu() for key, b in net.named_buffers()} for name, net in self.modules.saved.items()}
        )
        return {name: getattr(self, name) for name in STATE_FIELDS} | {"parts": parts, "buffers": buffers}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for name in STATE_FIELDS:
            setattr(self, name, state[name])
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        groups = [group for optimizer in self.optimizers.values() for group in optimizer.param_groups]
        device = groups[0]["params"][0].device
        self.window = {name: value.to(device) for name, value in self.window.items()}
        for group in groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].to(device)
        if buffers := state["buffers"]:
            mine = buffers[distributed.rank() % len(buffers)]
            for name, network in self.modules.saved.items():
                for key, buffer in network.named_buffers():
                    buffer.copy_(mine[name][key])
        for graph in self.graphs:
            graph.drop()

    def check(self) -> None:
        """Refuse to go on with NaN or infinite numbers.

        Raises:
            NumericsError: a term or a weight is NaN or infinite.
        """
        for name, value in self.window.items():
            if not torch.isfinite(value):
                raise NumericsError(f"{name} became {value.item()} {self._where()}")
        for name, network in self.modules.trained.items():
            largest = [p.abs().max() for p in network.parameters()]
            if largest and not bool(torch.stack(largest).isfinite().all()):
                raise NumericsError(f"a weight of {name} became NaN or infinite {self._where()}")

    def _where(self) -> str:
        return f"by step {self.step}; lower settings.learning_rate, or look for wrong values in the data"


def make_optimizer(spec: Optimizer, weights: list[nn.Parameter], capturable: bool = False) -> torch.optim.Optimizer:
    """The optimizer of a network; ``capturable``: one whose step can be part of a CUDA graph."""
    lr: Any = torch.tensor(0.0, device=weights[0].device) if capturable else 0.0
    made: torch.optim.Optimizer
    if isinstance(spec, Adam):
        made = torch.optim.Adam(weights, lr, fused=True, capturable=capturable)
    elif isinstance(spec, RMSprop):
        made = torch.optim.RMSprop(weights, lr, foreach=True, capturable=capturable)
    else:
        made = torch.optim.SGD(weights, lr, fused=True)
    made._warned_capturable_if_run_uncaptured = capturable  # torch would warn at the first steps, which are not
    set_symbols(made, spec, Moment())
    return made


def set_symbols(optimizer: torch.optim.Optimizer, spec: Optimizer, at: Moment, scale: float = 1.0) -> None:
    """An optimizer's learning rate, ``scale`` times what its schedule says, and its betas at a moment."""
    lr = at.value(spec.lr) * scale
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
        if isinstance(spec, Adam):
            group["betas"] = (at.value(spec.beta1), at.value(spec.beta2))
