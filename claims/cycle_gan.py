"""CycleGAN, Zhu et al. 2017."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from claims.play import batches, classifier, finish, game_of, play, prepared, shipped
from claims.table import Claim, Figures, each
from gan_core.config import schema
from gan_core.core.network_spec import NetworkSpec
from gan_core.metrics.batching import in_batches
from gan_core.metrics.roles import mapped, r_squared

PAPER = "Zhu et al. 2017, Unpaired Image-to-Image Translation (CycleGAN)"
FAST = {"learning_rate": 1e-3, "discriminator_learning_rate": 5e-4}
MLP = {"learning_rate": 5e-4, "discriminator_learning_rate": 5e-4}


def translated(
    seed: int, domains: str, family: str = "resnet", width: int = 32, steps: int = 1000, **settings: Any
) -> Figures:
    """Play on two unpaired domains of the digits, and compare with the true map on held-out ones."""
    data = prepared(schema.DigitDomains("digit_domains", domains, 0, 0.2))  # type: ignore[arg-type]
    game = game_of("cycle_gan", NetworkSpec(family, width, 0, data.shape), seed, **(FAST | settings))
    run = finish(play(game, batches(data, 16 if family == "resnet" else 64, seed, noise=0.0), steps, seed))
    there, back = (shipped(run, role, seed, 16) for role in ("a_to_b", "b_to_a"))
    x = data.samples("heldout")[:]
    y = in_batches(there, x)
    known = classifier(data)
    before, after = (in_batches(known, s).argmax(1) for s in (x, y))
    return {
        "R2": r_squared(y, x, lambda some: mapped(some, data.index["translation"], inverse=False)),
        "cycle L1": float((in_batches(back, y) - x).abs().mean()),
        "class kept": float((before == after).double().mean()),
        "diversity": diversity(y) / diversity(x),
    }


def diversity(x: Tensor) -> float:
    """The mean distance of two pictures."""
    return float(torch.pdist(x.flatten(1)).mean())


def faithful(f: Figures) -> bool:
    """The bar of C1."""
    return f["R2"] >= 0.95 and f["cycle L1"] <= 0.03 and f["class kept"] >= 0.97


def ablation(seed: int) -> Figures:
    """C2: the whole objective beside its halves."""
    whole = translated(seed, "recolour", identity=0.0)
    cycle, gan = (
        translated(seed, "recolour", identity=0.0, adversarial=0.0),
        translated(seed, "recolour", identity=0.0, cycle=0.0),
    )
    return {
        "R2": whole["R2"], "R2, cycle only": cycle["R2"], "R2, GAN only": gan["R2"],
        "cycle L1": whole["cycle L1"], "cycle L1, GAN only": gan["cycle L1"],
    }  # fmt: skip


def collapse(seed: int) -> Figures:
    """C4: fully connected translators, with and without the cycle."""
    found = {
        name: translated(seed, "recolour", "mlp", 256, 2000, identity=0.0, cycle=cycle, **MLP)
        for name, cycle in (("GAN only", 0.0), ("cycle", 10.0))
    }
    return {f"{k}, {name}": f[k] for name, f in found.items() for k in ("diversity", "cycle L1", "class kept")}


def two_of_three(seeds: Sequence[Figures]) -> bool:
    """The bar of C3."""
    return sum(f["R2"] >= 0.9 for f in seeds) >= 2


DOMAINS = (
    "Half of the digits in one domain, the rest in the other, a fifth of each held out, no instance noise; resnet of "
    "32 channels, batch 16, 1,000 steps, Adam 1e-3 and 5e-4 falling to zero in the second half; against the true map "
    "on held-out digits"
)

CLAIMS = (
    Claim(
        "C1",
        PAPER,
        "Without a single pair it finds the map between two domains, in both directions",
        f"Red on black and blue on sand. {DOMAINS}; lambda 10, no identity loss",
        "R2 >= 0.95, cycle L1 <= 0.03, class kept >= 0.97 on every seed",
        partial(translated, domains="recolour", identity=0.0),
        each(faithful),
        seeds=(0, 1, 2),
        cost=70,
    ),
    Claim(
        "C2",
        PAPER,
        "Neither half of the objective does it alone (tables 4 and 5)",
        "C1 with the adversarial losses alone, and with the cycle alone",
        "R2 of the cycle alone < 0; cycle L1 of the adversarial losses alone >= 10 times that of both",
        ablation,
        each(lambda f: f["R2, cycle only"] < 0 and f["cycle L1, GAN only"] >= 10 * f["cycle L1"]),
        cost=170,
        known="each translator learns the colours of its output from the other domain's cycle, so here the cycle alone "
        "finds part of the map, R2 0.31; the adversarial losses alone lose the way back",
    ),
    Claim(
        "C3",
        PAPER,
        "It inverts the grey levels, which is far from the identity",
        f"Digits and negatives of digits. {DOMAINS}; lambda 3",
        "R2 >= 0.9 on at least two of three seeds",
        partial(translated, domains="inversion", identity=0.0, cycle=3.0),
        two_of_three,
        seeds=(0, 1, 2),
        cost=60,
    ),
    Claim(
        "C4",
        PAPER,
        "An adversarial loss alone may give the same picture for every input; the cycle forbids it (section 3.2)",
        "C1 with fully connected translators (3 x 256), batch 64, 2,000 steps, Adam 5e-4; diversity is the mean "
        "distance of two translated digits against that of two digits. The map found permutes the classes: a "
        "cycle does not identify the map",
        "diversity <= 0.4 without the cycle, >= 0.85 with it, and cycle L1 with it <= 0.2",
        collapse,
        each(
            lambda f: f["diversity, GAN only"] <= 0.4 and f["diversity, cycle"] >= 0.85 and f["cycle L1, cycle"] <= 0.2
        ),
        seeds=(0, 1),
        cost=60,
    ),
)
