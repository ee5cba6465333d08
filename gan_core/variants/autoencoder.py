"""Taming Transformers, Esser et al. 2021; Latent Diffusion Models, Rombach et al. 2022: the autoencoder of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from gan_core.config.bounds import Fraction, LearningRate, NonNegativeFloat, PositiveInt, Schedule, Scheduled
from gan_core.core.frozen import Frozen
from gan_core.core.game import Adam, Exports, Needs, Optimizers, Scorers, Settings, Signed, Spec, Update, Updates
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Decoder, Discriminator, Encoder, Losses, Moment, Sample, Score, Terms
from gan_core.networks.efficientnet_lite0 import Perceptual
from gan_core.networks.patchgan import FAMILY
from gan_core.objectives import variational
from gan_core.objectives.adaptive import adaptive_weight
from gan_core.objectives.adversarial import OBJECTIVES
from gan_core.objectives.quantisation import perplexity, quantisation

HINGE = OBJECTIVES["hinge"]


@dataclass(frozen=True)
class Autoencoder:
    """Rombach et al., eq. 25: min over E, D, max over psi of L_rec(x, D(E(x))) + w L_adv + L_reg; pictures to maps.

    ``kl`` draws the latent from a Gaussian that is held loosely (1e-6) to N(0, I); ``vq`` replaces each latent by the
    nearest of a codebook, which the decoder holds. Neither can be drawn from: decode what the encoder made, or what a
    model of latents draws. The weight w of the game is adaptive (Esser et al., eq. 7), times ``adversarial``: 0 at
    first, while the discriminator learns. L_rec is a mean over pixels, and so the sum of KL is divided by their
    number; the authors' code sums both.
    """

    encoder: Encoder
    decoder: Decoder
    discriminator: Discriminator  # none, where adversarial is 0
    perceptual_network: Frozen | None
    regularisation: Literal["kl", "vq"] = "kl"
    downsampling: Literal[4, 8, 16] = 8  # f
    kl: NonNegativeFloat = 1e-6  # weight of the divergence, where regularisation is kl
    codes: PositiveInt = 1024  # vectors of the codebook, where regularisation is vq
    commitment: NonNegativeFloat = 0.25  # beta, where regularisation is vq
    l1: NonNegativeFloat = 1.0
    perceptual: NonNegativeFloat = 1.0  # distance in features of EfficientNet-Lite0; the authors' is LPIPS
    adversarial: Scheduled[NonNegativeFloat] = Schedule(0.0, 0.5, begin=0.25)  # the authors switch 0.5 on at a step
    learning_rate: LearningRate = 1e-4
    beta1: Scheduled[Fraction] = 0.5
    beta2: Scheduled[Fraction] = 0.9
    needs: ClassVar[Needs] = {"encoder": ("codes",), "decoder": ("codes", "last_layer"), "batch": ("x",)}
    exports: ClassVar[Exports] = ("decoder", "encoder")
    signed: ClassVar[Signed] = {}

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Settings) -> Spec:
        codes = {"codes": settings["codes"]} if settings["regularisation"] == "vq" else {}
        own, z = spec.with_family(spec.family, **spec.options, **codes), spec.latent_map(settings["downsampling"])
        return {
            "encoder": own.encoder(z),
            "decoder": own.decoder(z),
            "discriminator": spec.with_family(FAMILY, scales=1).discriminator() if settings["adversarial"] else None,
            "perceptual_network": Frozen(Perceptual(spec.shape[1:])) if settings["perceptual"] else None,
        }

    def patches(self, x: Sample) -> Score:
        """The score of every patch, (N, 1, H', W')."""
        return self.discriminator.stages(x)[0][-1]

    def regularised(self, x: Sample) -> tuple[Tensor, Terms, dict[str, Tensor]]:
        """What the decoder is given, L_reg, and how well the codebook is used."""
        if self.regularisation == "vq":
            z = self.encoder(x)
            codes, ids = self.decoder.nearest(z)
            return z, quantisation(z, codes, self.commitment), {"perplexity": perplexity(ids, self.codes)}
        q = self.encoder.posterior(x)
        divergence = variational.kl(*(part.flatten(1) for part in q))
        return variational.reparametrised(*q), {"kl": self.kl * divergence / x[0].numel()}, {}

    def reconstruction_loss(self, batch: Batch, at: Moment) -> Losses:
        """L_rec + w L_adv + L_reg, where L_rec is L1 and a perceptual distance, and w makes their gradients alike."""
        z, terms, stats = self.regularised(batch.x)
        decoded, reconstruction = self.decoder(z), {}
        if self.l1:
            reconstruction["l1"] = self.l1 * (decoded - batch.x).abs().mean()
        if self.perceptual_network:
            reconstruction["perceptual"] = self.perceptual * self.perceptual_network(decoded, batch.x).mean()
        terms |= reconstruction
        if weight := at.value(self.adversarial):
            adversarial = HINGE.generator(self.patches(decoded))["generator"]
            whole = torch.stack([*reconstruction.values()]).sum()
            stats["adaptive_weight"] = adaptive_weight(whole, adversarial, self.decoder.last_layer)
            terms["adversarial"] = weight * stats["adaptive_weight"] * adversarial
        return Losses(terms, stats, shared={"fake": decoded})

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        """E max(0, 1 - v(x)) + E max(0, 1 + v(D(E(x)))) over patches."""
        return Losses(HINGE.discriminator(self.patches(batch.x), self.patches(batch.fake)))

    def scorers(self) -> Scorers:
        return {"decoder": lambda x, _: self.discriminator(x)} if self.adversarial else {}

    def optimizers(self) -> Optimizers:
        return Adam(self.learning_rate, self.beta1, self.beta2)

    def updates(self) -> Updates:
        reconstruction = Update(("encoder", "decoder"), self.reconstruction_loss)
        discriminator = Update(("discriminator",), self.discriminator_loss, reuse_batch=True)
        return (reconstruction, discriminator) if self.adversarial else (reconstruction,)
