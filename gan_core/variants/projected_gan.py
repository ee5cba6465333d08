"""Projected GANs Converge Faster. Sauer et al. 2021."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeInt, PositiveInt, Scheduled, Seed
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Sample, Score
from gan_core.networks.projected import FAMILY
from gan_core.objectives import adversarial


@dataclass(frozen=True)
class ProjectedGan:
    """Eq. 4: discriminators of four fixed maps of a picture, each with the hinge objective.

    The maps are those of the frozen EfficientNet-Lite0 (the paper: Lite1), which has seen ImageNet's photographs: what
    it sees needs not be learned, so few pictures and few steps suffice. FD-Lite0 flatters a generator that was trained
    against Lite0. ``conditional``: each discriminator knows the label, by projection (Miyato & Koyama 2018).
    """

    generator: Generator
    discriminator: Discriminator
    z: Input
    labels: tuple[Input, ...]
    conditional: bool = False
    side: PositiveInt = 64  # pixels at which the frozen network sees pictures
    pixels: NonNegativeInt = 0  # channels of a discriminator of the pixels beside the projected ones; 0: none
    projection_seed: Seed = 0  # of the random convolutions after it
    learning_rate: LearningRate = 2e-4
    discriminator_learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.0
    beta2: Scheduled[Fraction] = 0.99
    needs: ClassVar[Needs] = {"generator": (), "batch": ("x",), "batch if conditional": ("y",)}
    exports: ClassVar[Exports] = ("generator",)
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z, labels = spec.prior(), (spec.label(),) if settings["conditional"] else ()
        options = {"side": settings["side"], "pixels": settings["pixels"], "seed": settings["projection_seed"]}
        seen = spec.with_family(FAMILY, **options)
        discriminator = seen.discriminator(projected=labels, spectral=True)
        return {"generator": spec.generator(z, *labels), "discriminator": discriminator, "z": z, "labels": labels}

    def conditions(self, batch: Batch) -> tuple[Tensor, ...]:
        """The labels of a batch, where the game is conditional."""
        return (batch.y,) if self.labels else ()

    def fake(self, batch: Batch) -> Sample:
        """G(z) on fresh noise, under the labels of the real samples."""
        return self.generator(self.z.like(batch.x), *self.conditions(batch))

    def judged(self, fake: Sample, batch: Batch) -> tuple[Score, Score]:
        """D of a batch and of fakes in one, so that its statistics are of both: apart, no mean hue would be wrong."""
        conditions = (torch.cat([y, y]) for y in self.conditions(batch))
        of_real, of_fake = self.discriminator(torch.cat([batch.x, fake]), *conditions).chunk(2)
        return of_real, of_fake

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 4: E max(0, 1 - D(P(x))) + E max(0, 1 + D(P(G(z)))), the mean over places of all maps."""
        return Losses(adversarial.discriminator_hinge(*self.judged(self.fake(batch), batch)))

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 4 from the generator's side: -E D(P(G(z))), on another batch and fresh noise."""
        _, fake = self.judged(self.fake(batch), batch)
        return Losses(adversarial.generator_wasserstein(fake))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, batch: self.judged(x, batch)[1].mean(1)}

    def optimizers(self) -> Optimizers:
        return {
            "generator": Adam(self.learning_rate, self.beta1, self.beta2),
            "discriminator": Adam(self.discriminator_learning_rate, self.beta1, self.beta2),
        }

    def updates(self) -> Updates:
        return Update(("discriminator",), self.discriminator_loss), Update(("generator",), self.generator_loss)
