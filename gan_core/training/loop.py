"""The loop. It plays any game, knows none by name, and is the only place that calls backward and step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from gan_core.errors import NumericsError
from gan_core.game import Game, Update, players, weights_of
from gan_core.seeds import fold
from gan_core.training import processes
from gan_core.training.checkpoint import State
from gan_core.training.ema import Average
from gan_core.training.graph import Captured
from gan_core.training.progress import Progress
from gan_core.types import Batch, Player, Terms

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


@dataclass(frozen=True)
class Means:
    """How the numbers of a run are computed; which numbers, the paper says. Reasons and figures: docs/speed.md."""

    channels_last: bool = False
    """Images lie in memory pixel by pixel, not plane by plane."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the networks' products; weights, their steps and their averages are float32."""
    shards: int = 1
    """In how many parts a batch is computed, each with noise and batch statistics of its own. Processes share them."""
    graph: bool = False
    """On a GPU, an update of one shard is one CUDA graph."""


AS_IT_IS = Means()


@dataclass
class Run:
    """All that changes while a game is played. ``state`` and ``restore`` are each other's inverse."""

    game: Game
    updates: Sequence[Update]
    exports: Mapping[str, Player]
    averages: dict[str, Average]
    optimizers: list[torch.optim.Optimizer]
    means: Means = AS_IT_IS
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
    graphs: list[Captured] = field(default_factory=list)
    """Of every update, where they are used."""

    def __post_init__(self) -> None:
        self.weights = {id(network): list(network.parameters()) for network in players(self.game).values()}
        """Of every network, by its identity."""

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
        networks = players(self.game).items()
        memories = processes.everyone({n: {key: b.cpu() for key, b in net.named_buffers()} for n, net in networks})
        return {name: getattr(self, name) for name in COUNTED} | {"parts": parts, "memories": memories}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for name in COUNTED:
            setattr(self, name, state[name])
        device = self.optimizers[0].param_groups[0]["params"][0].device
        self.window = {name: value.to(device) for name, value in self.window.items()}
        for name, part in self._parts().items():
            part.load_state_dict(state["parts"][name])
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].to(device)
        if memories := state["memories"]:
            mine = memories[processes.rank() % len(memories)]
            for name, network in players(self.game).items():
                for key, buffer in network.named_buffers():
                    buffer.copy_(mine[name][key])
        for graph in self.graphs:
            graph.drop()

    def check(self) -> None:
        """Refuse to go on with numbers that are none.

        Raises:
            NumericsError: a term or a weight is NaN or infinite.
        """
        for name, value in self.window.items():
            if not torch.isfinite(value):
                raise NumericsError(f"{name} became {value.item()} {self._where()}")
        for name, network in players(self.game).items():
            largest = [p.abs().max() for p in network.parameters()]
            if largest and not bool(torch.stack(largest).isfinite().all()):
                raise NumericsError(f"a weight of {name} became NaN or infinite {self._where()}")

    def _where(self) -> str:
        return f"by step {self.step}; lower settings.learning_rate, or look for wrong values in the data"


def make_optimizer(update: Update, graph: bool = False) -> torch.optim.Optimizer:
    """The real optimizer of an update, over its players' weights; ``graph``: one whose step can be captured."""
    first, device = update.optimizers[0], update.groups[0][0].device
    rates = [torch.tensor(o.learning_rate, device=device) if graph else o.learning_rate for o in update.optimizers]
    groups = [{"params": weights, "lr": rate} for weights, rate in zip(update.groups, rates, strict=True)]
    made: torch.optim.Optimizer
    if first.kind == "adam":
        made = torch.optim.Adam(groups, betas=(first.beta1, first.beta2), fused=True, capturable=graph)
    elif first.kind == "rmsprop":
        made = torch.optim.RMSprop(groups, foreach=True, capturable=graph)
    else:
        made = torch.optim.SGD(groups, fused=True)
    made._warned_capturable_if_run_uncaptured = graph  # torch would warn at the first steps, which are not
    return made


def start(game: Game, ema_decay: float, device: str = "cpu", means: Means = AS_IT_IS) -> Run:
    """A run at step 0, its networks on ``device``."""
    for network in players(game).values():
        network.to(device)
        if means.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if means.precision != "float32":
            for part in (network, *network.children()):
                part.register_forward_hook(in_float32)
    updates, exports = game.updates(), game.exports()
    graph = means.graph and device == "cuda" and means.shards == 1
    averages = {role: Average(player, ema_decay) for role, player in exports.items()}  # type: ignore[arg-type]
    optimizers = [make_optimizer(u, graph) for u in updates]
    run = Run(game, updates, exports, averages, optimizers, means)
    if graph:
        for update, optimizer in zip(updates, optimizers, strict=True):
            run.graphs.append(Captured(partial(descend, update, optimizer, means=means), optimizer.zero_grad))
    return run


def in_float32(_network: nn.Module, _inputs: object, output: Any) -> Any:
    """What a network or a part of it gives, at full precision: scores and variances are exponentiated and averaged."""
    return output.float() if isinstance(output, Tensor) else tuple(o.float() for o in output)


