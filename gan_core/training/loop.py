"""The training loop. It trains any game and knows none by name: steps, saves, logs, and goes back from NaN."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gan_core.core.game import Adam, Game, Optimizer, Update, algorithm_box, exported, modules
from gan_core.core.schedule import Schedule
from gan_core.core.types import Batch
from gan_core.runtime import distributed
from gan_core.runtime.errors import NumericsError
from gan_core.runtime.progress import Progress
from gan_core.training.augmentation import set_strength, strength
from gan_core.training.checkpoint import State
from gan_core.training.cuda_graph import Captured
from gan_core.training.ema import Average, decay
from gan_core.training.run import DEFAULT, ExecutionConfig, Plan, Row, Run, make_optimizer, set_symbols
from gan_core.training.update import apply_update, train_step

MAX_ROLLBACKS = 3
"""So often a run may go back to a good state when its numbers are NaN or infinite; then it has failed."""


class Stopped(Exception):
    """The run was asked to stop; its state is saved."""


class Callback(Protocol):
    """Is called while a run is trained. What it remembers is part of the run's saved state, so it is resumed too.

    It may look at everything and moves nothing: a run ends in the same weights whatever is called.
    """

    def on_step_end(self, run: Run) -> None:
        """After each step."""
        ...

    def state(self) -> dict[str, Any]:
        """What it remembers: tensors and plain values."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        ...


class NullCallback:
    """Does nothing."""

    def on_step_end(self, run: Run) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        pass


