"""U-Net translator of pix2pix (Isola et al. 2017, appendix 6.1.1): what is fine goes round what is coarse.

From 8 pixels up. Width is the number of channels at half the size; with each halving twice as many, at most 8 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gan_core.core import sides
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample
from gan_core.networks.layers.doubling import Doubling
from gan_core.networks.resnet import initialise, norm
from gan_core.runtime.errors import InputError

SAMPLES = ("images",)
SIDES: sides.Rule = "halved"
CAPABILITIES = {"translator": ()}
DEEPEST = 8


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    norm: Literal["instance", "none"] = "instance"  # none: no pixel depends on the whole picture, so tiles fit together
    upsample: Literal["resize", "transposed"] = "resize"  # transposed: as the paper has it; may leave chequers


def halvings(shape: tuple[int, ...]) -> int:
    """How often the picture (C, H, W) is halved: as long as both sides are even and 2 pixels are left, at most 8 times.

    Raises:
        InputError: the samples are no images of 8 pixels and up, or a side does not halve evenly down to 4 to 7.
    """
    if len(shape) != 3:
        raise InputError(f"network family 'unet' translates images, these samples have shape {shape}")
    if said := sides.unfit(SIDES, shape[1:]):
        raise InputError(f"network family 'unet' {said}")
    high, wide = shape[1:]
    return min(
        DEEPEST, (min(high, wide)).bit_length() - 2, (high & -high).bit_length() - 1, (wide & -wide).bit_length() - 1
    )


class Level(nn.Module):
    """x beside what is made of x at half the size: (LeakyReLU 0.2, conv 4x4 stride 2, norm, inner, ReLU, up, norm)(x).

    The outermost has no first activation and no norms, and gives what comes up without x beside it; the innermost has
    no norm of its own map, whose statistics would be of few pixels.
    """

    def __init__(self, down: tuple[int, int], out: int, inner: Level | None, options: Options, outermost: bool) -> None:
        super().__init__()
        normed = options.norm == "instance" and not outermost
        layers: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(*down, 4, stride=2, padding=1), *norm(down[1], normed and inner is not None)]
        layers += [inner] if inner else []
        fan_in = 2 * down[1] if inner else down[1]
        up = (
            Doubling(fan_in, out, True)
            if options.upsample == "resize"
            else nn.ConvTranspose2d(fan_in, out, 4, 2, padding=1)
        )
        self.body = nn.Sequential(*layers, nn.ReLU(), up, *norm(out, normed))
        self.outermost = outermost

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C + out, H, W), or of the outermost to (N, out, H, W)."""
        y: Tensor = self.body(x)
        return y if self.outermost else torch.cat([x, y], 1)


class Translator(nn.Module):
    """Levels inside each other, down to 2 to 7 pixels, then tanh.

    The paper's goes down to one pixel, so that it takes no size but that of training, and draws noise by dropout at
    inference, which its authors find ignored (section 3.1): neither is done here.
    """

    @staticmethod
    def size_multiple(config: NetworkConfig) -> int:
        """Once built, it translates images whose sides are any multiples of this, from twice it up."""
        return int(2 ** halvings(config.shape))

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        depth, options = halvings(config.shape), Options(**config.options)
        planes = [config.inputs[0].dims[0], *(config.width * 2 ** min(k, 3) for k in range(depth))]
        level: Level | None = None
        for k in range(depth - 1, -1, -1):
            out = planes[k] if k else config.shape[0]
            level = Level((planes[k], planes[k + 1]), out, level, options, outermost=k == 0)
        assert level is not None
        self.body = nn.Sequential(level, nn.Tanh())
        if options.norm == "instance":
            initialise(self)

    def forward(self, x: Sample) -> Sample:
        """(N, C, H, W) of one domain to the same shape of the other."""
        y: Sample = self.body(x)
        return y
