"""Autoencoding beyond pixels using a learned similarity metric. Larsen et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveFloat, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Encoder, Generator, Losses, Moment, Stats
from gan_core.objectives import adversarial, variational

BALANCE = 0.68
"""What a discriminator that knows nothing pays for a sample, about log 2."""


@dataclass(frozen=True)
class VaeGan:
    """Algorithm 1: one pass; three players, each of which descends its own part of the terms.

    The discriminator never meets the likelihood, the encoder never the game; gamma is in the decoder's part alone.
    """

    encoder: Encoder
    decoder: Generator
    discriminator: Discriminator
    z: Input
    gamma: Scheduled[PositiveFloat] = 0.3  # with sums over features and means over the batch
    variance: PositiveFloat = 1.0  # of Dis_l(x); less, where features are small, or the prior drowns the content
    margin: NonNegativeFloat = 0.0  # of the equilibrium gate, which holds a side back; the authors' is 0.35
    learning_rate: LearningRate = 5e-4
    discriminator_learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"encoder": (), "generator": (), "discriminator": ("features",), "batch": ("x",)}
    exports: ClassVar[Exports] = ("decoder", "encoder")
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z = spec.prior()
        return {"encoder": spec.encoder(z), "decoder": spec.generator(z), "discriminator": spec.discriminator(), "z": z}

    def likelihood(self, seen: Tensor, seen_decoded: Tensor) -> Tensor:
        """Eq. 7: -log N(Dis_l(x); Dis_l(x~), variance I). The target is constant in the gradient."""
        return variational.gaussian(seen.detach(), seen_decoded, self.variance)

    def losses(self, batch: Batch, at: Moment) -> Losses:
        """L_prior + L_llike; gamma L_llike - L_GAN, the latter in its non-saturating form; L_GAN.

        Of x~ = Dec(z), z ~ q(z|x), and x_p = Dec(z), z ~ p(z), each weighs half.
        """
        mean, log_variance = self.encoder.posterior(batch.x)
        decoded = self.decoder(variational.reparametrised(mean, log_variance))
        shown = (batch.x, decoded, self.decoder(self.z.like(batch.x)))
        seen = [self.discriminator.features(x) for x in shown]
        real, *fake = (self.discriminator.head(h) for h in seen)
        likelihood, fakes = self.likelihood(seen[0], seen[1]), torch.cat(fake)
        vae = {"prior": variational.kl(mean, log_variance), "likelihood": likelihood}
        style = adversarial.generator_non_saturating(fakes)["generator"]
        decoder = {"content": at.value(self.gamma) * likelihood, "style": style}
        return Losses({**vae, **decoder, **adversarial.discriminator(real, fakes)})

    def equilibrium_gate(self, stats: Stats) -> list[str]:
        """Of the authors' code: who wins by the margin waits for the other."""
        if not self.margin:
            return []
        costs = stats["real"], stats["fake"]
        wins, loses = bool(min(costs) < BALANCE - self.margin), bool(max(costs) > BALANCE + self.margin)
        return [] if wins == loses else ["discriminator"] if wins else ["decoder"]

    def scorers(self) -> Scorers:
        return {"decoder": lambda x, _: self.discriminator(x)}

    def optimizers(self) -> Optimizers:
        adam = Adam(self.learning_rate, self.beta1, self.beta2)
        slow = Adam(self.discriminator_learning_rate, self.beta1, self.beta2)
        return {"encoder": adam, "decoder": adam, "discriminator": slow}

    def updates(self) -> Updates:
        its = {"encoder": ("prior", "likelihood"), "decoder": ("content", "style"), "discriminator": ("real", "fake")}
        return (Update(tuple(its), self.losses, terms_of=its, skip=self.equilibrium_gate),)
