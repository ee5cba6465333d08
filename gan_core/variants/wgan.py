"""Wasserstein GAN. Arjovsky et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_core.config.bounds import LearningRate, NonNegativeInt, PositiveFloat, PositiveInt
from gan_core.core.game import Exports, Needs, Optimizers, RMSprop, Scorers, Settings, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Stats
from gan_core.objectives import adversarial


@dataclass(frozen=True)
class Wgan:
    """Algorithm 1. The weights are clipped after each critic step, so the generator never meets an unclipped critic.

    The authors' code trains the critic longer, 100 times, at each of the first 25 steps and then at every 500th.
    """

    generator: Generator
    critic: Discriminator
    z: Input
    clip: PositiveFloat = 0.01  # c
    critic_steps: PositiveInt = 5  # n_critic
    warm_up: NonNegativeInt = 25
    warm_up_critic_steps: PositiveInt = 100
    refresh_every: PositiveInt = 500
    learning_rate: LearningRate = 5e-5  # alpha
    needs: ClassVar[Needs] = {"generator": (), "discriminator": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("generator",)

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z = spec.prior()
        return {"generator": spec.generator(z), "critic": spec.discriminator(), "z": z}

    def critic_loss(self, batch: Batch, at: Moment) -> Losses:
        """Lines 3-5: E v(G(z)) - E v(x)."""
        return Losses(adversarial.critic(self.critic(batch.x), self.critic(self.generator(self.z.like(batch.x)))))

    def clip_weights(self, _: Stats) -> None:
        """Line 7: w <- clip(w, -c, c), every weight and bias."""
        for w in self.critic.parameters():
            w.clamp_(-self.clip, self.clip)

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Lines 9-11: -E v(G(z)) on fresh noise."""
        return Losses(adversarial.generator_wasserstein(self.critic(self.generator(self.z.like(batch.x)))))

    def critic_times(self, at: Moment) -> int:
        """n_critic, or more while the critic must catch up."""
        long = at.step < self.warm_up or (self.warm_up and at.step % self.refresh_every == 0)
        return self.warm_up_critic_steps if long else self.critic_steps

    def scorers(self) -> Scorers:
        return {"generator": lambda x, _: self.critic(x)}

    def optimizers(self) -> Optimizers:
        return RMSprop(self.learning_rate)

    def updates(self) -> Updates:
        critic = Update(("critic",), self.critic_loss, repeats=self.critic_times, after=self.clip_weights)
        return critic, Update(("generator",), self.generator_loss)
