"""Codes in the place of latents: van den Oord et al. 2017, arXiv 1711.00937."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_core.core.types import Terms
from gan_core.objectives.adversarial import same_form


def quantisation(z: Tensor, codes: Tensor, commitment: float) -> Terms:
    """E (sg(z) - e)^2 and beta E (z - sg(e))^2 over all numbers of latents z and of the codes e nearest to them.

    Eq. 3, its second and third terms, as means where the equation has squared lengths: the first moves codes alone,
    the second what makes latents.
    """
    same_form(z, codes, pairs=True)
    return {
        "codebook": (z.detach() - codes).square().mean(),
        "commitment": commitment * (z - codes.detach()).square().mean(),
    }


def perplexity(ids: Tensor, count: int) -> Tensor:
    """exp(entropy) of the frequencies of numbers 0 to ``count`` - 1: how many codes, evenly used, would be as many."""
    flat = ids.flatten()
    ones = torch.ones(flat.shape, device=flat.device)
    share = torch.zeros(count, device=flat.device).index_add(0, flat, ones) / len(flat)
    found: Tensor = torch.special.entr(share).sum().exp()
    return found
