"""The projected discriminator of Sauer et al. 2021 (arXiv 2111.01007), on the frozen EfficientNet-Lite0.

A picture is seen through the four levels of a network trained on ImageNet, mixed by convolutions with fixed random
weights across channels (section 3.2, CCM) and across scales (CSM); a small discriminator judges each of the four maps.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_core.core.frozen import Frozen
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score, opaque
from gan_core.networks.efficientnet_lite0 import LEVELS, STAGES, lite0
from gan_core.networks.layers.head import normalised
from gan_core.networks.layers.resize import Resize
from gan_core.runtime.errors import InputError

FAMILY = "projected"
CAPABILITIES = {"discriminator": ("conditions",)}
CHANNELS = (64, 128, 256, 512)
"""Of the mixed maps, from the finest level to the coarsest."""
SCALES = (11.0, 10.0, 8.0, 4.0)
"""Root mean square of the levels on pictures, by which they are divided."""
LEAST = 32
MOST, SMALLEST = 512, 4
"""Channels of a head, and the least side of the map on which it judges."""


class Mixing(nn.Module):
    """CCM and CSM: a convolution 1x1 of each level; from the coarsest, added to the next finer one and convolved."""

    def __init__(self, side: int, seed: int) -> None:
        super().__init__()
        sizes = [(n, n) for n in map_sides(side)]
        self.resizes = nn.ModuleList(Resize(a, b, "bilinear") for b, a in itertools.pairwise(sizes))
        fan_in = [STAGES[k][3] for k in LEVELS]
        self.across_channels = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(fan_in, CHANNELS, strict=True))
        finer = [CHANNELS[0], *CHANNELS[:-1]]
        self.across_scales = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(CHANNELS, finer, strict=True))
        drawn = torch.Generator().manual_seed(seed)
        for convolution in [*self.across_channels, *self.across_scales]:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear", generator=drawn)
            nn.init.zeros_(convolution.bias)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The maps of four levels, finest first, to as many mixed ones of the same sides."""
        found: list[Tensor] = []
        coarser: Tensor | None = None
        for level in range(len(levels) - 1, -1, -1):
            h = self.across_channels[level](levels[level] / SCALES[level])
            if coarser is not None:
                h = h + self.resizes[level](coarser)
            found.insert(0, h)
            coarser = self.across_scales[level](h)
        return found


class Projector(nn.Module):
    """From images (N, 1, 3 or 4, H, W) to four maps (N, C, side / 2^k, side / 2^k); nothing of it is trained.

    Pictures are smoothed first: what the network's strides alias looks to it like something else, and a generator would
    draw that, stripes of one or two pixels. (The paper enlarges small pictures to 256 pixels, at 16 times the cost.)

    ``side``: height and width to which every picture of ``sides`` is brought; ``seed``: of the random weights.

    Raises:
        InputError: ``side`` is below 32.
    """

    def __init__(self, sides: Sequence[int], side: int, seed: int) -> None:
        super().__init__()
        if side < LEAST:
            raise InputError(f"settings.side is {side}; EfficientNet-Lite0 has four levels from {LEAST} pixels on")
        self.resize = Resize(sides, (side, side), "bicubic", smoothed=True)
        self.side, self.network, self.mixing = side, copy.deepcopy(lite0()), Mixing(side, seed)

    def forward(self, x: Sample) -> list[Tensor]:
        """The mixed maps, finest first; differentiable in the images."""
        found: list[Tensor] = self.mixing(self.network.levels(self.resize(opaque(x)), self.side))
        return found


def map_sides(side: int) -> list[int]:
    """Height and width of the four maps of a picture of ``side`` pixels, finest first."""
    sizes, n = [], -(-side // 2)  # of the stem
    for k, stage in enumerate(STAGES):
        n = -(-n // stage[1])
        if k in LEVELS:
            sizes.append(n)
    return sizes


class Head(nn.Module):
    """Judges one map: (conv 4x4 stride 2, BatchNorm, LeakyReLU 0.2) down to 4 to 7 pixels, then a score for each place.

    A smaller map takes one convolution 1x1 in their place. The statistics are of the batch, never running ones: a
    generator that draws one picture again and again shows in them, and without them it does.
    """

    def __init__(self, config: NetworkConfig, channels: int, high: int, wide: int) -> None:
        super().__init__()
        layers, width = list[nn.Module](), channels
        while min(high, wide) >= 2 * SMALLEST or not layers:
            fan_in, width = width, min(2 * width, MOST)
            large = min(high, wide) >= 2 * SMALLEST
            layer = nn.Conv2d(fan_in, width, 4, stride=2, padding=1) if large else nn.Conv2d(fan_in, width, 1)
            layers += [normalised(layer, config), nn.BatchNorm2d(width, track_running_stats=False), nn.LeakyReLU(0.2)]
            high, wide = high // 2, wide // 2
        self.body = nn.Sequential(*layers)
        self.last = normalised(nn.Conv2d(width, 1, 3, padding=1), config)
        classes = sum(i.size for i in config.projected)
        self.embed = normalised(nn.Linear(classes, width, bias=False), config) if classes else None

    def forward(self, h: Tensor, *one_hot: Tensor) -> Score:
        """(N, C, side, side), and the rows of conditions (N, classes) where there are any, to (N, places)."""
        h = self.body(h)
        v: Tensor = self.last(h)
        if self.embed is not None:
            v = v + (self.embed(torch.cat(one_hot, 1))[:, :, None, None] * h).sum(1, keepdim=True)
        return v.flatten(1)


class Pixels(nn.Module):
    """Judges the picture itself, by weights that are all trained: what the frozen network does not see, as alpha."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        planes, high, wide = config.shape
        first = nn.Sequential(nn.Conv2d(planes, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.first = normalised(first, config)
        self.head = Head(config, channels, high // 2, wide // 2)

    def forward(self, x: Sample, *one_hot: Tensor) -> Score:
        """(N, C, H, W), and the rows of conditions where there are any, to (N, places)."""
        v: Score = self.head(self.first(x), *one_hot)
        return v


class Discriminator(nn.Module):
    """The projector, which stays as it is, and a head for each map, spectrally normalised (Miyato et al. 2018).

    Where there is alpha, the projector sees each picture on a grey drawn for it: on one and the same, a hole would look
    like paint. With ``pixels`` channels there is a discriminator of the picture itself beside them, as in vision-aided
    training (Kumari et al. 2022, arXiv 2112.09130).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        side, pixels = config.options["side"], config.options["pixels"]
        self.projector = Frozen(Projector(config.shape[1:], side, config.options["seed"]))
        pairs = zip(CHANNELS, map_sides(side), strict=True)
        self.heads = nn.ModuleList(Head(config, channels, n, n) for channels, n in pairs)
        self.pixels = Pixels(config, pixels) if pixels else None

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, C, H, W) and conditions to (N, places): of the four maps, finest first, then of the pixels."""
        rows = [i.embed(y) for i, y in zip(self.config.projected, conditions, strict=True)]
        grey = torch.rand(len(x), 1, 1, 1, device=x.device) * 2 - 1 if self.training and x.shape[1] == 4 else 0.0
        scores = [head(h, *rows) for head, h in zip(self.heads, self.projector(opaque(x, grey)), strict=True)]
        return torch.cat([*scores, self.pixels(x, *rows)] if self.pixels else scores, 1)
