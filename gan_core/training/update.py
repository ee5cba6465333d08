"""One update of a game: losses, gradients, steps. The only place that calls backward and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_core.core.game import Update
from gan_core.core.types import Batch, Losses, Moment
from gan_core.runtime import distributed
from gan_core.runtime.seeds import fold
from gan_core.training.run import Run


@dataclass(frozen=True)
class Applied:
    """What an update leaves to others."""

    stats: dict[str, Tensor]
    """Its terms and statistics, averaged over shards and processes."""
    shards: Sequence[Batch]
    """The shards of its batch that this process has computed, with the fields that it shared."""


def reseed(*place: int | str) -> None:
    """Seed every generator in use by a place: ``torch.manual_seed``, but that asks after all devices for 0.1 ms."""
    seed = fold(*place)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)


def set_requires_grad(run: Run, update: Update) -> None:
    """Of all weights, only those that an update moves take gradients: nothing is differentiated in vain."""
    for name, weights in run.weights.items():
        for weight in weights:
            weight.requires_grad = name in update.players


def shards_of(batch: Batch, count: int) -> list[Batch]:
    """The parts of a batch that this process computes."""
    if count == 1:
        return [batch]
    size = len(batch) // count
    mine = range(distributed.rank(), count, distributed.world_size())
    return [batch.map(lambda rows, k=k: rows[k * size : (k + 1) * size]) for k in mine]  # type: ignore[misc]


def differentiate(run: Run, update: Update, batch: Batch, at: Moment) -> Losses:
    """Add the gradients of a shard's share of an update's terms; returns that share of terms and statistics."""
    execution, share = run.execution, 1 / run.execution.shards
    bfloat16 = execution.precision == "bfloat16"
    with torch.autocast(batch.x.device.type, torch.bfloat16) if bfloat16 else nullcontext():
        losses = update.loss(batch, at)
    terms = losses.terms if share == 1 else {name: value * share for name, value in losses.terms.items()}
    if not update.terms_of:
        torch.autograd.backward(list(terms.values()))  # of their sum
    for player, names in update.terms_of.items():
        torch.autograd.backward([terms[n] for n in names], inputs=run.weights[player], retain_graph=True)
    return Losses(
        {name: value.detach() for name, value in terms.items()},
        {name: value.detach().to(batch.x.device) * share for name, value in losses.stats.items()},
        {name: value.detach() for name, value in losses.shared.items()},
    )


def apply_update(run: Run, update: Update, shards: Sequence[Batch], at: Moment, *place: int) -> Applied:
    """Differentiate an update's terms, move its players, and do what follows.

    Gradients and statistics are the means over all shards, whichever process computed them; of several shards each is
    seeded by its place, so that it does not matter which.
    """
    for player in update.players:
        run.optimizers[player].zero_grad(set_to_none=True)
    stats: dict[str, Tensor] = {}
    handed = []
    for k, shard in enumerate(shards):
        if run.execution.shards > 1:
            reseed(*place, "shard", distributed.rank() + k * distributed.world_size())
        found = differentiate(run, update, shard, at)
        for name, value in {**found.terms, **found.stats}.items():
            stats[name] = stats[name] + value if name in stats else value
        handed.append(shard.extended(found.shared))
    gradients = [w.grad for player in update.players for w in run.weights[player] if w.grad is not None]
    stats = distributed.sum_over_processes(gradients, stats)
    skipped = update.skip(stats) if update.skip else ()
    for player in update.players:
        if player in skipped:
            run.optimizers[player].zero_grad(set_to_none=True)
        else:
            run.optimizers[player].step()
    if update.after is not None:
        with torch.no_grad():
            update.after(stats)
    return Applied(stats, handed)


def train_step(run: Run, batch_at: Callable[[int], Batch]) -> dict[str, Tensor]:
    """One pass over the algorithm box. All randomness is a function of (seed, step, update, repeat), and the shard."""
    at, stats = run.at, dict[str, Tensor]()
    shards: Sequence[Batch] = ()
    if not run.graphs:
        for optimizer in run.optimizers.values():
            optimizer.zero_grad(set_to_none=True)  # as after a restored state
    for k, update in enumerate(run.updates):
        set_requires_grad(run, update)
        for repeat in range(update.times(at)):
            place = (run.plan.seed, run.step, k, repeat)
            reseed(*place)
            if not update.reuse_batch:
                shards = shards_of(batch_at(run.drawn), run.execution.shards)
                run.drawn += 1
            applied = run.graphs[k](shards, at) if run.graphs else apply_update(run, update, shards, at, *place)
            stats |= applied.stats
            shards = applied.shards
    return stats