def start(
    game: Game,
    plan: Plan,
    device: str = "cpu",
    execution: ExecutionConfig = DEFAULT,
    freeze: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Run:
    """A run at step 0, its networks on ``device``. ``freeze``: player -> submodules whose weights stay as they are."""
    parts = modules(game)
    for network in (*parts.saved.values(), *parts.frozen.values()):
        network.to(device).requires_grad_(False)  # an update turns it on for what it moves
        if execution.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if execution.precision != "float32":
            for part in (network, *network.children()):
                part.register_forward_hook(in_float32)
    exports = exported(game)
    averages = {role: Average(player) for role, player in exports.items()}  # type: ignore[arg-type]
    run = Run(game, algorithm_box(game), exports, averages, {}, plan, execution, freeze=freeze)
    capturable = execution.cuda_graph and device == "cuda" and execution.shards == 1
    run.optimizers = {name: make_optimizer(spec, run.weights[name], capturable) for name, spec in run.specs.items()}
    run.graphs = [captured(run, update) for update in run.updates if capturable]
    return run


def captured(run: Run, update: Update) -> Captured:
    """An update as a CUDA graph, if it turns out to be fit for one."""

    def forget() -> None:
        for player in update.players:
            run.optimizers[player].zero_grad(set_to_none=True)

    constant = all(fixed_betas(run.specs[player]) for player in update.players)
    return Captured(partial(apply_update, run, update), forget, constant)


def fixed_betas(spec: Optimizer) -> bool:
    """Whether a captured step of this optimizer may be replayed at another moment: its rate is a tensor, betas not."""
    return not isinstance(spec, Adam) or not any(isinstance(beta, Schedule) for beta in (spec.beta1, spec.beta2))


def in_float32(_network: nn.Module, _inputs: object, output: Any) -> Any:
    """What a network or a part of it gives, at full precision: scores and variances are exponentiated and averaged."""
    if isinstance(output, Tensor):
        return output.float() if output.is_floating_point() else output
    return tuple(in_float32(_network, _inputs, o) for o in output)


def save(run: Run, callback: Callback, state: State) -> None:
    """Write a state that is good: checked, and with what the callback remembers."""
    run.check()
    content = run.state() | {"callback": callback.state(), "steps": run.plan.steps}
    distributed.broadcast_from_rank0(partial(state.save, run.step, content))


def restore(run: Run, callback: Callback, saved: dict[str, Any]) -> None:
    """The inverse of ``save``."""
    run.restore(saved)
    callback.restore(saved["callback"])


def rollback(run: Run, callback: Callback, state: State, failure: NumericsError) -> None:
    """Go back to the newest good state, optimizers and all, and on from there at half the learning rates.

    Raises:
        NumericsError: there is no such state, or the run has been rolled back too often already.
    """
    step, past, saved = run.step, run.rollbacks, distributed.broadcast_from_rank0(state.newest)
    if saved is None or len(past) == MAX_ROLLBACKS:
        raise NumericsError(f"{failure} (rolled back {len(past)} times, each time to half the learning rates)")
    restore(run, callback, saved)
    times = "once" if not past else f"{len(past) + 1} times"
    says = f"{failure}; back to step {run.step}, its optimizers included, at half the learning rates ({times} now)"
    run.rollbacks = [*past, {"step": step, "kind": "not_a_number", "says": says}]
    print(says, file=sys.stderr, flush=True)


def train(
    run: Run,
    batch_at: Callable[[int], Batch],
    state: State,
    stop: Callable[[], object] = lambda: False,
    callback: Callback | None = None,
) -> Run:
    """Train until ``run.plan.steps``, from the newest saved state if there is one, of a run of any length.

    ``batch_at(i)`` is the i-th batch of the run, a function of i alone. ``stop()`` is asked after each step.
    Where a number is NaN or infinite, the run is rolled back to the newest saved state, a few times.

    Raises:
        Stopped: ``stop()`` said so; the state is saved.
        NumericsError: a term or a weight is NaN or infinite, again and again; the last good state stays.
    """
    plan, calls = run.plan, callback or NullCallback()
    if saved := distributed.broadcast_from_rank0(partial(state.newest, plan.steps)):
        restore(run, calls, saved)
        if saved["steps"] != plan.steps and not distributed.rank():
            longer = f"{plan.name}: goes on from step {run.step} of a run of {saved['steps']} steps"
            print(longer, file=sys.stderr)
    else:
        save(run, calls, state)
    progress = Progress(plan.name, plan.steps, run.step, silent=distributed.rank() > 0)
    for network in run.modules.saved.values():
        network.train()
    try:
        while run.step < plan.steps:
            advance(run, batch_at)
            try:
                if run.step % plan.log_every == 0 or run.step == plan.steps:
                    run.check()
                    run.history.append(row(run))
                    progress.show({name: value for name, value in run.history[-1].items() if name != "step"})
                    run.window, run.times = {}, {}
                calls.on_step_end(run)
                halt = run.step < plan.steps and distributed.any_of(stop)
                if halt or run.step % plan.checkpoint_every == 0 or run.step == plan.steps:
                    save(run, calls, state)
            except NumericsError as failure:
                rollback(run, calls, state, failure)
                continue
            if halt:
                raise Stopped(f"stopped at step {run.step}, all of it saved")
            progress.step(run.step)
    finally:
        progress.close()
    return run


def advance(run: Run, batch_at: Callable[[int], Batch]) -> None:
    """One step, with all that belongs to it: rates, updates, averages, sums of statistics."""
    for name, optimizer in run.optimizers.items():
        set_symbols(optimizer, run.specs[name], run.at, run.lr_scale)
    set_strength(run)
    stats, batch_size = train_step(run, batch_at), run.plan.batch_size
    stats |= strength(run, batch_at)
    half_life, images = run.at.value(run.plan.ema_half_life), run.at.images + batch_size
    for role, average in run.averages.items():
        kept = decay(half_life, inf if role in run.warm else images, batch_size)
        average.update(run.exports[role], kept)  # type: ignore[arg-type]
    for name, value in stats.items():
        run.window[name] = run.window[name] + value if name in run.window else value
        run.times[name] = run.times.get(name, 0) + 1
    run.step += 1


def row(run: Run) -> Row:
    """One row of the loss table: the mean of each figure since the last row; nothing of an update not applied."""
    means: Mapping[str, float] = {name: (value / run.times[name]).item() for name, value in run.window.items()}
    return {"step": run.step, **means}
