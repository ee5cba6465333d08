"""Improved Training of Wasserstein GANs. Gulrajani et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.objectives import adversarial, penalties
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Terms


@dataclass(frozen=True)
class WganGp:
    """Algorithm 1. The critic has no batch normalisation: the penalty is per sample (section 4)."""

    generator: Generator
    critic: Discriminator
    z: Input
    penalty: NonNegativeFloat = 10.0  # lambda
    critic_steps: PositiveInt = 5  # n_critic
    learning_rate: PositiveFloat = 1e-4  # alpha
    beta1: Fraction = 0.0
    beta2: Fraction = 0.9

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z = body.prior()
        return {"generator": body.generator(z), "critic": body.discriminator(), "z": z}

    def critic_loss(self, batch: Batch) -> Terms:
        """Lines 4-8: E v(G(z)) - E v(x) + lambda E (||grad v(x^)|| - 1)^2."""
        fake = self.generator(self.z.like(batch.x))
        return {
            **adversarial.critic(self.critic(batch.x), self.critic(fake)),
            "penalty": self.penalty * penalties.gradient_penalty(self.critic, batch.x, fake),
        }

    def generator_loss(self, batch: Batch) -> Terms:
        """Lines 11-12: -E v(G(z)) on fresh noise."""
        return adversarial.generator_wasserstein(self.critic(self.generator(self.z.like(batch.x))))

    def judges(self) -> Judges:
        return {"generator": lambda x, _: self.critic(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        return (
            Update((self.critic,), self.critic_loss, adam, repeats=self.critic_steps),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Exports:
        return {"generator": self.generator}
