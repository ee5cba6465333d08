"""What a game remembers from step to step. Buffers, so that it is part of every checkpoint; no weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.core.samples import Sample


class Pool(nn.Module):
    """A history of generated samples (Shrivastava et al. 2017, section 2.3), as CycleGAN's discriminators are shown.

    The first ``size`` samples are kept and returned. Then each new one is, at even odds, returned as it is, or takes
    the place of an old one chosen at random, which is returned.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, new: Sample) -> Sample:
        """(N, ...) to as many, each new or old."""
        shown, size = new.detach().clone(), len(self.images)
        places = torch.randint(size, (len(shown),), device=shown.device)
        swaps = torch.rand(len(shown), device=shown.device) < 0.5
        for k in range(len(shown)):  # no number is asked of the device: no step waits for it
            full = self.count >= size
            place = torch.where(full, places[k], self.count).reshape(1)
            new_one, old_one = shown[k : k + 1].clone(), self.images[place]
            shown[k : k + 1] = torch.where(full & swaps[k], old_one, new_one)
            self.images[place] = torch.where(full & ~swaps[k], old_one, new_one)
            self.count += ~full
        return shown
