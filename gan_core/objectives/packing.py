"""Packs of samples, which a discriminator scores at once. PacGAN, Lin et al. 2018."""

from __future__ import annotations

from gan_core.core.types import Sample
from gan_core.runtime.errors import InputError


def packed(x: Sample, m: int) -> Sample:
    """Samples m by m, side by side, as channels or coordinates: (N, C, ...) to (N / m, m C, ...).

    Raises:
        InputError: m does not divide N.
    """
    if m == 1:
        return x
    if len(x) % m:
        raise InputError(f"settings.pack {m} does not divide train.batch_size {len(x)}; change one of them")
    return x.reshape(len(x) // m, m * x.shape[1], *x.shape[2:])
