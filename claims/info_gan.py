"""InfoGAN, Chen et al. 2016."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import log
from typing import Any

import torch
from torch import Tensor

from claims.play import batches, classifier, finish, game_of, play, prepared, shipped, spearman
from claims.table import Claim, Figures, each
from gan_core.config import schema
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.prepared import Prepared
from gan_core.metrics.batching import in_batches
from gan_core.metrics.recognition import matched_accuracy
from gan_core.runtime.seeds import fold

PAPER = "Chen et al. 2016, InfoGAN"
DIGITS = schema.Digits("digits", 0.2)
SHAPES = schema.Shapes("shapes", 12, ["disc", "cross", "frame"], 0.5, 0.5, 3000, 0, 0.2)
SHIFTED = schema.Shapes("shapes", 12, ["disc"], 2.0, 0.0, 3000, 0, 0.2)
DRAWN = 2000


def drawn(data: Prepared, seed: int, steps: int, **settings: Any) -> tuple[Any, Tensor, dict[str, Tensor]]:
    """Play; the game, samples of the generator as it would be shipped, and the latents they were drawn from."""
    game = game_of("info_gan", NetworkSpec("mlp", 256, 16, data.shape), seed, **settings)
    run = finish(play(game, batches(data, 128, seed), steps, seed))
    generator = shipped(run, "generator", seed, 128)
    torch.manual_seed(fold(seed, "drawn"))
    latents = {i.name: i.sample(DRAWN) for i in game.latents}
    return game, in_batches(generator, *latents.values()), latents


def categorical(seed: int, spec: schema.Dataset, categories: int, steps: int) -> Figures:
    """Whether the code means the class, with the information term and without."""
    data = prepared(spec)
    known = classifier(data, categories)
    figures: Figures = {}
    for name, weight in (("", 1.0), (", lambda 0", 0.0)):
        game, fake, latents = drawn(data, seed, steps, categories=categories, continuous=0, weight=weight)
        seen = in_batches(known, fake).argmax(1).numpy()
        figures[f"accuracy{name}"] = matched_accuracy(seen, latents["category"].numpy())
        if weight:
            with torch.no_grad():
                q = game.recogniser(game.discriminator.features(fake)).log_softmax(1)
            told = q.gather(1, latents["category"][:, None]).mean()
            figures["information / H(c)"] = float(told + log(categories)) / log(categories)
    return figures


def blind(seed: int) -> Figures:
    """What Q, trained on a generator that was not told to keep the code, can read of it afterwards."""
    data = prepared(DIGITS)
    game, fake, latents = drawn(data, seed, 1500, categories=10, continuous=0, weight=0.0)
    with torch.no_grad():
        h = game.discriminator.features(fake)
    torch.manual_seed(fold(seed, "q"))
    adam = torch.optim.Adam(game.recogniser.parameters(), 1e-3)
    game.recogniser.requires_grad_(True)
    half = DRAWN // 2
    for _ in range(300):
        rows = torch.randint(half, (128,))
        loss = torch.nn.functional.cross_entropy(game.recogniser(h[rows]), latents["category"][rows])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    with torch.no_grad():
        q = game.recogniser(h[half:]).log_softmax(1)
    return {"information / H(c), lambda 0": float(q.gather(1, latents["category"][half:, None]).mean()) / log(10) + 1}


def continuous(seed: int) -> Figures:
    """Whether a continuous code is the shift of a shape: rank correlation with the samples' centre of mass."""
    data = prepared(SHIFTED)
    _, fake, latents = drawn(data, seed, 1500, categories=0, continuous=1)
    mass = (fake[:, 0].double() + 1).sum(1)
    where = (mass * torch.arange(12)).sum(1) / mass.sum(1)
    return {"|rho|": abs(spearman(latents["code"][:, 0].tolist(), where.tolist()))}


