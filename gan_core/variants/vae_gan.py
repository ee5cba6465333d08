"""Autoencoding beyond pixels using a learned similarity metric. Larsen et al. 2016."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from gan_core.bounds import Fraction
from gan_core.game import Cast, Judge, Optimizer, Update
from gan_core.networks.memory import Costs
from gan_core.objectives import adversarial, variational
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Encoder, Generator, Player, Sample, Terms


@dataclass(frozen=True)
class VaeGan:
    """Algorithm 1: three players, each of which descends its own part.

    The discriminator never meets the likelihood, the encoder never the game; gamma is in the decoder's part alone.

    ``margin`` > 0 is the authors' equilibrium gate: a side rests while its costs are off 0.68 by more than that.
    """

    encoder: Encoder
    decoder: Generator
    discriminator: Discriminator
    costs: Costs
    z: Input
    gamma: PositiveFloat = 0.3  # with sums over features and means over the batch
    variance: PositiveFloat = 1.0  # of Dis_l(x); less, where features are small, or the prior drowns the content
    margin: NonNegativeFloat = 0.0  # the authors' is 0.35
    learning_rate: PositiveFloat = 5e-4
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Mapping[str, Any]) -> Cast:
        z = body.prior()
        networks = {"encoder": body.encoder(z), "decoder": body.generator(z), "discriminator": body.discriminator()}
        return {**networks, "costs": Costs(), "z": z}

    def likelihood(self, x: Sample, decoded: Sample) -> Tensor:
        """Eq. 7: -log N(Dis_l(x); Dis_l(x~), variance I), less its constant. The target is constant in the gradient."""
        target, got = self.discriminator.features(x).detach(), self.discriminator.features(decoded)
        return (got - target).square().sum(1).mean() / (2 * self.variance)

    def encoder_loss(self, batch: Batch) -> Terms:
        """L_prior + L_llike."""
        mean, log_variance = self.encoder.posterior(batch.x)
        decoded = self.decoder(variational.reparametrised(mean, log_variance))
        if self.margin:
            cost = adversarial.discriminator(self.discriminator(batch.x), self.discriminator(decoded))
            self.costs.note(cost["real"], cost["fake"])
        return {"prior": variational.kl(mean, log_variance), "likelihood": self.likelihood(batch.x, decoded)}

    def fakes(self, batch: Batch) -> tuple[Sample, Sample]:
        """x~ = Dec(z), z ~ q(z|x), and x_p = Dec(z), z ~ p(z)."""
        z = variational.reparametrised(*self.encoder.posterior(batch.x))
        return self.decoder(z), self.decoder(self.z.sample(len(batch), batch.x.device))

    def decoder_loss(self, batch: Batch) -> Terms:
        """Gamma L_llike - L_GAN, the latter in its non-saturating form; both kinds of fake weigh half."""
        decoded, sampled = self.fakes(batch)
        fool = [adversarial.generator_non_saturating(self.discriminator(x))["generator"] for x in (decoded, sampled)]
        return {"content": self.gamma * self.likelihood(batch.x, decoded), "style": (fool[0] + fool[1]) / 2}

    def discriminator_loss(self, batch: Batch) -> Terms:
        """-L_GAN = -log Dis(x) - log(1 - Dis(x~)) - log(1 - Dis(x_p)), both kinds of fake at half weight."""
        real = self.discriminator(batch.x)
        decoded, sampled = (adversarial.discriminator(real, self.discriminator(x)) for x in self.fakes(batch))
        return {"real": decoded["real"], "fake": (decoded["fake"] + sampled["fake"]) / 2}

    def judges(self) -> Mapping[str, Judge]:
        return {"decoder": lambda x, _: self.discriminator(x)}

    def updates(self) -> Sequence[Update]:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        slow = Optimizer("adam", self.discriminator_learning_rate, self.beta1, self.beta2)
        decoder, judge = (lambda _, side=side: self.costs.times(side, self.margin) for side in ("generator", "judge"))
        return (
            Update((self.encoder,), self.encoder_loss, adam),
            Update((self.decoder,), self.decoder_loss, adam, decoder),
            Update((self.discriminator,), self.discriminator_loss, slow, judge),
        )

    def exports(self) -> Mapping[str, Player]:
        return {"decoder": self.decoder, "encoder": self.encoder}
