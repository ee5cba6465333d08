"""One paper, one file. VARIANTS is the table of all of them; a file's name is its variant's name.

This file holds the table and nothing else: a new row changes no other run, so the pipeline does not depend on it.
"""

from __future__ import annotations

from gan_core.game import Game
from gan_core.variants import gan, wgan_gp

VARIANTS: dict[str, type[Game]] = {
    "gan": gan.Gan,
    "wgan_gp": wgan_gp.WganGp,
}
