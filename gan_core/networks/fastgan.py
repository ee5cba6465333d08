"""The generator of FastGAN (Liu et al. 2021, arXiv 2101.04775), without its noise: one latent, one picture.

For pictures of 8 pixels and up. Gated linear units and excitations from small maps to large ones (section 3.1) make it
train in few steps. It has no discriminator of its own; the projected one goes with it (variant ``projected_gan``).
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from gan_core.core import sides
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample
from gan_core.networks.layers.doubling import Doubling
from gan_core.runtime.errors import InputError

SAMPLES = ("images",)
SIDES: sides.Rule = "halved"
CAPABILITIES = {"generator": ()}

APART = 4
"""So many doublings lie between a map and the larger one that it excites: 4 and 64 pixels, 8 and 128, ..."""
TINY = 1e-8


class Gated(nn.Module):
    """A layer that gives twice the channels, batch normalisation, and a gated linear unit: half times sigmoid(half)."""

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.layer, self.norm = layer, nn.BatchNorm2d(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer, half the channels."""
        h, gate = self.norm(self.layer(x)).chunk(2, 1)  # glu's own gradient leaves the memory format, 8 times slower
        y: Tensor = h * gate.sigmoid()
        return y


class Excitation(nn.Module):
    """A factor in (0, 1) for each channel of a large map, from a small one (section 3.1, eq. 1 and 2)."""

    def __init__(self, fan_in: int, fan_out: int, smallest: tuple[int, int], scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.gate = nn.Sequential(
            nn.Conv2d(fan_in, fan_out, smallest), nn.SiLU(), nn.Conv2d(fan_out, fan_out, 1), nn.Sigmoid()
        )

    def forward(self, small: Tensor, large: Tensor) -> Tensor:
        """(N, C, h, w) and (N, C', H, W) to the latter, scaled."""
        y: Tensor = large * self.gate(avg_pool2d(small, self.scale) if self.scale > 1 else small)
        return y


class Generator(nn.Module):
    """Linear to the smallest picture, then (up-sample, conv 3x3, BatchNorm, GLU) to full size, conv 3x3, tanh."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        if len(config.shape) != 3:
            raise InputError(f"network family 'fastgan' draws images, these samples have shape {config.shape}")
        if said := sides.unfit(SIDES, config.shape[1:]):
            raise InputError(f"network family 'fastgan' {said}")
        count = sides.halvings(config.shape[1:])
        channels = [config.width * min(2**k, 8) for k in range(count, -1, -1)]
        smallest = (config.shape[1] >> count, config.shape[2] >> count)
        first = nn.Linear(config.input_dim, 2 * channels[0] * smallest[0] * smallest[1], bias=False)
        self.first = Gated(nn.Sequential(first, nn.Unflatten(1, (2 * channels[0], *smallest))), channels[0])
        self.stages = nn.ModuleList(Gated(Doubling(a, 2 * b), b) for a, b in itertools.pairwise(channels))
        self.excitations = nn.ModuleList(
            Excitation(channels[k], channels[k + APART], smallest, 2**k) for k in range(count + 1 - APART)
        )
        self.last = nn.Sequential(nn.Conv2d(channels[-1], config.shape[0], 3, padding=1), nn.Tanh())

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, C, H, W); a row of all inputs is brought to a mean square of 1."""
        z = self.config.concat(inputs)
        maps = [self.first(z * (z.square().mean(1, keepdim=True) + TINY).rsqrt())]
        for k, stage in enumerate(self.stages, 1):
            x = stage(maps[-1])
            maps.append(self.excitations[k - APART](maps[k - APART], x) if k >= APART else x)
        y: Sample = self.last(maps[-1])
        return y
