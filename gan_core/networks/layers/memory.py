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
        shown, count, size = new.detach().clone(), int(self.count), len(self.images)
        for k, image in enumerate(shown.clone()):
            if count < size:
                self.images[count] = image
                count += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(size, ()))
                shown[k] = self.images[place]
                self.images[place] = image
        self.count.fill_(count)
        return shown