def three_of_four(seeds: Sequence[Figures]) -> bool:
    """The bar of I2."""
    return sum(f["accuracy"] >= 0.95 for f in seeds) >= 3


def classes(seeds: Sequence[Figures]) -> bool:
    """The bar of I3."""
    with_, without = (sum(f[k] for f in seeds) / len(seeds) for k in ("accuracy", "accuracy, lambda 0"))
    return with_ >= 0.55 and with_ - without >= 0.2


def shifts(seeds: Sequence[Figures]) -> bool:
    """The bar of I4."""
    return max(f["|rho|"] for f in seeds) >= 0.95 and sum(f["|rho|"] >= 0.95 for f in seeds) * 3 >= 2 * len(seeds)


GAME = "mlp 3 x 256, z of 16, Q on the discriminator's features, lambda 1, batch 128, Adam 1e-3 and 2e-4"

SHAPE_CODES = partial(categorical, spec=SHAPES, categories=3, steps=1500)
DIGIT_CODES = partial(categorical, spec=DIGITS, categories=10, steps=6000)

CLAIMS = (
    Claim(
        "I1",
        PAPER,
        "The bound on the information between code and sample soon reaches the entropy of the code (figure 1)",
        f"Digits, ten categories; {GAME}, 6,000 steps; E log Q(c|x) + H(c) on 2,000 samples of the averaged generator. "
        "(At 3,000 steps one seed of three may still lack one of the ten codes, with 0.83 H(c))",
        ">= 0.97 H(c) on every seed",
        DIGIT_CODES,
        each(lambda f: f["information / H(c)"] >= 0.97),
        shows=("information / H(c)",),
        seeds=(0, 1, 2),
        cost=90,
    ),
    Claim(
        "I1-0",
        PAPER,
        "A game without the information term does not keep its code (figure 1)",
        "I1 with lambda 0, 1,500 steps; a Q trained afterwards on 1,000 samples, the bound on 1,000 others",
        "<= 0.1 H(c)",
        blind,
        each(lambda f: f["information / H(c), lambda 0"] <= 0.1),
        cost=30,
    ),
    Claim(
        "I2",
        PAPER,
        "The categorical code finds the classes, with 5 % error (section 7.2)",
        f"Disc, cross and frame, 12 x 12, shifted by up to half a pixel, three categories; {GAME}, 1,500 steps; codes "
        "and classes matched one to one, classes by a classifier",
        "accuracy >= 0.95 on three of four seeds",
        SHAPE_CODES,
        three_of_four,
        shows=("accuracy", "information / H(c)"),
        seeds=(0, 1, 2, 3),
        cost=60,
    ),
    Claim(
        "I2-0",
        PAPER,
        "Without the information term it does not find them",
        "I2 with lambda 0",
        "mean accuracy <= 0.8",
        SHAPE_CODES,
        lambda seeds: sum(f["accuracy, lambda 0"] for f in seeds) / len(seeds) <= 0.8,
        shows=("accuracy, lambda 0",),
        seeds=(0, 1, 2, 3),
        cost=60,
    ),
    Claim(
        "I3",
        PAPER,
        "On digits it finds most of them",
        "I1; codes and classes matched one to one. Not 95 %: 8 x 8 digits leave other ways to spend ten categories",
        "mean accuracy >= 0.55 and >= 0.2 above lambda 0",
        DIGIT_CODES,
        classes,
        shows=("accuracy", "accuracy, lambda 0"),
        seeds=(0, 1, 2),
        cost=90,
    ),
    Claim(
        "I4",
        PAPER,
        "A continuous code becomes a factor of the data (figure 2)",
        f"Discs, 12 x 12, shifted sideways by up to 2 pixels, one code of U(-1, 1); {GAME}, 1,500 steps; Spearman's "
        "|rho| of the code and the sample's centre of mass",
        ">= 0.95 on two of three seeds",
        continuous,
        shifts,
        seeds=(0, 1, 2),
        cost=25,
    ),
)
