"""Contrastive Learning for Unpaired Image-to-Image Translation. Park et al. 2020."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gan_core.config.bounds import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Schedule, Scheduled
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Spec, Update, Updates
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Losses, Moment, PatchHeads, Sample, Translator
from gan_core.networks.patch_heads import FAMILY
from gan_core.objectives.adversarial import discriminator_least_squares, generator_least_squares
from gan_core.objectives.contrastive import patch_nce


@dataclass(frozen=True)
class Cut:
    """Eq. 5: L_GAN(G, D) + lambda_X L_PatchNCE(G, H, X) + lambda_Y L_PatchNCE(G, H, Y), one translator, one direction.

    A place of a translation is like the same place of its source, and unlike others of it, in maps of the translator's
    own first half. The authors halve the two contrasts where there are both. FastCUT: ``contrast: 10``, ``identity: 0``
    and ``flip: true`` in the data.
    """

    translator: Translator  # G
    heads: PatchHeads  # H
    discriminator: Discriminator  # D
    contrast: Scheduled[NonNegativeFloat] = 1.0  # lambda_X
    identity: NonNegativeFloat = 1.0  # lambda_Y
    adversarial: Scheduled[NonNegativeFloat] = 1.0
    temperature: PositiveFloat = 0.07  # tau
    places: PositiveInt = 256  # of a picture at each layer, or all that there are
    learning_rate: PositiveFloat = 2e-4
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    decay_from: Fraction = 0.5  # of the run
    needs: ClassVar[Needs] = {"translator": ("stages",), "discriminator": ("patches",), "batch": ("x", "x_b")}
    exports: ClassVar[Exports] = ("translator",)

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        translator = spec.translator("x", "x_b")
        heads = spec.with_family(FAMILY, **translator.options, of=translator.network).heads()
        return {"translator": translator, "heads": heads, "discriminator": spec.discriminator()}

    def contrasted(self, source: Sample, made: Sample) -> Tensor:
        """L_PatchNCE (eq. 4): the mean over layers, at random places that are the same in both pictures."""
        with torch.no_grad():
            before = self.translator.stages(source)
            sizes = [h.shape[2] * h.shape[3] for h in before]
            places = [torch.randperm(n, device=source.device)[: self.places] for n in sizes]
            keys = self.heads(before, places)
        queries = self.heads(self.translator.stages(made), places)
        each = [patch_nce(q, k, self.temperature) for q, k in zip(queries, keys, strict=True)]
        return torch.stack(each).mean()

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """Eq. 5 from the side of G and H, with least squares."""
        fake, share = self.translator(batch.x), 0.5 if self.identity else 1.0
        terms = {
            "adversarial": 2
            * at.value(self.adversarial)
            * generator_least_squares(self.discriminator(fake))["generator"],
            "contrast": share * at.value(self.contrast) * self.contrasted(batch.x, fake),
        }
        if self.identity:
            terms["identity"] = share * self.identity * self.contrasted(batch.x_b, self.translator(batch.x_b))
        return Losses(terms, shared={"fake": fake})

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2."""
        return Losses(discriminator_least_squares(self.discriminator(batch.x_b), self.discriminator(batch.fake)))

    def scorers(self) -> Scorers:
        return {"translator": lambda x, _: self.discriminator(x)}

    def optimizers(self) -> Optimizers:
        rates = self.learning_rate, self.discriminator_learning_rate
        g, d = (Adam(Schedule(lr, 0.0, begin=self.decay_from), self.beta1, self.beta2) for lr in rates)
        return {"translator": g, "heads": g, "discriminator": d}

    def updates(self) -> Updates:
        generator = Update(("translator", "heads"), self.generator_loss)
        return generator, Update(("discriminator",), self.discriminator_loss, reuse_batch=True)
