"""What the papers claim, as a program. One module a paper; CLAIMS is the table of all of them."""

from __future__ import annotations

from claims import (
    autoencoder,
    cgan,
    cut,
    cycle_gan,
    f_gan,
    gan,
    health,
    info_gan,
    learned_f,
    pix2pix,
    r3gan,
    vae_gan,
    wgan,
)
from claims.table import Claim

PAPERS = (gan, f_gan, learned_f, wgan, cycle_gan, cut, pix2pix, cgan, vae_gan, autoencoder, info_gan, r3gan, health)
CLAIMS: dict[str, Claim] = {claim.id: claim for paper in PAPERS for claim in paper.CLAIMS}
