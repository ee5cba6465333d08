"""Conditional Generative Adversarial Nets. Mirza & Osindero 2014."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch.nn.functional import softplus

from gan_core.config.bounds import Fraction, LearningRate, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment, Sample
from gan_core.objectives import adversarial


@dataclass(frozen=True)
class CGan:
    """Eq. 2, non-saturating. A fake is scored with the label it was drawn for, and labels have the data's marginal.

    The discriminator sees the label beside the sample (``concat``, the paper) or projected onto its features
    (``projection``, Miyato & Koyama 2018). With ``matching_aware``, a real sample under a wrong label is a fake too,
    and both kinds of fake weigh half (Reed et al. 2016, algorithm 1).
    """

    generator: Generator
    discriminator: Discriminator
    z: Input
    y: Input
    conditioning: Literal["concat", "projection"] = "concat"
    matching_aware: bool = False
    learning_rate: LearningRate = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    needs: ClassVar[Needs] = {"generator": (), "discriminator": ("conditions",), "batch": ("x", "y")}
    exports: ClassVar[Exports] = ("generator",)
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        z, y = spec.prior(), spec.label()
        concat = settings["conditioning"] == "concat"
        discriminator = spec.discriminator(y) if concat else spec.discriminator(projected=(y,))
        return {"generator": spec.generator(z, y), "discriminator": discriminator, "z": z, "y": y}

    def fake(self, batch: Batch) -> Sample:
        """G(z|y) on fresh noise, y the labels of the real samples: their marginal gives no fake away.

        Of balanced batches (``train.balanced``) every class is asked for as often, too.
        """
        return self.generator(self.z.like(batch.x), batch.y)

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 2: ascend E log D(x|y) + E log(1 - D(G(z|y)|y))."""
        y = batch.y
        terms = adversarial.discriminator(self.discriminator(batch.x, y), self.discriminator(self.fake(batch), y))
        if self.matching_aware:
            wrong = (y + torch.randint(1, self.y.size, y.shape, device=y.device)) % self.y.size
            mismatch = softplus(self.discriminator(batch.x, wrong)).mean()
            terms = {"real": terms["real"], "fake": terms["fake"] / 2, "mismatch": mismatch / 2}
        return Losses(terms)

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 2 in its non-saturating form."""
        return Losses(adversarial.generator_non_saturating(self.discriminator(self.fake(batch), batch.y)))

    def scorers(self) -> Scorers:
        return {"generator": lambda x, batch: self.discriminator(x, batch.y)}

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        return Update(("discriminator",), self.discriminator_loss), Update(("generator",), self.generator_loss)
