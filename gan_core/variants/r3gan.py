"""The GAN is dead; long live the GAN! A Modern Baseline GAN. Huang et al. 2024."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveInt, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Sample, Score
from gan_core.objectives import adversarial, penalties


@dataclass(frozen=True)
class R3Gan:
    """Section 2: the relativistic game with zero-centred gradient penalties on real and on generated samples.

    ``conditional``: of the label of each sample, projected onto the discriminator's features (Miyato & Koyama 2018) as
    in the authors' networks; a fake is paired with a real sample of the same class. ``penalty_every``: the penalties
    are computed every so many steps, and weigh as much more (lazy regularisation, Karras et al. 2020); the authors'
    networks have them at every step.
    """

    generator: Generator
    discriminator: Discriminator
    z: Input
    labels: tuple[Input, ...]
    conditional: bool = False
    gamma: Scheduled[NonNegativeFloat] = 1.0
    penalty_every: PositiveInt = 1
    learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.0
    beta2: Scheduled[Fraction] = 0.99
    needs: ClassVar[Needs] = {
        "generator": (),
        "discriminator": ("conditions",),
        "batch": ("x",),
        "batch if conditional": ("y",),
    }
    exports: ClassVar[Exports] = ("generator",)

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z, labels = spec.prior(), (spec.label(),) if settings["conditional"] else ()
        discriminator = spec.discriminator(projected=labels)
        return {"generator": spec.generator(z, *labels), "discriminator": discriminator, "z": z, "labels": labels}

    def conditions(self, batch: Batch) -> tuple[Tensor, ...]:
        """The labels of a batch, where the game is conditional."""
        return (batch.y,) if self.labels else ()

    def fake(self, batch: Batch) -> Sample:
        """G(z) on fresh noise, under the labels of the real samples."""
        return self.generator(self.z.like(batch.x), *self.conditions(batch))

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 2 with f(t) = -softplus(-t), and gamma/2 (E ||grad D(x)||^2 + E ||grad D(G(z))||^2), section 2.2."""

        def score(x: Sample) -> Score:
            return self.discriminator(x, *self.conditions(batch))

        gamma = penalties.lazy(at, self.gamma, self.penalty_every)
        real, r1 = penalties.r1(score, batch.x, gamma)
        fake, r2 = penalties.r2(score, self.fake(batch), gamma)
        return Losses(adversarial.discriminator_relativistic(real, fake) | r1 | r2)

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 2 from the generator's side, on another batch and fresh noise."""
        conditions = self.conditions(batch)
        fake, real = (self.discriminator(x, *conditions) for x in (self.fake(batch), batch.x))
        return Losses(adversarial.generator_relativistic(fake, real))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, batch: self.discriminator(x, *self.conditions(batch))}

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        return Update(("discriminator",), self.discriminator_loss), Update(("generator",), self.generator_loss)
