"""The loop. It plays any game, knows none by name, and is the only place that calls backward and step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gan_core.errors import NumericsError
from gan_core.game import Game, Optimizer, Update, players
from gan_core.seeds import fold
from gan_core.training.checkpoint import State
from gan_core.training.ema import Average
from gan_core.training.progress import Progress
from gan_core.types import Batch, Terms

Row = dict[str, float]


class Stopped(Exception):
    """The run was asked to stop; its state is saved."""


COUNTED = ("step", "drawn", "history", "window", "times", "setbacks")
"""What a run's state holds beside its networks and optimizers."""


MOST_SETBACKS = 3
"""So often a run may go back to a good state when its numbers are none; then it has failed."""


@dataclass(frozen=True)
class Plan:
    """How long, with which seed, and how often to look and to save."""

    name: str
    steps: int
    seed: int
    log_every: int
    checkpoint_every: int


@dataclass
class Run:
    """All that changes while a game is played. ``state`` and ``restore`` are each other's inverse."""

    game: Game
    averages: dict[str, Average]
    optimizers: list[torch.optim.Optimizer]
    step: int = 0
    drawn: int = 0
    """Batches used so far."""
    history: list[Row] = field(default_factory=list)
    window: dict[str, Tensor] = field(default_factory=dict)
    """Sums of the terms since the last logged row."""
    times: dict[str, int] = field(default_factory=dict)
    """How often each of them was played since then; an update may rest."""
    setbacks: list[dict[str, Any]] = field(default_factory=list)
    """Where the numbers became none and the run went back, each as step and sentence."""

    @property
    def pace(self) -> float:
        """What every learning rate is multiplied by: half for each setback."""
        return 0.5 ** len(self.setbacks)

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            **{f"player/{name}": network for name, network in players(self.game).items()},
            **{f"average/{role}": average.network for role, average in self.averages.items()},
            **{f"optimizer/{k}": optimizer for k, optimizer in enumerate(self.optimizers)},
        }

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs to go on as if nothing had happened."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {name: getattr(self, name) for name in COUNTED} | {"parts": parts}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for name in COUNTED:
            setattr(self, name, state[name])
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])

    def check(self) -> None:
        """Refuse to go on with numbers that are none.

        Raises:
            NumericsError: a term or a weight is NaN or infinite.
        """
        for name, value in self.window.items():
            if not torch.isfinite(value):
                raise NumericsError(f"{name} became {value.item()} {self._where()}")
        for name, network in players(self.game).items():
            if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
                raise NumericsError(f"a weight of {name} became NaN or infinite {self._where()}")

    def _where(self) -> str:
        return f"by step {self.step}; lower settings.learning_rate, or look for wrong values in the data"


def make_optimizer(spec: Optimizer, update: Update) -> torch.optim.Optimizer:
    """The real optimizer of an update, over its players' weights."""
    parameters = [p for player in update.players for p in player.parameters()]
    if spec.kind == "adam":
        return torch.optim.Adam(parameters, spec.learning_rate, (spec.beta1, spec.beta2), fused=True)
    if spec.kind == "rmsprop":
        return torch.optim.RMSprop(parameters, spec.learning_rate)
    return torch.optim.SGD(parameters, spec.learning_rate)


def start(game: Game, ema_decay: float, device: str = "cpu") -> Run:
    """A run at step 0, its networks on ``device``."""
    for network in players(game).values():
        network.to(device)
    averages = {role: Average(player, ema_decay) for role, player in game.exports().items()}  # type: ignore[arg-type]
    return Run(game, averages, [make_optimizer(update.optimizer, update) for update in game.updates()])


