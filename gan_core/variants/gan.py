"""Generative Adversarial Nets. Goodfellow et al. 2014."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.objectives import penalties, views
from gan_core.objectives.adversarial import OBJECTIVES
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Sample, Score, Terms


@dataclass(frozen=True)
class Gan:
    """Algorithm 1 with k = 1. Other objectives, penalties and views of the discriminator are options.

    ``relativistic`` with ``r1`` and ``r2`` is the game of R3GAN (Huang et al. 2024), ``pack`` that of PacGAN
    (Lin et al. 2018), ``dragan`` the penalty of Kodali et al. 2017, ``augment`` DiffAugment (Zhao et al. 2020).
    """

    generator: Generator
    discriminator: Discriminator
    z: Input
    objective: Literal["non_saturating", "saturating", "least_squares", "hinge", "relativistic"] = "non_saturating"
    r1: NonNegativeFloat = 0.0  # gamma, on real samples
    r2: NonNegativeFloat = 0.0  # gamma, on generated samples
    dragan: NonNegativeFloat = 0.0  # lambda
    spectral_norm: bool = False
    pack: PositiveInt = 1  # samples judged at once
    augment: tuple[Literal["color", "translation", "cutout"], ...] = ()
    learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z, judge = body.prior(), body.discriminator(spectral=settings["spectral_norm"], pack=settings["pack"])
        return {"generator": body.generator(z), "discriminator": judge, "z": z}

    def judge(self, x: Sample) -> Score:
        """The score of samples as the discriminator is shown them."""
        return self.discriminator(views.packed(views.augmented(x, self.augment), self.pack))

    def discriminator_loss(self, batch: Batch) -> Terms:
        """Algorithm 1, inner loop: ascend E log D(x) + E log(1 - D(G(z)))."""
        fake = self.generator(self.z.like(batch.x))
        terms = OBJECTIVES[self.objective].discriminator(self.judge(batch.x), self.judge(fake))
        if self.r1:
            terms["r1"] = self.r1 * penalties.r1(self.judge, batch.x)
        if self.r2:
            terms["r2"] = self.r2 * penalties.r2(self.judge, fake)
        if self.dragan:
            terms["dragan"] = self.dragan * penalties.dragan(self.judge, batch.x)
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        """Algorithm 1, outer loop, with fresh noise: eq. 1, or the non-saturating form of section 3."""
        objective = OBJECTIVES[self.objective]
        fake = self.judge(self.generator(self.z.like(batch.x)))
        return objective.generator(fake, self.judge(batch.x)) if objective.paired else objective.generator(fake)

    def judges(self) -> Judges:
        return {"generator": lambda x, _: self.judge(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        return (
            Update((self.discriminator,), self.discriminator_loss, adam),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Exports:
        return {"generator": self.generator}
