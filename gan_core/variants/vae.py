"""Auto-Encoding Variational Bayes. Kingma & Welling 2014."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_core.bounds import Fraction, PositiveFloat
from gan_core.game import Cast, Exports, Optimizer, Settings, Update, Updates
from gan_core.objectives import variational
from gan_core.signature import Body, Input
from gan_core.types import Batch, Encoder, Generator, Terms


@dataclass(frozen=True)
class Vae:
    """Eq. 10 with one sample of z. ``beta`` other than 1 is the beta-VAE of Higgins et al. 2017."""

    encoder: Encoder
    decoder: Generator
    z: Input
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    variance: PositiveFloat = 0.1  # of the Gaussian p(x|z), in units of [-1, 1]
    beta: PositiveFloat = 1.0
    learning_rate: PositiveFloat = 1e-3
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z = body.prior()
        return {"encoder": body.encoder(z), "decoder": body.generator(z), "z": z}

    def loss(self, batch: Batch) -> Terms:
        """The negative evidence lower bound: -log p(x|z) + KL(q(z|x) || p(z)), z ~ q(z|x)."""
        mean, log_variance = self.encoder.posterior(batch.x)
        decoded = self.decoder(variational.reparametrised(mean, log_variance))
        return {
            "reconstruction": variational.LIKELIHOODS[self.likelihood](batch.x, decoded, self.variance),
            "kl": self.beta * variational.kl(mean, log_variance),
        }

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        return (Update((self.encoder, self.decoder), self.loss, adam),)

    def exports(self) -> Exports:
        return {"decoder": self.decoder, "encoder": self.encoder}
