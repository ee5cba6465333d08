"""Autoencoding beyond pixels using a learned similarity metric. Larsen et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_core.bounds import Fraction, NonNegativeFloat, PositiveFloat
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.objectives import adversarial, variational
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Encoder, Generator, Player, Terms

BALANCE = 0.68
"""What a judge pays for a sample when it knows nothing, about log 2."""


@dataclass(frozen=True)
class VaeGan:
    """Algorithm 1: one pass; three players, each of which descends its own part of the terms.

    The discriminator never meets the likelihood, the encoder never the game; gamma is in the decoder's part alone.
    """

    encoder: Encoder
    decoder: Generator
    discriminator: Discriminator
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
        return {"encoder": body.encoder(z), "decoder": body.generator(z), "discriminator": body.discriminator(), "z": z}

    def likelihood(self, seen: Tensor, seen_decoded: Tensor) -> Tensor:
        """Eq. 7: -log N(Dis_l(x); Dis_l(x~), variance I). The target is constant in the gradient."""
        return variational.gaussian(seen.detach(), seen_decoded, self.variance)

    def losses(self, batch: Batch) -> Terms:
        """L_prior + L_llike; gamma L_llike - L_GAN, the latter in its non-saturating form; L_GAN.

        Of x~ = Dec(z), z ~ q(z|x), and x_p = Dec(z), z ~ p(z), each weighs half.
        """
        mean, log_variance = self.encoder.posterior(batch.x)
        decoded = self.decoder(variational.reparametrised(mean, log_variance))
        shown = (batch.x, decoded, self.decoder(self.z.like(batch.x)))
        seen = [self.discriminator.features(x) for x in shown]
        real, *fake = (self.discriminator.head(h) for h in seen)
        likelihood, fakes = self.likelihood(seen[0], seen[1]), torch.cat(fake)
        return {
            "prior": variational.kl(mean, log_variance),
            "likelihood": likelihood,
            "content": self.gamma * likelihood,
            "style": adversarial.generator_non_saturating(fakes)["generator"],
            **adversarial.discriminator(real, fakes),
        }

    def rests(self, terms: Terms) -> list[Player]:
        """The equilibrium gate of the authors' code: who wins by the margin waits for the other."""
        if not self.margin:
            return []
        costs = terms["real"], terms["fake"]
        wins, loses = bool(min(costs) < BALANCE - self.margin), bool(max(costs) > BALANCE + self.margin)
        return [] if wins == loses else [self.discriminator] if wins else [self.decoder]

    def judges(self) -> Judges:
        return {"decoder": lambda x, _: self.discriminator(x)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        slow = Optimizer("adam", self.discriminator_learning_rate, self.beta1, self.beta2)
        players = (self.encoder, self.decoder, self.discriminator)
        terms = ("prior", "likelihood"), ("content", "style"), ("real", "fake")
        routes = {name: player for player, its in zip(players, terms, strict=True) for name in its}
        return (Update(players, self.losses, (adam, adam, slow), routes=routes, rests=self.rests),)

    def exports(self) -> Exports:
        return {"decoder": self.decoder, "encoder": self.encoder}