def set_rates(run: Run, progress: float) -> None:
    """Every optimizer's learning rate when ``progress`` (0 to 1) of the run is done."""
    for update, optimizer in zip(run.game.updates(), run.optimizers, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = update.optimizer.rate(progress) * run.pace


def descend(update: Update, optimizer: torch.optim.Optimizer, batch: Batch) -> Terms:
    """One step of one update: sum its terms, differentiate, move its players, project. Returns the terms, detached."""
    terms = update.loss(batch)
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if update.project is not None:
        with torch.no_grad():
            update.project()
    return {name: value.detach() for name, value in terms.items()}


def play_step(run: Run, batch_at: Callable[[int], Batch], seed: int) -> Terms:
    """One pass over the algorithm box. All randomness is a function of (seed, step, update, repeat)."""
    updates = run.game.updates()
    everyone = list(players(run.game).values())
    terms: Terms = {}
    for k, (update, optimizer) in enumerate(zip(updates, run.optimizers, strict=True)):
        moving = {id(player) for player in update.players}
        for network in everyone:
            network.requires_grad_(id(network) in moving)
        for repeat in range(update.times(run.step)):
            torch.manual_seed(fold(seed, run.step, k, repeat))
            terms |= descend(update, optimizer, batch_at(run.drawn))
            run.drawn += 1
    return terms


class Witness(Protocol):
    """Looks at a run while it is played. What it remembers is part of the run's saved state, so it is resumed too.

    It may look at everything and moves nothing: a run ends in the same weights whoever looks on.
    """

    def look(self, run: Run) -> None:
        """After each step."""
        ...

    def state(self) -> dict[str, Any]:
        """What it remembers: tensors and plain values."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        ...


class Nobody:
    """Looks at nothing."""

    def look(self, run: Run) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


def save(run: Run, witness: Witness, state: State) -> None:
    """Write a state that is good: checked, and with what the witness remembers."""
    run.check()
    state.save(run.step, run.state() | {"witness": witness.state()})


def restore(run: Run, witness: Witness, saved: dict[str, Any]) -> None:
    """The inverse of ``save``."""
    run.restore(saved)
    witness.restore(saved["witness"])


def set_back(run: Run, witness: Witness, state: State, failure: NumericsError) -> None:
    """Go back to the newest good state, optimizers and all, and on from there at half the learning rates.

    Raises:
        NumericsError: there is no such state, or the run has been set back too often already.
    """
    step, past, saved = run.step, run.setbacks, state.newest()
    if saved is None or len(past) == MOST_SETBACKS:
        raise NumericsError(f"{failure} (set back {len(past)} times, each time to half the learning rates)")
    restore(run, witness, saved)
    times = "once" if not past else f"{len(past) + 1} times"
    says = f"{failure}; back to step {run.step}, its optimizers included, at half the learning rates ({times} now)"
    run.setbacks = [*past, {"step": step, "kind": "not_a_number", "says": says}]
    print(says, file=sys.stderr, flush=True)


def play(
    run: Run,
    batch_at: Callable[[int], Batch],
    plan: Plan,
    state: State,
    stop: Callable[[], object] = lambda: False,
    witness: Witness | None = None,
) -> Run:
    """Play until ``plan.steps``, from the newest saved state if there is one.

    ``batch_at(i)`` is the i-th batch of the run, a function of i alone. ``stop()`` is asked after each step.
    Where a number is none, the run is set back to the newest saved state, a few times.

    Raises:
        Stopped: ``stop()`` said so; the state is saved.
        NumericsError: a term or a weight is NaN or infinite, again and again; the last good state stays.
    """
    watching = witness or Nobody()
    if saved := state.newest():
        restore(run, watching, saved)
    else:
        save(run, watching, state)
    progress = Progress(plan.name, plan.steps, run.step)
    for network in players(run.game).values():
        network.train()
    try:
        while run.step < plan.steps:
            set_rates(run, run.step / plan.steps)
            terms = play_step(run, batch_at, plan.seed)
            for role, average in run.averages.items():
                average.update(run.game.exports()[role], run.step)  # type: ignore[arg-type]
            for name, value in terms.items():
                run.window[name] = run.window[name] + value if name in run.window else value
                run.times[name] = run.times.get(name, 0) + 1
            run.step += 1
            try:
                if run.step % plan.log_every == 0 or run.step == plan.steps:
                    run.check()
                    run.history.append(row(run))
                    progress.show({name: value for name, value in run.history[-1].items() if name != "step"})
                    run.window, run.times = {}, {}
                watching.look(run)
                halt = run.step < plan.steps and stop()
                if halt or run.step % plan.checkpoint_every == 0 or run.step == plan.steps:
                    save(run, watching, state)
            except NumericsError as failure:
                set_back(run, watching, state, failure)
                continue
            if halt:
                raise Stopped(f"stopped at step {run.step}, all of it saved")
            progress.step(run.step)
    finally:
        progress.close()
    return run


def row(run: Run) -> Row:
    """One row of the loss table: the mean of each term since the last row; nothing of an update that rested."""
    means: Mapping[str, float] = {name: (value / run.times[name]).item() for name, value in run.window.items()}
    return {"step": run.step, **means}
