"""Conditional GAN, Mirza & Osindero 2014, and how others let the discriminator see the label."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from claims.play import LEARNING_RATE, batches, draw, finish, game_of, labels, play, prepared, shipped
from claims.table import Claim, Figures, each
from gan_core.config import schema
from gan_core.core.build_network import build_network
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.prepared import Prepared
from gan_core.metrics.batching import in_batches
from gan_core.metrics.distances import squared_distances
from gan_core.metrics.extractor import accuracy, train_classifier
from gan_core.metrics.recognition import label_accuracy
from gan_core.runtime.seeds import fold

CONDITIONAL = "Mirza & Osindero 2014, Conditional Generative Adversarial Nets"
PROJECTION = "Miyato & Koyama 2018, cGANs with Projection Discriminator"
MATCHING = "Reed et al. 2016, Generative Adversarial Text to Image Synthesis"
THIRD = schema.Digits("digits", 0.332)
DIGIT = NetworkSpec("mlp", 256, 32, (1, 8, 8), 10)
STEPS, DRAWN = 4000, 5000


class Blind(nn.Module):
    """A discriminator that is not shown the label."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator, self.config = discriminator, discriminator.config

    def forward(self, x: Tensor, _y: Tensor) -> Tensor:
        """Samples and labels to the scores of the samples."""
        v: Tensor = self.discriminator(x)
        return v


def trained(data: Prepared, seed: int, blind: bool, settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Play, and draw samples from the generator as it would be shipped, with the labels they were asked for."""
    game = game_of("cgan", DIGIT, seed, **settings)
    if blind:
        game = replace(game, discriminator=Blind(game_of("gan", DIGIT, seed).discriminator))
    run = finish(play(game, batches(data, 100, seed), STEPS, seed))
    generator = shipped(run, "generator", seed, 100)
    torch.manual_seed(fold(seed, "drawn"))
    y = draw(labels(data, "train"), DRAWN)
    return in_batches(generator, game.z.sample(DRAWN), y), y


def classifier(x: Tensor, y: Tensor, seed: int) -> nn.Module:
    """The library's classifier, trained on samples and labels."""
    torch.manual_seed(fold(seed, "classifier"))
    network = build_network(NetworkConfig("classifier.conv", (1, 8, 8), 16, outputs=10))

    def batch_at(_step: int) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(x), (64,))
        return x[rows], y[rows]

    return train_classifier(network, batch_at, 600, seed, LEARNING_RATE)


def conditional(seed: int, blind: bool = False, **settings: Any) -> Figures:
    """How well the label is obeyed, and how good and how varied the samples of a class are."""
    data = prepared(THIRD)
    x, y = data.samples("train")[:], labels(data, "train")
    other, other_y = data.samples("heldout")[:], labels(data, "heldout")
    fake, asked = trained(data, seed, blind, settings)
    independent = classifier(other, other_y, seed)
    figures = {
        "accuracy": label_accuracy(in_batches(independent, fake).double().numpy(), asked.numpy()),
        "of real samples": accuracy(independent, x, y),
    }
    if blind:
        return figures
    spread = [torch.stack([s[c == k].std(0).mean() for k in range(10)]).mean() for s, c in ((fake, asked), (x, y))]
    near = [float(nearest(fake[:2000], part).mean()) for part in (x[torch.randperm(len(x))[: len(other)]], other)]
    return figures | {
        "CAS": accuracy(classifier(fake, asked, seed), other, other_y),
        "std ratio": float(spread[0] / spread[1]),
        "NN ratio": near[0] / near[1],
    }


def nearest(a: Tensor, b: Tensor) -> Tensor:
    """The distance of each sample of ``a`` to the nearest of ``b``."""
    near, far = (s.flatten(1).double().numpy() for s in (a, b))
    return torch.from_numpy(squared_distances(near, far).min(1)).sqrt()


def obeyed(f: Figures) -> bool:
    """The bar of N1 to N3."""
    return f["accuracy"] >= 0.95 and f["CAS"] >= 0.88 and f["std ratio"] >= 0.7 and f["NN ratio"] >= 0.8


DIGITS_BY_LABEL = (
    "Digits, 1,200 to train on; mlp 3 x 256, z of 32, batch 100, 4,000 Adam(2e-4) steps; 5,000 samples of the averaged "
    "generator; the classifier is trained on the other 597, which the game has not seen"
)
QUALITY = (
    "; CAS: a classifier trained on the samples, on the 597; std: within a class, against real; NN: mean distance to "
    "the nearest of 597 training digits against that to the 597"
)
BAR = "accuracy >= 0.95, CAS >= 0.88, std ratio >= 0.7, NN ratio >= 0.8 on every seed"

CLAIMS = (
    Claim(
        "N1",
        CONDITIONAL,
        "The generator draws what it is asked for, in variety, and copies nothing",
        DIGITS_BY_LABEL + QUALITY,
        BAR,
        conditional,
        each(obeyed),
        seeds=(0, 1),
        cost=60,
    ),
    Claim(
        "N2",
        PROJECTION,
        "So it does where the label is projected onto the discriminator's features",
        "The protocol of N1, projection",
        BAR,
        partial(conditional, conditioning="projection"),
        each(obeyed),
        cost=60,
    ),
    Claim(
        "N3",
        MATCHING,
        "So it does where real samples under a wrong label are fakes too",
        "The protocol of N1, matching-aware",
        BAR,
        partial(conditional, matching_aware=True),
        each(obeyed),
        cost=70,
    ),
    Claim(
        "N0",
        CONDITIONAL,
        "It obeys because the discriminator sees the label: a blind one leaves it at chance",
        DIGITS_BY_LABEL + "; the discriminator is not shown the label",
        "accuracy <= 0.2",
        partial(conditional, blind=True),
        each(lambda f: f["accuracy"] <= 0.2),
        cost=60,
    ),
)
