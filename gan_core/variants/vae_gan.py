"""Autoencoding beyond pixels using a learned similarity metric. Larsen et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.networks.memory import Costs
from gan_core.objectives import adversarial, variational
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Encoder, Generator, Sample, Terms


@dataclass(frozen=True)
class VaeGan:
    """Algorithm 1: three players, each of which descends its own part.

    The discriminator never meets the likelihood, the encoder never the game; gamma is in the decoder's part alone.
    """

    encoder: Encoder
    decoder: Generator
    discriminator: Discriminator
    costs: Costs
    z: Input
    gamma: PositiveFloat = 0.3  # with sums over features and means over the batch
    variance: PositiveFloat = 1.0  # of Dis_l(x); less, where features are small, or the prior drowns the content
    margin: NonNegativeFloat = 0.0  # of the equilibrium gate, which rests a side; the authors' is 0.35
    learning_rate: PositiveFloat = 5e-4
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z = body.prior()
        networks = {"encoder": body.encoder(z), "decoder": body.generator(z), "discriminator": body.discriminator()}
        return {**networks, "costs": Costs(settings["margin"]), "z": z}

    def likelihood(self, x: Sample, decoded: Sample) -> Tensor:
        """Eq. 7: -log N(Dis_l(x); Dis_l(x~), variance I). The target is constant in the gradient."""
        target = self.discriminator.features(x).detach()
        return variational.gaussian(target, self.discriminator.features(decoded), self.variance)

    def encoder_loss(self, batch: Batch) -> Terms:
        """L_prior + L_llike."""
        mean, log_variance = self.encoder.posterior(batch.x)
        decoded = self.decoder(variational.reparametrised(mean, log_variance))
        if self.margin:
            self.costs.note(adversarial.discriminator(self.discriminator(batch.x), self.discriminator(decoded)))
        return {"prior": variational.kl(mean, log_variance), "likelihood": self.likelihood(batch.x, decoded)}

    def fakes(self, batch: Batch) -> Sample:
        """x~ = Dec(z), z ~ q(z|x), and then as many x_p = Dec(z), z ~ p(z), so that both kinds weigh half."""
        z = variational.reparametrised(*self.encoder.posterior(batch.x))
        return torch.cat([self.decoder(z), self.decoder(self.z.like(batch.x))])

    def decoder_loss(self, batch: Batch) -> Terms:
        """Gamma L_llike - L_GAN, the latter in its non-saturating form."""
        fakes = self.fakes(batch)
        style = adversarial.generator_non_saturating(self.discriminator(fakes))["generator"]
        return {"content": self.gamma * self.likelihood(batch.x, fakes[: len(batch)]), "style": style}

    def discriminator_loss(self, batch: Batch) -> Terms:
        """-L_GAN = -log Dis(x) - 1/2 log(1 - Dis(x~)) - 1/2 log(1 - Dis(x_p))."""
        return adversarial.discriminator(self.discriminator(batch.x), self.discriminator(self.fakes(batch)))

    def judges(self) -> Judges:
        return {"decoder": lambda x, _: self.discriminator(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        slow = Optimizer("adam", self.discriminator_learning_rate, self.beta1, self.beta2)
        return (
            Update((self.encoder,), self.encoder_loss, adam),
            Update((self.decoder,), self.decoder_loss, adam, self.costs.decoder_times),
            Update((self.discriminator,), self.discriminator_loss, slow, self.costs.judge_times),
        )

    def exports(self) -> Exports:
        return {"decoder": self.decoder, "encoder": self.encoder}
