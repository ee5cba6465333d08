"""Wasserstein GAN. Arjovsky et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass

from gan_core.bounds import NonNegativeInt, PositiveFloat, PositiveInt
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.objectives import adversarial
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Terms


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
    learning_rate: PositiveFloat = 5e-5  # alpha

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z = body.prior()
        return {"generator": body.generator(z), "critic": body.discriminator(), "z": z}

    def critic_loss(self, batch: Batch) -> Terms:
        """Lines 3-5: E v(G(z)) - E v(x)."""
        fake = self.generator(self.z.like(batch.x))
        return adversarial.critic(self.critic(batch.x), self.critic(fake))

    def clip_weights(self) -> None:
        """Line 7: w <- clip(w, -c, c), every weight and bias."""
        for w in self.critic.parameters():
            w.clamp_(-self.clip, self.clip)

    def generator_loss(self, batch: Batch) -> Terms:
        """Lines 9-11: -E v(G(z)) on fresh noise."""
        return adversarial.generator_wasserstein(self.critic(self.generator(self.z.like(batch.x))))

    def critic_times(self, step: int) -> int:
        """n_critic, or more while the critic must catch up."""
        long = step < self.warm_up or (self.warm_up and step % self.refresh_every == 0)
        return self.warm_up_critic_steps if long else self.critic_steps

    def judges(self) -> Judges:
        return {"generator": lambda x, _: self.critic(x)}

    def updates(self) -> Updates:
        rmsprop = Optimizer("rmsprop", self.learning_rate)
        return (
            Update((self.critic,), self.critic_loss, rmsprop, repeats=self.critic_times, project=self.clip_weights),
            Update((self.generator,), self.generator_loss, rmsprop),
        )

    def exports(self) -> Exports:
        return {"generator": self.generator}
