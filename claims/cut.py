"""CUT, Park et al. 2020."""

from __future__ import annotations

from claims.play import batches, finish, game_of, play, prepared, shipped
from claims.table import Claim, Figures, each
from gan_core.config import schema
from gan_core.core.network_spec import NetworkSpec
from gan_core.metrics.batching import in_batches
from gan_core.metrics.roles import mapped, r_squared

PAPER = "Park et al. 2020, Contrastive Learning for Unpaired Image-to-Image Translation (CUT)"


def translated(seed: int) -> Figures:
    """Play on two unpaired domains of the digits, and compare with the true map on held-out ones."""
    data = prepared(schema.DigitDomains("digit_domains", "recolour", 0, 0.2))
    rates = {"learning_rate": 2e-3, "discriminator_learning_rate": 5e-4, "places": 16}
    game = game_of("cut", NetworkSpec("resnet", 32, 0, data.shape), seed, **rates)
    run = finish(play(game, batches(data, 16, seed, noise=0.0), 1000, seed))
    x = data.samples("heldout")[:]
    y = in_batches(shipped(run, "translator", seed, 16), x)
    return {"R2": r_squared(y, x, lambda some: mapped(some, data.index["translation"], inverse=False))}


CLAIMS = (
    Claim(
        "U1",
        PAPER,
        "One translator, without a way back, finds the map between two domains",
        "C1's domains, network, batch and steps; Adam 2e-3 and 5e-4; the paper's weights, 16 places of 64",
        "R2 >= 0.98 on every seed",
        translated,
        each(lambda f: f["R2"] >= 0.98),
        seeds=(0, 1, 2),
        cost=60,
        known="at 8x8 pixels a place has hardly any neighbourhood to be told by: two of three seeds find most of the "
        "map, one another",
    ),
)
