"""How strong the augmentation of a run is: as declared, or led by how far its discriminators overfit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gan_core.core.game import scorers
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
        r = real_sign(run, batch_at(run.drawn - 1))
        by = EVERY * run.plan.batch_size / declared.images
        for network in networks:
            network.p.add_(torch.sign(r - declared.target), alpha=by).clamp_(0, MOST)
        found["augment_r"] = r
    return found


@torch.no_grad()
def real_sign(run: Run, batch: Batch) -> Tensor:
    """R = E sign v(x) of augmented real samples, over all shards and scorers. Karras et al. 2020, section 3.1, r_t."""
    place, share = (run.plan.seed, run.step, "augmentation"), 1 / run.execution.shards
    judged = [(run.exports[role].config.output_space, scorer) for role, scorer in scorers(run.game).items()]
    total = torch.zeros((), device=batch.x.device)
    for k, shard in enumerate(shards_of(batch, run.execution.shards)):
        reseed(*place, "shard", distributed.rank() + k * distributed.world_size())
        signs = [scorer(vars(shard)[space], shard).sign().mean() for space, scorer in judged]
        total += torch.stack(signs).mean() * share
    return distributed.sum_over_processes([], {"r": total})["r"]
