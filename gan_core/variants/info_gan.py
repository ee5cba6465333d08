"""InfoGAN: Interpretable Representation Learning by Information Maximizing GANs. Chen et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, NonNegativeInt, Scheduled
from gan_core.core.game import (
    Adam,
    Exports,
    Needs,
    Optimizers,
    Scorers,
    Settings,
    Signed,
    Spec,
    Update,
    Updates,
    prefixed,
)
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Sample, Terms
from gan_core.objectives import adversarial, variational


@dataclass(frozen=True)
class InfoGan:
    """Eq. 6. Q stands on the discriminator's features. Its owner is who moves with it; in many ports the generator."""

    generator: Generator
    discriminator: Discriminator
    recogniser: nn.Module  # Q, from the discriminator's features
    latents: tuple[Input, ...]  # z and the codes c
    categories: NonNegativeInt = 10  # of the categorical code, 0 for none
    continuous: NonNegativeInt = 2  # codes U(-1, 1)
    weight: Scheduled[NonNegativeFloat] = 1.0  # lambda
    deviation: Literal["fixed", "learned"] = "fixed"  # of Q for continuous codes; fixed is 1
    q_owner: Literal["discriminator", "generator", "joint"] = "discriminator"  # as in the authors' code
    learning_rate: LearningRate = 1e-3  # of the generator
    discriminator_learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"generator": (), "discriminator": ("features",), "recogniser": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("generator",)
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        categories, continuous = settings["categories"], settings["continuous"]
        codes = (Input("category", "category", categories), Input("code", "uniform", continuous))
        latents = (Input("z", "uniform", spec.latent), *(c for c in codes if c.size))
        outputs = categories + continuous * (2 if settings["deviation"] == "learned" else 1)
        networks = {"generator": spec.generator(*latents), "discriminator": spec.discriminator()}
        return {**networks, "recogniser": spec.recogniser(max(outputs, 1)), "latents": latents}

    def drawn(self, batch: Batch) -> tuple[Sample, dict[str, Tensor]]:
        """G(z, c) on fresh latents, and these by name."""
        latents = {i.name: i.like(batch.x) for i in self.latents}
        return self.generator(*latents.values()), latents

    def information(self, fake: Sample, latents: dict[str, Tensor], at: Moment) -> Terms:
        """-lambda E log Q(c|x), x = G(z, c): eq. 5 without the constant H(c). Real samples have no code."""
        q, weight = self.recogniser(self.discriminator.features(fake)), at.value(self.weight)
        return {name: weight * term for name, term in variational.codes(latents, q, self.categories).items()}

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """-V(D, G), and -lambda L_I where the discriminator's side owns Q."""
        fake, latents = self.drawn(batch)
        terms = adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake))
        return Losses(terms | ({} if self.q_owner == "generator" else self.information(fake, latents, at)))

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """V(D, G) in its non-saturating form, -lambda L_I."""
        fake, latents = self.drawn(batch)
        fool = adversarial.generator_non_saturating(self.discriminator(fake))
        return Losses(fool | prefixed("generator", self.information(fake, latents, at)))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, _: self.discriminator(x)}

    def optimizers(self) -> Optimizers:
        fast = Adam(self.learning_rate, self.beta1, self.beta2)
        slow = Adam(self.discriminator_learning_rate, self.beta1, self.beta2)
        return {"generator": fast, "discriminator": slow, "recogniser": fast if self.q_owner == "generator" else slow}

    def updates(self) -> Updates:
        d = ("discriminator", *(["recogniser"] if self.q_owner != "generator" else []))
        g = ("generator", *(["recogniser"] if self.q_owner != "discriminator" else []))
        return Update(d, self.discriminator_loss), Update(g, self.generator_loss)