def set_rates(run: Run, progress: float) -> None:
    """Every optimizer's learning rate when ``progress`` (0 to 1) of the run is done."""
    for update, optimizer in zip(run.updates, run.optimizers, strict=True):
        for group, spec in zip(optimizer.param_groups, update.optimizers, strict=True):
            rate = spec.rate(progress) * run.pace
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def reseed(*place: int | str) -> None:
    """Seed every generator in use by a place: ``torch.manual_seed``, but that asks after all devices for 0.1 ms."""
    seed = fold(*place)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)


def differentiate(update: Update, batch: Batch, precision: str, share: float) -> Terms:
    """Add ``share`` times the gradient of the sum of an update's terms; returns the terms, times as much, detached."""
    with nullcontext() if precision == "float32" else torch.autocast(batch.x.device.type, torch.bfloat16):
        terms = update.loss(batch)
    parts = terms if share == 1 else {name: value * share for name, value in terms.items()}
    if update.routes is None:
        torch.autograd.backward(list(parts.values()))  # of their sum
    else:
        for player in update.players:
            its = [parts[name] for name, mover in update.routes.items() if mover is player]
            torch.autograd.backward(its, inputs=weights_of(player), retain_graph=True)
    return {name: value.detach() for name, value in parts.items()}


def shards(batch: Batch, count: int, *place: int) -> Iterator[Batch]:
    """The parts of a batch that this process computes, torch seeded for each: it does not matter which process does."""
    if count == 1:
        yield batch
        return
    size = len(batch) // count
    for k in range(processes.rank(), count, processes.world()):
        reseed(*place, "shard", k)
        x, y, other = (None if t is None else t[k * size : (k + 1) * size] for t in (batch.x, batch.y, batch.other))
        assert x is not None
        yield Batch(x, y, other)


def descend(
    update: Update, optimizer: torch.optim.Optimizer, batch: Batch, means: Means = AS_IT_IS, *place: int
) -> Terms:
    """One step of one update: sum its terms, differentiate, move its players, project. Returns the terms, detached.

    Of a batch in shards, gradient and terms are the means over shards, whichever process computed them.
    """
    optimizer.zero_grad(set_to_none=True)
    terms: Terms = {}
    for part in shards(batch, means.shards, *place):
        for name, value in differentiate(update, part, means.precision, 1 / means.shards).items():
            terms[name] = terms[name] + value if name in terms else value
    terms = processes.summed(optimizer, terms)
    for weight in weights_of(*update.rests(terms)) if update.rests else ():
        weight.grad = None
    optimizer.step()
    if update.project is not None:
        with torch.no_grad():
            update.project()
    return terms


def free(run: Run, moving: Update) -> None:
    """Of all weights, only those that an update moves take gradients: nothing is differentiated in vain."""
    movers = {id(player) for player in moving.players}
    for network, weights in run.weights.items():
        for weight in weights:
            weight.requires_grad = network in movers


def play_step(run: Run, batch_at: Callable[[int], Batch], seed: int) -> Terms:
    """One pass over the algorithm box. All randomness is a function of (seed, step, update, repeat), and the shard."""
    terms: Terms = {}
    for k, (update, optimizer) in enumerate(zip(run.updates, run.optimizers, strict=True)):
        free(run, update)
        times = update.times(run.step)
        if not times and not run.graphs:
            optimizer.zero_grad(set_to_none=True)  # as after a restored state
        for repeat in range(times):
            place = (seed, run.step, k, repeat)
            reseed(*place)
            batch = batch_at(run.drawn)
            terms |= run.graphs[k](batch) if run.graphs else descend(update, optimizer, batch, run.means, *place)
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
    content = run.state() | {"witness": witness.state()}
    processes.of_the_first(partial(state.save, run.step, content))


def restore(run: Run, witness: Witness, saved: dict[str, Any]) -> None:
    """The inverse of ``save``."""
    run.restore(saved)
    witness.restore(saved["witness"])


def set_back(run: Run, witness: Witness, state: State, failure: NumericsError) -> None:
    """Go back to the newest good state, optimizers and all, and on from there at half the learning rates.

    Raises:
        NumericsError: there is no such state, or the run has been set back too often already.
    """
    step, past, saved = run.step, run.setbacks, processes.of_the_first(state.newest)
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
    if saved := processes.of_the_first(state.newest):
        restore(run, watching, saved)
    else:
        save(run, watching, state)
    progress = Progress(plan.name, plan.steps, run.step, silent=processes.rank() > 0)
    for network in players(run.game).values():
        network.train()
    try:
        while run.step < plan.steps:
            set_rates(run, run.step / plan.steps)
            terms = play_step(run, batch_at, plan.seed)
            for role, average in run.averages.items():
                average.update(run.exports[role], run.step)  # type: ignore[arg-type]
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
                halt = run.step < plan.steps and processes.any_of(stop)
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
