"""InfoGAN: Interpretable Representation Learning by Information Maximizing GANs. Chen et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from gan_core.bounds import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates, prefixed
from gan_core.objectives import adversarial, variational
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Sample, Terms


@dataclass(frozen=True)
class InfoGan:
    """Eq. 6. Q stands on the discriminator's features, and moves with its owner.

    In the authors' code the discriminator owns it; in many ports the generator does, which is another algorithm.
    """

    generator: Generator
    discriminator: Discriminator
    recogniser: nn.Module  # Q, from the discriminator's features
    latents: tuple[Input, ...]  # z and the codes c
    categories: NonNegativeInt = 10  # of the categorical code, 0 for none
    continuous: NonNegativeInt = 2  # codes U(-1, 1)
    weight: NonNegativeFloat = 1.0  # lambda
    deviation: Literal["fixed", "learned"] = "fixed"  # of Q for continuous codes; fixed is 1
    q_owner: Literal["discriminator", "generator", "joint"] = "discriminator"
    learning_rate: PositiveFloat = 1e-3  # of the generator
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        categories, continuous = settings["categories"], settings["continuous"]
        codes = (Input("category", "category", categories), Input("code", "uniform", continuous))
        latents = (Input("z", "uniform", body.latent), *(c for c in codes if c.size))
        outputs = categories + continuous * (2 if settings["deviation"] == "learned" else 1)
        networks = {"generator": body.generator(*latents), "discriminator": body.discriminator()}
        return {**networks, "recogniser": body.recogniser(max(outputs, 1)), "latents": latents}

    def drawn(self, batch: Batch) -> tuple[Sample, dict[str, Tensor]]:
        """G(z, c) on fresh latents, and these by name."""
        latents = {i.name: i.like(batch.x) for i in self.latents}
        return self.generator(*latents.values()), latents

    def information(self, fake: Sample, latents: dict[str, Tensor]) -> Terms:
        """-lambda E log Q(c|x), x = G(z, c): eq. 5 without the constant H(c). Real samples have no code."""
        q = self.recogniser(self.discriminator.features(fake))
        return {name: self.weight * term for name, term in variational.codes(latents, q, self.categories).items()}

    def discriminator_loss(self, batch: Batch) -> Terms:
        """-V(D, G), and -lambda L_I where the discriminator's side owns Q."""
        fake, latents = self.drawn(batch)
        terms = adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake))
        return terms | ({} if self.q_owner == "generator" else self.information(fake, latents))

    def generator_loss(self, batch: Batch) -> Terms:
        """V(D, G) in its non-saturating form, -lambda L_I."""
        fake, latents = self.drawn(batch)
        fool = adversarial.generator_non_saturating(self.discriminator(fake))
        return fool | prefixed("generator", self.information(fake, latents))

    def judges(self) -> Judges:
        return {"generator": lambda x, _: self.discriminator(x)}

    def updates(self) -> Updates:
        fast = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        slow = Optimizer("adam", self.discriminator_learning_rate, self.beta1, self.beta2)
        judges = (self.discriminator, *((self.recogniser,) if self.q_owner != "generator" else ()))
        makers = (self.generator, *((self.recogniser,) if self.q_owner != "discriminator" else ()))
        return (Update(judges, self.discriminator_loss, slow), Update(makers, self.generator_loss, fast))

    def exports(self) -> Exports:
        return {"generator": self.generator}
