"""One paper, one file. VARIANTS is the table of all of them; a file's name is its variant's name.

This file holds the table and nothing else: a new row changes no other run, so the pipeline does not depend on it.
"""

from __future__ import annotations

from gan_core.game import Game
from gan_core.variants import cgan, cycle_gan, f_gan, gan, info_gan, learned_f, vae, vae_gan, wgan, wgan_gp

VARIANTS: dict[str, type[Game]] = {
    "cgan": cgan.CGan,
    "cycle_gan": cycle_gan.CycleGan,
    "f_gan": f_gan.FGan,
    "gan": gan.Gan,
    "info_gan": info_gan.InfoGan,
    "learned_f": learned_f.LearnedF,
    "vae": vae.Vae,
    "vae_gan": vae_gan.VaeGan,
    "wgan": wgan.Wgan,
    "wgan_gp": wgan_gp.WganGp,
}
