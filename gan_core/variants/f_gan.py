"""f-GAN: Training Generative Neural Samplers using Variational Divergence Minimization. Nowozin et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat, Share
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.objectives import f_divergence as fd
from gan_core.objectives import penalties
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Score, Terms


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
    r1: NonNegativeFloat = 0.0  # gamma
    learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z = body.prior()
        return {"generator": body.generator(z), "discriminator": body.discriminator(), "z": z}

    @property
    def f(self) -> fd.FDivergence:
        """The row of the table."""
        symbols = {"alpha": (self.alpha,), "jensen_shannon_weighted": (self.weight,)}
        return fd.DIVERGENCES[self.divergence](*symbols.get(self.divergence, ()))

    def fake_score(self, batch: Batch) -> Score:
        """v(G(z)) on fresh noise."""
        return fd.soft_clip(self.discriminator(self.generator(self.z.like(batch.x))), self.clip)

    def discriminator_loss(self, batch: Batch) -> Terms:
        """Eq. 6 in omega: ascend E_p T - E_q f*(T)."""
        real = fd.soft_clip(self.discriminator(batch.x), self.clip)
        terms = fd.discriminator(self.f, real, self.fake_score(batch))
        if self.r1:
            terms["r1"] = self.r1 * penalties.r1(self.discriminator, batch.x)
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        """Eq. 6 in theta, or the alternative of section 3.2."""
        objective = fd.generator_exact if self.objective == "exact" else fd.generator_non_saturating
        return objective(self.f, self.fake_score(batch))

    def judges(self) -> Judges:
        return {"generator": lambda x, _: self.discriminator(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        return (
            Update((self.discriminator,), self.discriminator_loss, adam),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Exports:
        return {"generator": self.generator}
