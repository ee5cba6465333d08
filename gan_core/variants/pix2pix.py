"""Image-to-Image Translation with Conditional Adversarial Networks. Isola et al. 2017; pix2pixHD, Wang et al. 2018."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gan_core.config.bounds import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Schedule, Scheduled
from gan_core.core.frozen import Frozen
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Discriminator, Generator, Losses, Moment
from gan_core.networks.efficientnet_lite0 import Perceptual
from gan_core.networks.patchgan import FAMILY
from gan_core.objectives.adversarial import OBJECTIVES


@dataclass(frozen=True)
class Pix2Pix:
    """pix2pix, eq. 4: G* = arg min max L_cGAN(G, D) + lambda L_L1(G), on pairs of a source and its target.

    The discriminator sees patches of the source beside the target. With ``scales``, ``feature_matching`` and
    ``perceptual`` (and ``objective: least_squares``, ``l1: 0``) it is pix2pixHD, eq. 8: scores are summed over scales,
    maps averaged over them, as the authors' code has it. With ``adversarial: 0`` there is no discriminator: a
    regression, which blurs where the target cannot be known, and has the best PSNR.
    """

    translator: Generator  # G
    discriminator: Discriminator  # D; none, where adversarial is 0
    perceptual_network: Frozen | None
    objective: Literal["non_saturating", "least_squares", "hinge"] = "non_saturating"
    adversarial: NonNegativeFloat = 1.0
    l1: Scheduled[NonNegativeFloat] = 100.0  # lambda
    feature_matching: NonNegativeFloat = 0.0  # lambda of pix2pixHD, which has 10
    perceptual: NonNegativeFloat = 0.0  # distance in features of EfficientNet-Lite0; pix2pixHD has 10, in VGG's
    scales: PositiveInt = 1
    learning_rate: PositiveFloat = 2e-4
    discriminator_learning_rate: PositiveFloat = 2e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.999
    decay_from: Fraction = 0.5  # of the run
    needs: ClassVar[Needs] = {"translator": (), "batch": ("x", "x_b"), "aligned": ("x", "x_b")}
    exports: ClassVar[Exports] = ("translator",)
    signed: ClassVar[Signed] = {"objective": ("non_saturating", "hinge")}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        judge = spec.with_family(FAMILY, scales=settings["scales"]).discriminator(spec.data("x", "source"))
        return {
            "translator": spec.translator("x", "x_b"),
            "discriminator": judge if settings["adversarial"] else None,
            "perceptual_network": Frozen(Perceptual(spec.shape[1:])) if settings["perceptual"] else None,
        }

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        """L_cGAN(G, D) + lambda L_L1(G) (eq. 4), feature matching (pix2pixHD, eq. 7) and perceptual terms."""
        fake, terms = self.translator(batch.x), {}
        if self.adversarial:
            seen = self.discriminator.stages(fake, batch.x)
            whole = 2 if self.objective == "least_squares" else 1  # the authors do not halve the squares
            of_fake = [OBJECTIVES[self.objective].generator(maps[-1])["generator"] for maps in seen]
            terms["adversarial"] = whole * self.adversarial * torch.stack(of_fake).sum()
            if self.feature_matching:
                with torch.no_grad():
                    real = self.discriminator.stages(batch.x_b, batch.x)
                terms["feature_matching"] = self.feature_matching * torch.stack([*map(matching, seen, real)]).mean()
        if self.l1:
            terms["l1"] = at.value(self.l1) * (fake - batch.x_b).abs().mean()
        if self.perceptual_network:
            terms["perceptual"] = self.perceptual * self.perceptual_network(fake, batch.x_b).mean()
        return Losses(terms, shared={"fake": fake})

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """L_cGAN(G, D) (eq. 1): real and generated targets, each beside its source; the sum over scales.

        The authors halve it, which changes nothing under Adam.
        """
        real, fake = (self.discriminator.stages(target, batch.x) for target in (batch.x_b, batch.fake))
        each = [OBJECTIVES[self.objective].discriminator(a[-1], b[-1]) for a, b in zip(real, fake, strict=True)]
        return Losses({name: torch.stack([terms[name] for terms in each]).sum() for name in each[0]})

    def scorers(self) -> Scorers:
        return {"translator": lambda x, batch: self.discriminator(x, batch.x)} if self.adversarial else {}

    def optimizers(self) -> Optimizers:
        rates = {"translator": self.learning_rate, "discriminator": self.discriminator_learning_rate}
        made = {k: Adam(Schedule(lr, 0.0, begin=self.decay_from), self.beta1, self.beta2) for k, lr in rates.items()}
        return {player: made[player] for update in self.updates() for player in update.players}

    def updates(self) -> Updates:
        generator = Update(("translator",), self.generator_loss)
        discriminator = Update(("discriminator",), self.discriminator_loss, reuse_batch=True)
        return (generator, discriminator) if self.adversarial else (generator,)


def matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Sum over a discriminator's layers of the mean absolute difference of their maps (pix2pixHD, eq. 7)."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(fake[:-1], real[:-1], strict=True)]).sum()
