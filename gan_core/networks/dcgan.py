"""Convolutional networks in the manner of DCGAN (Radford et al. 2016), for sides of 8 to 64 and up.

Up-sampling is nearest neighbour and a 3x3 convolution instead of a transposed one, which leaves no checkerboard
(Odena et al. 2016). Any image works whose sides halve evenly down to a smallest side of 4 to 7.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor, nn

from gan_core.config.bounds import NonNegativeInt
from gan_core.core import sides
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample
from gan_core.networks.layers import head
from gan_core.networks.layers.doubling import Doubling
from gan_core.networks.layers.minibatch import MinibatchStd
from gan_core.runtime.errors import InputError

SAMPLES = ("images",)
SIDES: sides.Rule = "halved"
CAPABILITIES = {
    "generator": (),
    "discriminator": ("features", "conditions", "maps"),
    "encoder": (),
    "recogniser": (),
}


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    minibatch_std: NonNegativeInt = (
        0  # samples in a group of which the discriminator sees how much they differ; 0: none
    )


def halvings(shape: tuple[int, ...]) -> int:
    """How often the picture (C, H, W) is halved: until its smaller side is 4 to 7.

    Raises:
        InputError: the samples are no images, or a side does not halve evenly that often.
    """
    if len(shape) != 3:
        raise InputError(f"network family 'dcgan' draws images, these samples have shape {shape}; use 'mlp'")
    if said := sides.unfit(SIDES, shape[1:]):
        raise InputError(f"network family 'dcgan' {said}")
    return sides.halvings(shape[1:])


def channels(shape: tuple[int, ...], width: int) -> list[int]:
    """Channels from the full-size picture down to the smallest: width, doubling, at most 8 x width."""
    return [width * min(2**k, 8) for k in range(halvings(shape) + 1)]


class Generator(nn.Module):
    """Linear to the smallest picture, then (up-sample, conv 3x3, BatchNorm, ReLU) to full size, conv 3x3, tanh."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = channels(config.shape, config.width)[::-1]
        scale = 2 ** (len(sizes) - 1)
        self.smallest = (sizes[0], config.shape[1] // scale, config.shape[2] // scale)
        self.project = nn.Linear(config.input_dim, self.smallest[0] * self.smallest[1] * self.smallest[2])
        layers: list[nn.Module] = [nn.BatchNorm2d(sizes[0]), nn.ReLU()]
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [Doubling(fan_in, fan_out), nn.BatchNorm2d(fan_out), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(sizes[-1], config.shape[0], 3, padding=1), nn.Tanh())

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, C, H, W)."""
        x: Tensor = self.body(self.project(self.config.concat(inputs)).unflatten(1, self.smallest))
        return x


def trunk(planes: int, shape: tuple[int, ...], width: int, group: int = 0) -> nn.Sequential:
    """(conv 4x4 stride 2, LeakyReLU 0.2) from ``planes`` channels down to half the smallest picture, flat.

    In front of the last convolution, how much samples of a ``group`` differ, where there is one.
    """
    layers: list[nn.Module] = []
    sizes = [planes, *channels(shape, width)]
    for k, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        seen = group > 0 and k == len(sizes) - 2
        layers += [MinibatchStd(group)] if seen else []
        layers += [nn.Conv2d(fan_in + seen, fan_out, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten())


def features(shape: tuple[int, ...], width: int) -> int:
    """How many numbers the trunk ends in."""
    sizes = channels(shape, width)
    return sizes[-1] * (shape[1] >> len(sizes)) * (shape[2] >> len(sizes))


class Discriminator(head.Discriminator):
    """On the trunk; conditions stand beside the picture as planes."""

    def __init__(self, config: NetworkConfig) -> None:
        group = Options(**config.options).minibatch_std
        body = trunk(config.shape[0] + config.condition_channels, config.shape, config.width, group)
        super().__init__(config, body, features(config.shape, config.width))


class Recogniser(head.Recogniser):
    """On the discriminator's features."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, features(config.shape, config.width))


class Encoder(head.Encoder):
    """On the trunk."""

    def __init__(self, config: NetworkConfig) -> None:
        (x,) = config.inputs
        super().__init__(config, trunk(x.dims[0], x.dims, config.width), features(x.dims, config.width))
