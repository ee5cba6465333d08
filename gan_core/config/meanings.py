"""What symbols of papers and keys of families mean, where the comment behind them in their file is too short.

Keys: ``variant.symbol``, or ``symbol`` of every paper that has it; ``family.key``.
"""

from __future__ import annotations

SYMBOLS = {
    "beta1": "Decay of Adam's mean of gradients.",
    "beta2": "Decay of Adam's mean of squared gradients.",
    "clip": "The log-ratio v is kept within this, softly.",
    "conditional": "Whether every class of the data is a label that can be asked for.",
    "critic_steps": "Updates of the critic for one of the generator, n_critic.",
    "discriminator_learning_rate": "Learning rate of the discriminator.",
    "learning_rate": "Learning rate of all networks that have none of their own.",
    "r1": "Weight gamma of the penalty on the gradient at real samples (Mescheder et al. 2018); 0: none.",
    "r2": "Weight gamma of the penalty on the gradient at generated samples (Mescheder et al. 2018); 0: none.",
    "autoencoder.adversarial": (
        "Weight of the game, times the adaptive one; the authors switch 0.5 on at a step. 0: there is no discriminator."
    ),
    "autoencoder.codes": "Vectors of the codebook, where `regularisation` is `vq`.",
    "autoencoder.commitment": "Weight beta of a latent's distance from its code, where `regularisation` is `vq`.",
    "autoencoder.downsampling": "How many times as high and wide as its latent a picture is, f.",
    "autoencoder.kl": "Weight of the sum of the divergence from N(0, I), where `regularisation` is `kl`.",
    "autoencoder.l1": "Weight of the mean absolute difference.",
    "autoencoder.perceptual": (
        "Weight of the distance in the maps of EfficientNet-Lite0; the authors have 1, of LPIPS in VGG-16's."
    ),
    "autoencoder.regularisation": (
        "`kl`: the latent is Gaussian, held loosely to N(0, I); `vq`: it is the nearest vector of a codebook."
    ),
    "cgan.conditioning": (
        "How the discriminator sees the label: `concat`, beside the sample, as the paper has it; `projection`, on its "
        "features (Miyato & Koyama 2018)."
    ),
    "cgan.matching_aware": "A real sample under a wrong label counts as a fake, too (Reed et al. 2016).",
    "cut.adversarial": "Weight of the game.",
    "cut.contrast": "Weight lambda_X of the contrast between a picture and its translation; FastCUT has 10.",
    "cut.decay_from": "Share of the run after which learning rates fall linearly to 0.",
    "cut.identity": (
        "Weight lambda_Y of the contrast of a picture that is in the target domain already; FastCUT has 0."
    ),
    "cut.learning_rate": "Learning rate of the translator and of the heads.",
    "cut.places": "Places of a picture that are compared at each layer; fewer where there are not as many.",
    "cut.temperature": "Temperature tau of the softmax over places.",
    "cycle_gan.adversarial": "Weight of the two games.",
    "cycle_gan.cycle": "Weight lambda of the cycle's loss: there and back again is the picture itself.",
    "cycle_gan.decay_from": "Share of the run after which learning rates fall linearly to 0.",
    "cycle_gan.identity": (
        "Weight of the loss of a picture that is in the target domain already, as a share of `cycle`; as in the "
        "authors' code."
    ),
    "cycle_gan.learning_rate": "Learning rate of both translators.",
    "cycle_gan.pool": "Generated pictures that are kept to be shown to a discriminator again.",
    "f_gan.alpha": "Which alpha divergence, where `divergence` is `alpha`.",
    "f_gan.divergence": "Which f of the paper's tables; `alpha` and `jensen_shannon_weighted` have a parameter.",
    "f_gan.objective": "What the generator descends: `exact`, algorithm 1; or `non_saturating`, section 3.2.",
    "f_gan.weight": "Weight pi, where `divergence` is `jensen_shannon_weighted`.",
    "gan.dragan": "Weight lambda of DRAGAN's penalty around the data (Kodali et al. 2017); 0: none.",
    "gan.objective": "What discriminator and generator descend.",
    "gan.pack": "Samples that the discriminator scores at once (PacGAN, Lin et al. 2018); it divides `batch_size`.",
    "gan.spectral_norm": "Whether the discriminator's layers have largest singular value 1 (Miyato et al. 2018).",
    "info_gan.categories": "Values of the categorical code; 0: there is none.",
    "info_gan.continuous": "Continuous codes, uniform on -1 to 1.",
    "info_gan.deviation": "Standard deviation of Q for continuous codes: `fixed` at 1, or `learned`.",
    "info_gan.learning_rate": "Learning rate of the generator.",
    "info_gan.q_owner": "Who moves with Q; the authors' code: the discriminator.",
    "info_gan.weight": "Weight lambda of the codes' loss.",
    "learned_f.f_learning_rate": "Learning rate of f.",
    "learned_f.form": "What f is made of: a network, or a mixture of alpha divergences.",
    "learned_f.highest": "alpha(v) stays below; for `form: neural`.",
    "learned_f.lookahead": "Learning rate of the generator's step after which an f is rated.",
    "learned_f.lowest": "alpha(v) stays above; for `form: neural`.",
    "learned_f.start": "f is this alpha divergence at the start, between `lowest` and `highest`.",
    "pix2pix.adversarial": "Weight of the game; 0: there is no discriminator, and the translator is a regression.",
    "pix2pix.decay_from": "Share of the run after which learning rates fall linearly to 0.",
    "pix2pix.feature_matching": (
        "Weight of the difference of real and generated targets in the discriminator's maps; pix2pixHD has 10."
    ),
    "pix2pix.l1": "Weight lambda of the mean absolute difference from the target; 0 in pix2pixHD.",
    "pix2pix.learning_rate": "Learning rate of the translator.",
    "pix2pix.objective": "What discriminator and translator descend; pix2pixHD: `least_squares`.",
    "pix2pix.perceptual": (
        "Weight of the distance from the target in the maps of EfficientNet-Lite0; pix2pixHD has 10, in VGG-19's."
    ),
    "pix2pix.scales": "Discriminators, each of pictures half as large as of the one before; pix2pixHD has 3.",
    "projected_gan.learning_rate": "Learning rate of the generator.",
    "projected_gan.pixels": "Channels of a discriminator of the pixels beside those of the frozen maps; 0: none.",
    "projected_gan.projection_seed": "Seed of the random convolutions behind the frozen network.",
    "projected_gan.side": "Side in pixels to which pictures are brought for the frozen network.",
    "r3gan.gamma": "Weight of both gradient penalties, R1 and R2.",
    "r3gan.penalty_every": "Steps between two updates with penalties, which weigh as much more; the authors have 1.",
    "vae.beta": "Weight of the divergence from the prior; other than 1 it is the beta-VAE (Higgins et al. 2017).",
    "vae.likelihood": "p(x|z): `gaussian`, or `bernoulli`, which is for pixels.",
    "vae.variance": "Variance of the Gaussian p(x|z), where pixels are -1 to 1.",
    "vae_gan.gamma": "Weight of the reconstruction in the decoder's loss: sums over features, means over the batch.",
    "vae_gan.learning_rate": "Learning rate of encoder and decoder.",
    "vae_gan.margin": (
        "Margin of the equilibrium gate: who wins by it waits for the other. 0: nobody waits; the authors': 0.35."
    ),
    "vae_gan.variance": (
        "Variance of the Gaussian around the discriminator's features of a reconstruction; less, where features are "
        "small, or the prior drowns the content."
    ),
    "wgan.clip": "Bound c on every weight of the critic.",
    "wgan.refresh_every": "Steps between two longer trainings of the critic after `warm_up`; without `warm_up`, none.",
    "wgan.warm_up": "First steps, at each of which the critic is trained longer; 0: never.",
    "wgan.warm_up_critic_steps": "Updates of the critic at a step at which it is trained longer.",
    "wgan_gp.penalty": "Weight lambda of the gradient penalty.",
}
OPTIONS = {
    "autoencoder.blocks": "Residual blocks at each size; the authors have 2.",
    "autoencoder.latent": "Channels of the latent, a map: 3 to 16.",
    "autoencoder.width": "Channels at full size; with each halving twice as many, at most 4 times.",
    "dcgan.minibatch_std": (
        "Samples in a group of which the discriminator sees how much they differ (Karras et al. 2018); 0: none."
    ),
    "dcgan.width": "Channels at full size; with each halving twice as many, at most 8 times.",
    "fastgan.width": "Channels at full size; with each halving twice as many, at most 8 times.",
    "mlp.width": "Units of each hidden layer.",
    "mlp.layers": "Hidden layers.",
    "r3gan.blocks": "Residual blocks of every stage, or of each from the smallest picture up.",
    "r3gan.channels": "Channels of each stage from the smallest picture up, in place of `width`; empty: by `width`.",
    "r3gan.embedding": "Numbers of a class beside the latent; 0: as many as the latent has.",
    "resnet.blocks": "Residual blocks of the translator; 0: as many as the paper has for the size.",
    "r3gan.width": "Channels up to the stage of 32 pixels; half as many with each doubling after it.",
    "resnet.norm": (
        "`instance`, as the paper has it; `none`: no pixel depends on the whole picture, so large ones can be "
        "translated in tiles (regressions, doubling)."
    ),
    "resnet.upsample": (
        "How the translator doubles a side: `resize`, nearest neighbours and a convolution; `transposed`, as the paper "
        "has it, which may leave a chequered pattern (Odena et al. 2016)."
    ),
    "resnet.width": "Channels at full size; with each halving twice as many.",
    "unet.norm": (
        "`instance`; `none`: no pixel depends on the whole picture, so large ones can be translated in tiles."
    ),
    "unet.upsample": (
        "How it doubles a side: `resize`, nearest neighbours and a convolution; `transposed`, as the paper has it, "
        "which may leave a chequered pattern (Odena et al. 2016)."
    ),
    "unet.width": "Channels at half the size; with each further halving twice as many, at most 8 times.",
    "resnet_gan.width": "Channels at full size; with each halving twice as many, at most 16 times.",
    "resnet_gan.minibatch_std": (
        "Samples in a group of which the discriminator sees how much they differ (Karras et al. 2018); 0: none."
    ),
}
