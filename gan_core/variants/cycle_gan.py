"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks. Zhu et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates, prefixed
from gan_core.networks.memory import Pool
from gan_core.objectives.adversarial import discriminator_least_squares, generator_least_squares
from gan_core.signature import Body
from gan_core.types import Batch, Discriminator, Generator, Terms


@dataclass(frozen=True)
class CycleGan:
    """Eq. 3 with least squares in both directions; both generators move together, then both discriminators.

    Each discriminator is shown a history of fakes. Rates are constant, then fall linearly to zero.
    """

    a_to_b: Generator  # G
    b_to_a: Generator  # F
    judge_a: Discriminator  # D_X
    judge_b: Discriminator  # D_Y
    pool_a: Pool
    pool_b: Pool
    cycle: NonNegativeFloat = 10.0  # lambda
    identity: NonNegativeFloat = 0.5  # as a share of lambda, as in the authors' code
    adversarial: NonNegativeFloat = 1.0
    pool: PositiveInt = 50
    learning_rate: PositiveFloat = 2e-4
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999
    decay_from: Fraction = 0.5  # of the run

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        maps = {"a_to_b": body.translator("sample", "other"), "b_to_a": body.translator("other", "sample")}
        judges = {"judge_a": body.discriminator(), "judge_b": body.discriminator()}
        pools = {"pool_a": Pool(settings["pool"], body.shape), "pool_b": Pool(settings["pool"], body.shape)}
        return {**maps, **judges, **pools}

    def generator_loss(self, batch: Batch) -> Terms:
        """L_GAN(G, D_Y) + L_GAN(F, D_X) + lambda L_cyc (eq. 2), and the identity loss of section 5.2."""
        a, b = batch.x, batch.pair
        fake_b, fake_a = self.a_to_b(a), self.b_to_a(b)
        terms = {
            "a_to_b": 2 * self.adversarial * generator_least_squares(self.judge_b(fake_b))["generator"],
            "b_to_a": 2 * self.adversarial * generator_least_squares(self.judge_a(fake_a))["generator"],
            "cycle_a": self.cycle * (self.b_to_a(fake_b) - a).abs().mean(),
            "cycle_b": self.cycle * (self.a_to_b(fake_a) - b).abs().mean(),
        }
        if self.identity:
            same = (self.a_to_b(b) - b).abs().mean() + (self.b_to_a(a) - a).abs().mean()
            terms["identity"] = self.identity * self.cycle * same
        return terms

    def discriminator_loss(self, batch: Batch) -> Terms:
        """1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2 in both domains, on fakes from the history."""
        fake_a, fake_b = self.pool_a(self.b_to_a(batch.pair)), self.pool_b(self.a_to_b(batch.x))
        a = discriminator_least_squares(self.judge_a(batch.x), self.judge_a(fake_a))
        b = discriminator_least_squares(self.judge_b(batch.pair), self.judge_b(fake_b))
        return prefixed("a", a) | prefixed("b", b)

    def judges(self) -> Judges:
        return {"a_to_b": lambda x, _: self.judge_b(x), "b_to_a": lambda x, _: self.judge_a(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2, self.decay_from)
        judges = Optimizer("adam", self.discriminator_learning_rate, self.beta1, self.beta2, self.decay_from)
        return (
            Update((self.a_to_b, self.b_to_a), self.generator_loss, adam),
            Update((self.judge_a, self.judge_b), self.discriminator_loss, judges),
        )

    def exports(self) -> Exports:
        return {"a_to_b": self.a_to_b, "b_to_a": self.b_to_a}
