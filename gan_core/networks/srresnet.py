"""Residual translator that enlarges: SRResNet (Ledig et al. 2017, section 2.1) without batch normalisation.

As EDSR (Lim et al. 2017, section 3.1), which finds that without it less is lost of colours and range. All but the end
is computed at the size of the source; then channels become pixels (Shi et al. 2016), once for each doubling.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from gan_core.config.bounds import PositiveInt
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample

SAMPLES = ("images",)
CAPABILITIES = {"translator": ("enlarges",)}


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    blocks: PositiveInt = 16  # residual ones, as the paper has; 4 are enough for pictures of 64 pixels


class Block(nn.Module):
    """x + (conv 3x3, PReLU, conv 3x3)(x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        convolutions = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.first, self.second, self.activation = *convolutions, nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        y: Tensor = x + self.second(self.activation(self.first(x)))
        return y


class Translator(nn.Module):
    """What is to be added to the source with its pixels repeated; the last convolution begins at a tenth, near nothing.

    No pixel depends on the whole picture, so tiles fit together.
    """

    @staticmethod
    def size_multiple(_config: NetworkConfig) -> int:
        """Once built, it translates images of any sides, from 2 up."""
        return 1

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        planes, width = config.inputs[0].dims[0], config.width
        self.first = nn.Sequential(nn.Conv2d(planes, width, 9, padding=4), nn.PReLU())
        blocks = (Block(width) for _ in range(Options(**config.options).blocks))
        self.trunk = nn.Sequential(*blocks, nn.Conv2d(width, width, 3, padding=1))
        doublings = range(round(log2(config.scale)))
        shuffled = ((nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()) for _ in doublings)
        last = nn.Conv2d(width, config.shape[0], 9, padding=4)
        self.body = nn.Sequential(*(layer for step in shuffled for layer in step), last)
        with torch.no_grad():
            last.weight.mul_(0.1)

    def forward(self, x: Sample) -> Sample:
        """(N, C, H, W) to (N, C', scale H, scale W)."""
        h = self.first(x)
        y: Sample = self.body(h + self.trunk(h)) + repeated(x, self.config.shape[0], self.config.scale)
        return y


def repeated(x: Tensor, planes: int, scale: int) -> Tensor:
    """Images (N, C, H, W), each pixel as a square of so many; of one channel or of ``planes``."""
    return pixel_shuffle(x.expand(-1, planes, -1, -1).repeat_interleave(scale * scale, 1), scale)
