"""Residual translator and patch discriminator of CycleGAN (Zhu et al. 2017, appendix 7.2), for 8 to 256 pixels and up.

Small pictures get less of everything: below 16 pixels no down-sampling and no normalisation, as instance statistics
over a few pixels say nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gan_core.config.bounds import NonNegativeInt
from gan_core.core import sides
from gan_core.core.inputs import beside
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score
from gan_core.networks.layers.doubling import Doubling
from gan_core.runtime.errors import InputError

SAMPLES = ("images",)
SIDES: sides.Rule = "fourths"
CAPABILITIES = {"translator": ("stages",), "discriminator": ("patches", "conditions", "maps")}


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    blocks: NonNegativeInt = 0  # residual ones of the translator; 0: as many as the paper has for the size
    norm: Literal["instance", "none"] = "instance"  # none: no pixel depends on the whole picture, so tiles fit together
    upsample: Literal["resize", "transposed"] = "resize"  # transposed: as the paper has it; may leave chequers


def smaller_side(config: NetworkConfig) -> int:
    """The smaller side in pixels.

    Raises:
        InputError: the samples are no images.
    """
    if not config.is_image:
        raise InputError(f"network family 'resnet' draws images, these samples have shape {config.shape}; use 'mlp'")
    return min(config.shape[1:])


KERNEL = "cpu"
"""The kind of device whose own reflection padding has a deterministic gradient."""


class Reflect(nn.Module):
    """Reflection padding as a choice of rows and columns, whose gradient is a deterministic sum on every device.

    Training on a CPU takes torch's own, which is deterministic there and three times as fast.
    """

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H + 2p, W + 2p)."""
        if self.training and x.device.type == KERNEL:
            return nn.functional.pad(x, (self.padding,) * 4, mode="reflect")
        for dim in (2, 3):
            size = x.shape[dim]
            last = size - 1
            where = last - (last - torch.arange(-self.padding, size + self.padding, device=x.device).abs()).abs()
            x = x.index_select(dim, where)
        return x


