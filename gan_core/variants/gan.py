"""Generative Adversarial Nets. Goodfellow et al. 2014."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveInt, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Sample, Score
from gan_core.objectives import penalties
from gan_core.objectives.adversarial import OBJECTIVES
from gan_core.objectives.packing import packed


@dataclass(frozen=True)
class Gan:
    """Algorithm 1 with k = 1. Other objectives, penalties and views of the discriminator are options.

    ``relativistic`` with ``r1`` and ``r2`` is the game of R3GAN (Huang et al. 2024), ``pack`` that of PacGAN
    (Lin et al. 2018), ``dragan`` the penalty of Kodali et al. 2017.
    """

    generator: Generator
    discriminator: Discriminator
    z: Input
    objective: Literal["non_saturating", "saturating", "least_squares", "hinge", "relativistic"] = "non_saturating"
    r1: Scheduled[NonNegativeFloat] = 0.0  # gamma, on real samples
    r2: Scheduled[NonNegativeFloat] = 0.0  # gamma, on generated samples
    dragan: Scheduled[NonNegativeFloat] = 0.0  # lambda
    spectral_norm: bool = False
    pack: PositiveInt = 1  # samples scored at once
    learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"generator": (), "discriminator": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("generator",)
    signed: ClassVar[Signed] = {"objective": ("non_saturating", "saturating", "hinge")}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z, discriminator = spec.prior(), spec.discriminator(spectral=settings["spectral_norm"], pack=settings["pack"])
        return {"generator": spec.generator(z), "discriminator": discriminator, "z": z}

    def score(self, x: Sample) -> Score:
        """The score of samples as the discriminator is shown them."""
        return self.discriminator(packed(x, self.pack))

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Algorithm 1, inner loop: ascend E log D(x) + E log(1 - D(G(z)))."""
        real, r1 = penalties.r1(self.score, batch.x, at.value(self.r1))
        fake, r2 = penalties.r2(self.score, self.generator(self.z.like(batch.x)), at.value(self.r2))
        terms = OBJECTIVES[self.objective].discriminator(real, fake) | r1 | r2
        if self.dragan:
            terms["dragan"] = at.value(self.dragan) * penalties.dragan(self.score, batch.x)
        return Losses(terms)

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Algorithm 1, outer loop, with fresh noise: eq. 1, or the non-saturating form of section 3."""
        objective, fake = OBJECTIVES[self.objective], self.score(self.generator(self.z.like(batch.x)))
        return Losses(objective.generator(fake, *([self.score(batch.x)] if objective.needs_real else [])))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, _: self.score(x)}

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        return Update(("discriminator",), self.discriminator_loss), Update(("generator",), self.generator_loss)
