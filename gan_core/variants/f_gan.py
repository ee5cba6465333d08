"""f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization. Nowozin et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveFloat, Scheduled, Share
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Score
from gan_core.objectives import f_divergence as fd
from gan_core.objectives import penalties


@dataclass(frozen=True)
class FGan:
    """Algorithm 1 with alternating steps, for every divergence of the paper's tables, its V the log-ratio."""

    generator: Generator
    discriminator: Discriminator  # V_omega
    z: Input
    divergence: Literal[
        "total_variation", "kl", "reverse_kl", "pearson", "neyman", "squared_hellinger", "jeffrey",
        "jensen_shannon", "jensen_shannon_weighted", "gan", "alpha",
    ] = "gan"  # fmt: skip
    alpha: float = 0.5  # of the alpha divergence
    weight: Share = 0.5  # pi, of the weighted Jensen-Shannon divergence
    objective: Literal["non_saturating", "exact"] = "non_saturating"
    clip: PositiveFloat = 8.0  # |v| stays below
    r1: Scheduled[NonNegativeFloat] = 0.0  # gamma
    learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"generator": (), "discriminator": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("generator",)
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z = spec.prior()
        return {"generator": spec.generator(z), "discriminator": spec.discriminator(), "z": z}

    @property
    def f(self) -> fd.FDivergence:
        """The row of the table."""
        symbols = {"alpha": (self.alpha,), "jensen_shannon_weighted": (self.weight,)}
        return fd.DIVERGENCES[self.divergence](*symbols.get(self.divergence, ()))

    def fake_score(self, batch: Batch) -> Score:
        """v(G(z)) on fresh noise."""
        return fd.soft_clip(self.discriminator(self.generator(self.z.like(batch.x))), self.clip)

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 6 in omega: ascend E_p T - E_q f*(T)."""
        real, r1 = penalties.r1(self.discriminator, batch.x, at.value(self.r1))
        return Losses(fd.discriminator(self.f, fd.soft_clip(real, self.clip), self.fake_score(batch)) | r1)

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 6 in theta, or the alternative of section 3.2."""
        objective = fd.generator_exact if self.objective == "exact" else fd.generator_non_saturating
        return Losses(objective(self.f, self.fake_score(batch)))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, _: self.discriminator(x)}

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        return Update(("discriminator",), self.discriminator_loss), Update(("generator",), self.generator_loss)
