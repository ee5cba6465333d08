"""Generative Adversarial Nets. Goodfellow et al. 2014."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat

from gan_core.bounds import Fraction
from gan_core.game import Optimizer, Update
from gan_core.objectives import adversarial, penalties
from gan_core.signature import Body, Input, Recipe
from gan_core.types import Batch, Discriminator, Generator, Player, Terms


@dataclass(frozen=True)
class Gan:
    """Algorithm 1 with k = 1. ``r1`` is the gradient penalty of Mescheder et al. 2018 (0: the paper's own game)."""

    generator: Generator
    discriminator: Discriminator
    z: Input
    objective: Literal["non_saturating", "saturating"] = "non_saturating"
    r1: NonNegativeFloat = 0.0  # gamma
    learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body) -> Mapping[str, Recipe | Input]:
        z = body.prior()
        return {"generator": body.generator(z), "discriminator": body.discriminator(), "z": z}

    def discriminator_loss(self, batch: Batch) -> Terms:
        """Algorithm 1, inner loop: ascend E log D(x) + E log(1 - D(G(z)))."""
        fake = self.generator(self.z.sample(len(batch), batch.x.device))
        terms = adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake))
        if self.r1:
            terms["r1"] = self.r1 * penalties.r1(self.discriminator, batch.x)
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        """Algorithm 1, outer loop, with fresh noise: eq. 1, or the non-saturating form of section 3."""
        fake = self.discriminator(self.generator(self.z.sample(len(batch), batch.x.device)))
        if self.objective == "saturating":
            return adversarial.generator_saturating(fake)
        return adversarial.generator_non_saturating(fake)

    def updates(self) -> Sequence[Update]:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        return (
            Update((self.discriminator,), self.discriminator_loss, adam),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Mapping[str, Player]:
        return {"generator": self.generator}
