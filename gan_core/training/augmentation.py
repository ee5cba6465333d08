"""How strong the augmentation of a run is: as declared, or led by how far its discriminators overfit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gan_core.core.game import scorers
from gan_core.core.inputs import LATENT, Input
from gan_core.core.schedule import Adaptive
from gan_core.core.types import Batch
from gan_core.networks.layers.augmented import Augmented
from gan_core.runtime import distributed
from gan_core.training.run import Run
from gan_core.training.update import reseed, shards_of

EVERY = 4
"""Steps between two looks at how far the discriminators overfit."""
MOST = 0.8
"""Where an adaptive p stops: beyond, what is changed is more frequent than what is not, and the generator learns it
(Karras et al. 2020, section 2.2)."""
SMALLEST = 1e-12
"""Of how much higher real samples are scored than generated ones: below, a discriminator knows nothing."""


def discriminators(run: Run) -> list[Augmented]:
    """Those that are shown augmented samples."""
    return [network for network in run.modules.trained.values() if isinstance(network, Augmented)]


def set_strength(run: Run) -> None:
    """What is declared for this step; what adapts stays."""
    declared = run.plan.augment_p
    if declared is None or isinstance(declared, Adaptive):
        return
    for network in discriminators(run):
        network.p.fill_(run.at.value(declared))


def strength(run: Run, batch_at: Callable[[int], Batch]) -> dict[str, Tensor]:
    """What the loss table says of the step that was just taken, once p has followed r where it adapts."""
    networks, declared = discriminators(run), run.plan.augment_p
    if not networks:
        return {}
    found = {"augment_p": networks[0].p.clone()}
    if isinstance(declared, Adaptive) and (run.step + 1) % EVERY == 0:
        reseed(run.plan.seed, run.step, "augmentation")  # of what batches draw
        r = overfitting(run, batch_at(run.drawn - 1))
        by = EVERY * run.plan.batch_size / declared.images
        for network in networks:
            network.p.add_(torch.sign(r - declared.target), alpha=by).clamp_(0, MOST)
        found["augment_r"] = r
    return found


@torch.no_grad()
def overfitting(run: Run, batch: Batch) -> Tensor:
    """R_t, or r_v where samples are set aside, in [-1, 1], over all shards and scorers. Karras et al. 2020, 3.1."""
    count = run.execution.shards
    given = shards_of(batch, count)
    aside = shards_of(run.aside_at(run.step // EVERY), count) if run.aside_at else [None] * len(given)
    means: dict[str, Tensor] = {}
    for k, (shard, other) in enumerate(zip(given, aside, strict=True)):
        reseed(run.plan.seed, run.step, "augmentation", distributed.rank() + k * distributed.world_size())
        for name, value in judged(run, shard, other).items():
            means[name] = value / count + means.get(name, 0)
    means = distributed.sum_over_processes([], means)
    if "sign" in means:
        return means["sign"]
    gap, whole = means["real"] - means["aside"], means["real"] - means["fake"]
    return (gap / whole.clamp(min=SMALLEST)).clamp(-1, 1)


def judged(run: Run, batch: Batch, aside: Batch | None) -> dict[str, Tensor]:
    """What scorers say of one shard: the mean sign of real scores, or the mean scores that r_v compares."""
    found: dict[str, list[Tensor]] = {}
    for role, scorer in scorers(run.game).items():
        config = run.exports[role].config
        real = scorer(vars(batch)[config.output_space], batch)
        if aside is None:
            found.setdefault("sign", []).append(real.sign().mean())
            continue
        given = [fed(run, i, batch) for i in config.inputs]
        fake = run.exports[role](*given)  # type: ignore[operator]
        other = scorer(vars(aside)[config.output_space], aside)
        for name, v in {"real": real, "aside": other, "fake": scorer(fake, batch)}.items():
            found.setdefault(name, []).append(v.mean())
    return {name: torch.stack(values).mean() for name, values in found.items()}


def fed(run: Run, i: Input, batch: Batch) -> Tensor:
    """What a network is given for an input: a field of the batch, the latents of its samples, or rows of a prior."""
    if i.prior == LATENT:
        encoder = next(player for player in run.exports.values() if player.config.output_space == "latent")
        z: Tensor = encoder(batch.x)  # type: ignore[operator]
        return z
    return vars(batch)[i.field] if i.field else i.like(batch.x)
