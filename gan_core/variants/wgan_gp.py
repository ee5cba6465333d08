"""Improved Training of Wasserstein GANs. Gulrajani et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveInt, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment
from gan_core.objectives import adversarial, penalties


@dataclass(frozen=True)
class WganGp:
    """Algorithm 1. The critic has no batch normalisation: the penalty is per sample (section 4)."""

    generator: Generator
    critic: Discriminator
    z: Input
    penalty: Scheduled[NonNegativeFloat] = 10.0  # lambda
    critic_steps: PositiveInt = 5  # n_critic
    learning_rate: LearningRate = 1e-4  # alpha
    beta1: Scheduled[Fraction] = 0.0
    beta2: Scheduled[Fraction] = 0.9
    needs: ClassVar[Needs] = {"generator": (), "discriminator": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("generator",)

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z = spec.prior()
        return {"generator": spec.generator(z), "critic": spec.discriminator(), "z": z}

    def critic_loss(self, batch: Batch, at: Moment) -> Losses:
        """Lines 4-8: E v(G(z)) - E v(x) + lambda E (||grad v(x^)|| - 1)^2."""
        fake = self.generator(self.z.like(batch.x))
        terms = adversarial.critic(self.critic(batch.x), self.critic(fake))
        penalty = at.value(self.penalty) * penalties.gradient_penalty(self.critic, batch.x, fake)
        return Losses(terms | {"penalty": penalty})

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Lines 11-12: -E v(G(z)) on fresh noise."""
        return Losses(adversarial.generator_wasserstein(self.critic(self.generator(self.z.like(batch.x)))))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, _: self.critic(x)}

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        critic = Update(("critic",), self.critic_loss, repeats=self.critic_steps)
        return critic, Update(("generator",), self.generator_loss)
