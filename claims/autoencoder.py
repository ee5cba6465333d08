"""The autoencoder of Esser et al. 2021 and Rombach et al. 2022."""

from __future__ import annotations

from typing import Any

from claims.play import batches, finish, game_of, play, prepared, shipped
from claims.table import Claim, Figures, each
from claims.vae_gan import DIGITS, sharpness
from gan_core.core.network_spec import NetworkSpec
from gan_core.metrics.batching import in_batches
from gan_core.metrics.similarity import psnr

PAPER = "Esser et al. 2021, Taming Transformers; Rombach et al. 2022, Latent Diffusion Models (autoencoder)"
STEPS, SIZE = 1_500, 32
GAMES: dict[str, tuple[str, NetworkSpec, dict[str, Any]]] = {
    "vae": ("vae", NetworkSpec("mlp", 256, 16, (1, 8, 8)), {"learning_rate": 5e-4}),
    "kl": (
        "autoencoder",
        NetworkSpec("autoencoder", 16, 4, (1, 8, 8), 0, {"blocks": 1}),
        {"downsampling": 4, "perceptual": 0.0, "learning_rate": 1e-3},
    ),
}
"""By name: variant, networks, settings; the latents of both hold 16 numbers."""


def rebuilt(seed: int) -> Figures:
    """Held-out digits through both halves of each."""
    data = prepared(DIGITS)
    x, figures = data.samples("heldout")[:], Figures()
    for name, (variant, spec, settings) in GAMES.items():
        game = game_of(variant, spec, seed, **settings)
        run = finish(play(game, batches(data, SIZE, seed, noise=0.0), STEPS, seed))
        encoder, decoder = (shipped(run, role, seed, SIZE) for role in ("encoder", "decoder"))
        y = in_batches(decoder, in_batches(encoder, x))
        figures |= {f"sharpness, {name}": sharpness(y) / sharpness(x), f"PSNR, {name}": float(psnr(y, x).mean())}
    return figures


CLAIMS = (
    Claim(
        "K1",
        PAPER,
        "A game of patches with an adaptive weight makes reconstructions as sharp as the data (Esser et al., section "
        "3.1)",
        "Digits, f 4, 4 channels, width 16, one block a size, no perceptual term, batch 32, 1,500 steps, Adam(1e-3); a "
        "VAE of mlp 3 x 256 with as many numbers in its latent after as many steps; sharpness is the variance of the "
        "Laplacian of rebuilt held-out digits against their own",
        "|sharpness - 1| <= 0.1, and nearer to 1 than the VAE's; no bar on PSNR",
        rebuilt,
        each(lambda f: abs(f["sharpness, kl"] - 1) <= min(0.1, abs(f["sharpness, vae"] - 1))),
        cost=120,
    ),
)