def convolution(fan_in: int, fan_out: int, size: int, normed: bool, stride: int = 1) -> list[nn.Module]:
    """(reflect) conv, instance norm, ReLU."""
    pad: list[nn.Module] = [Reflect(size // 2)] if stride == 1 else []
    layers = [*pad, nn.Conv2d(fan_in, fan_out, size, stride, padding=0 if pad else size // 2)]
    return [*layers, *norm(fan_out, normed), nn.ReLU()]


def norm(channels: int, normed: bool) -> list[nn.Module]:
    """Instance normalisation (Ulyanov et al. 2016), without weights and without running statistics, or nothing."""
    return [nn.InstanceNorm2d(channels)] if normed else []


class Block(nn.Module):
    """x + (reflect, conv 3x3, norm, ReLU, reflect, conv 3x3, norm)(x)."""

    def __init__(self, channels: int, normed: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(channels, channels, 3, normed),
            *convolution(channels, channels, 3, normed)[:-1],
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        y: Tensor = x + self.body(x)
        return y


class Translator(nn.Module):
    """Convolution, down-samplings, residual blocks, up-samplings, convolution, tanh.

    6 blocks and 2 down-samplings from 64 pixels, 9 from 256 (the paper's sizes); 3 and 1 from 16; 2 and none below.
    """

    @staticmethod
    def size_multiple(_config: NetworkConfig) -> int:
        """Once built, it translates images whose sides are any multiples of this, from twice it up."""
        return 4

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        side, width = smaller_side(config), config.width
        if said := sides.unfit(SIDES, config.shape[1:]):
            raise InputError(f"network family 'resnet' {said}")
        downs, blocks = (2, 9) if side >= 256 else (2, 6) if side >= 64 else (1, 3) if side >= 16 else (0, 2)
        options = Options(**config.options)
        blocks = options.blocks or blocks
        normed, outer = side >= 16 and options.norm == "instance", 7 if side >= 16 else 3
        sizes = [width * 2**k for k in range(downs + 1)]
        layers = convolution(config.inputs[0].dims[0], width, outer, normed)
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += convolution(fan_in, fan_out, 3, normed, stride=2)
        layers += [Block(sizes[-1], normed) for _ in range(blocks)]
        for fan_in, fan_out in itertools.pairwise(sizes[::-1]):
            transposed = options.upsample == "transposed"
            up = nn.ConvTranspose2d(fan_in, fan_out, 3, 2, padding=1, output_padding=1) if transposed else None
            layers += [up or Doubling(fan_in, fan_out, not normed)]
            layers += [*norm(fan_out, normed), nn.ReLU()]
        last = nn.Conv2d(width, config.shape[0], outer)
        self.body = nn.Sequential(*layers, Reflect(outer // 2), last, nn.Tanh())
        if normed:
            initialise(self)
        else:
            start_grey(last)

    def forward(self, x: Sample) -> Sample:
        """(N, C, H, W) of one domain to the same shape of the other."""
        y: Sample = self.body(x)
        return y

    def stages(self, x: Sample) -> list[Tensor]:
        """(N, C, H, W) to maps of the first half: the picture, each down-sampling, the first and the middle block.

        CUT, Park et al. 2020, appendix C.2: of nine blocks the fifth.
        """
        blocks = [k for k, layer in enumerate(self.body) if isinstance(layer, Block)]
        halving = [k for k, layer in enumerate(self.body) if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)]
        wanted = {*halving, blocks[0], blocks[len(blocks) // 2]}
        h, found = x, [x]
        for k in range(max(wanted) + 1):
            h = self.body[k](h)
            if k in wanted:
                found.append(h)
        return found


class Discriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): each score sees a patch of at most half the picture, 70 x 70 from 140 pixels on.

    Below 32 pixels a patch is 10 x 10.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        side, width, planes = smaller_side(config), config.width, config.shape[0] + config.condition_channels
        if side < sides.SMALLEST:
            raise InputError(
                f"network family 'resnet' sees pictures of {sides.SMALLEST} pixels and more, not of {side}"
            )
        if side < 32:
            layers: list[nn.Module] = [nn.Conv2d(planes, width, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(width, 2 * width, 4, 2, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(2 * width, 1, 3, padding=1)]
        else:
            halves = 3 if side >= 140 else 2 if side >= 68 else 1
            sizes = [width * 2**k for k in range(halves + 1)]
            layers = [nn.Conv2d(planes, width, 4, 2, padding=1), nn.LeakyReLU(0.2)]
            for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
                layers += [nn.Conv2d(fan_in, fan_out, 4, 2 if k < halves - 1 else 1, padding=1)]
                layers += [nn.InstanceNorm2d(fan_out), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(sizes[-1], 1, 4, padding=1)]
        self.body = nn.Sequential(*layers)
        if side >= 32:
            initialise(self)

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, C, H, W), and conditions beside it as planes, to (N, patches)."""
        v: Score = self.body(beside(x, self.config.inputs, conditions)).flatten(1)
        return v

    def stages(self, x: Sample, *conditions: Tensor) -> list[Tensor]:
        """The same input to the maps (N, C, H', W') behind every activation, and last the scores (N, 1, H', W')."""
        h, found = beside(x, self.config.inputs, conditions), []
        for layer in self.body:
            h = layer(h)
            if isinstance(layer, nn.LeakyReLU):
                found.append(h)
        return [*found, h]


def start_grey(last: nn.Conv2d) -> None:
    """The last weights a tenth of what they were, biases 0.

    Without norms colours run into the ends of the tanh within a hundred steps, and the wrong end holds them. From grey
    the game has a say in which end that is; from where weights drawn at random happen to point, it may not.
    """
    with torch.no_grad():
        last.weight.mul_(0.1)
        assert last.bias is not None
        last.bias.zero_()


def initialise(network: nn.Module) -> None:
    """Weights N(0, 0.02), biases 0, as the authors' code, for networks whose normalisation rescales them."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
