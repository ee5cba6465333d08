"""Auto-Encoding Variational Bayes. Kingma & Welling 2014."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gan_core.config.bounds import Fraction, LearningRate, PositiveFloat, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Settings, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Encoder, Generator, Losses, Moment
from gan_core.objectives import variational


@dataclass(frozen=True)
class Vae:
    """Eq. 10 with one sample of z. ``beta`` other than 1 is the beta-VAE of Higgins et al. 2017."""

    encoder: Encoder
    decoder: Generator
    z: Input
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    variance: PositiveFloat = 0.1  # of the Gaussian p(x|z), in units of [-1, 1]
    beta: Scheduled[PositiveFloat] = 1.0
    learning_rate: LearningRate = 1e-3
    beta1: Scheduled[Fraction] = 0.9
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"encoder": (), "generator": (), "batch": ("x",)}
    exports: ClassVar[Exports] = ("decoder", "encoder")

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z = spec.prior()
        return {"encoder": spec.encoder(z), "decoder": spec.generator(z), "z": z}

    def loss(self, batch: Batch, at: Moment) -> Losses:
        """The negative evidence lower bound: -log p(x|z) + KL(q(z|x) || p(z)), z ~ q(z|x)."""
        q = self.encoder.posterior(batch.x)
        decoded = self.decoder(variational.reparametrised(*q))
        reconstruction = variational.LIKELIHOODS[self.likelihood](batch.x, decoded, self.variance)
        return Losses({"reconstruction": reconstruction, "kl": at.value(self.beta) * variational.kl(*q)})

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        return (Update(("encoder", "decoder"), self.loss),)
