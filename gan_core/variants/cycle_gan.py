"""Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks. Zhu et al. 2017."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gan_core.config.bounds import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Schedule, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Spec, Update, Updates, prefixed
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment
from gan_core.networks.layers.memory import Pool
from gan_core.objectives.adversarial import discriminator_least_squares, generator_least_squares


@dataclass(frozen=True)
class CycleGan:
    """Eq. 3 with least squares in both directions; both generators move together, then both discriminators.

    Each discriminator is shown a history of fakes. Rates are constant, then fall linearly to zero.
    """

    a_to_b: Generator  # G
    b_to_a: Generator  # F
    discriminator_a: Discriminator  # D_X
    discriminator_b: Discriminator  # D_Y
    pool_a: Pool
    pool_b: Pool
    cycle: Scheduled[NonNegativeFloat] = 10.0  # lambda
    identity: Scheduled[NonNegativeFloat] = 0.5  # as a share of lambda, as in the authors' code
    adversarial: Scheduled[NonNegativeFloat] = 1.0
    pool: PositiveInt = 50
    learning_rate: PositiveFloat = 2e-4
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    decay_from: Fraction = 0.5  # of the run
    needs: ClassVar[Needs] = {"translator": (), "discriminator": (), "batch": ("x", "x_b")}
    exports: ClassVar[Exports] = ("a_to_b", "b_to_a")

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        maps = {"a_to_b": spec.translator("x", "x_b"), "b_to_a": spec.translator("x_b", "x")}
        discriminators = {"discriminator_a": spec.discriminator(), "discriminator_b": spec.discriminator()}
        return {**maps, **discriminators, **{f"pool_{k}": Pool(settings["pool"], spec.shape) for k in "ab"}}

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """L_GAN(G, D_Y) + L_GAN(F, D_X) + lambda L_cyc (eq. 2), and the identity loss of section 5.2."""
        a, b, adversarial, cycle = batch.x, batch.x_b, at.value(self.adversarial), at.value(self.cycle)
        fake_b, fake_a = self.a_to_b(a), self.b_to_a(b)
        terms = {
            "a_to_b": 2 * adversarial * generator_least_squares(self.discriminator_b(fake_b))["generator"],
            "b_to_a": 2 * adversarial * generator_least_squares(self.discriminator_a(fake_a))["generator"],
            "cycle_a": cycle * (self.b_to_a(fake_b) - a).abs().mean(),
            "cycle_b": cycle * (self.a_to_b(fake_a) - b).abs().mean(),
        }
        if self.identity:
            same = (self.a_to_b(b) - b).abs().mean() + (self.b_to_a(a) - a).abs().mean()
            terms["identity"] = at.value(self.identity) * cycle * same
        return Losses(terms, shared={"fake_a": fake_a, "fake_b": fake_b})

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2 in both domains, on a history of the generators' fakes."""
        fake_a, fake_b = self.pool_a(batch.fake_a), self.pool_b(batch.fake_b)
        a = discriminator_least_squares(self.discriminator_a(batch.x), self.discriminator_a(fake_a))
        b = discriminator_least_squares(self.discriminator_b(batch.x_b), self.discriminator_b(fake_b))
        return Losses(prefixed("a", a) | prefixed("b", b))

    def scorers(self) -> Scorers:
        return {"a_to_b": lambda x, _: self.discriminator_b(x), "b_to_a": lambda x, _: self.discriminator_a(x)}

    def optimizers(self) -> Optimizers:
        rates = self.learning_rate, self.discriminator_learning_rate
        g, d = (Adam(Schedule(lr, 0.0, begin=self.decay_from), self.beta1, self.beta2) for lr in rates)
        return {"a_to_b": g, "b_to_a": g, "discriminator_a": d, "discriminator_b": d}

    def updates(self) -> Updates:
        generators = Update(("a_to_b", "b_to_a"), self.generator_loss)
        return generators, Update(("discriminator_a", "discriminator_b"), self.discriminator_loss, reuse_batch=True)
