"""Conditional Generative Adversarial Nets. Mirza & Osindero 2014."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import softplus

from gan_core.bounds import Fraction, PositiveFloat
from gan_core.game import Cast, Exports, Judges, Optimizer, Settings, Update, Updates
from gan_core.objectives import adversarial
from gan_core.signature import Body, Input
from gan_core.types import Batch, Discriminator, Generator, Sample, Terms


@dataclass(frozen=True)
class CGan:
    """Eq. 2, non-saturating. A fake is judged with the label it was drawn for, and labels have the data's marginal.

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
    learning_rate: PositiveFloat = 2e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999

    @staticmethod
    def cast(body: Body, settings: Settings) -> Cast:
        z, y = body.prior(), body.label()
        judge = body.discriminator(y) if settings["conditioning"] == "concat" else body.discriminator(projected=(y,))
        return {"generator": body.generator(z, y), "discriminator": judge, "z": z, "y": y}

    def fake(self, batch: Batch) -> Sample:
        """G(z|y) on fresh noise, y the labels of the real samples: their marginal gives no fake away."""
        return self.generator(self.z.like(batch.x), batch.labels)

    def discriminator_loss(self, batch: Batch) -> Terms:
        """Eq. 2: ascend E log D(x|y) + E log(1 - D(G(z|y)|y))."""
        y = batch.labels
        terms = adversarial.discriminator(self.discriminator(batch.x, y), self.discriminator(self.fake(batch), y))
        if self.matching_aware:
            wrong = (y + torch.randint(1, self.y.size, y.shape, device=y.device)) % self.y.size
            mismatch = softplus(self.discriminator(batch.x, wrong)).mean()
            return {"real": terms["real"], "fake": terms["fake"] / 2, "mismatch": mismatch / 2}
        return terms

    def generator_loss(self, batch: Batch) -> Terms:
        """Eq. 2 in its non-saturating form."""
        return adversarial.generator_non_saturating(self.discriminator(self.fake(batch), batch.labels))

    def judges(self) -> Judges:
        return {"generator": lambda x, y: self.discriminator(x, y)}

    def updates(self) -> Updates:
        adam = Optimizer("adam", self.learning_rate, self.beta1, self.beta2)
        return (
            Update((self.discriminator,), self.discriminator_loss, adam),
            Update((self.generator,), self.generator_loss, adam),
        )

    def exports(self) -> Exports:
        return {"generator": self.generator}
