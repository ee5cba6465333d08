"""What a discriminator sees of a batch as a whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MinibatchStd(nn.Module):
    """One more plane: how much samples of a group differ. Karras et al. 2018, section 3.

    The standard deviation over the group of each number of the maps, averaged over all of them. A group is ``size``
    samples, or as many below as divide the batch; alone, a sample differs from nothing.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C + 1, H, W)."""
        n = len(x)
        size = next(k for k in range(min(self.size, n), 0, -1) if n % k == 0)
        groups = x.float().view(size, n // size, *x.shape[1:])
        deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        plane = deviation.repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        return torch.cat([x, plane.to(x)], 1)
