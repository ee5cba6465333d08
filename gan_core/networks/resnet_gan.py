"""Residual generator and critic of SN-GAN and WGAN-GP (Miyato et al. 2018, appendix B.4; Gulrajani et al. 2017).

For pictures of 8 pixels and up: at 64 and 128 they train where plain stacks of convolutions no longer do. Width is the
number of channels at full size.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from gan_core.config.bounds import NonNegativeInt
from gan_core.core import sides
from gan_core.core.inputs import beside
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score
from gan_core.networks.layers.head import Head, normalised
from gan_core.networks.layers.minibatch import MinibatchStd
from gan_core.runtime.errors import InputError

SAMPLES = ("images",)
SIDES: sides.Rule = "halved"
CAPABILITIES = {"generator": (), "discriminator": ("features", "conditions", "maps")}


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    minibatch_std: NonNegativeInt = (
        0  # samples in a group of which the discriminator sees how much they differ; 0: none
    )


def halvings(shape: tuple[int, ...]) -> int:
    """How often the picture (C, H, W) is halved: until its smaller side is 4 to 7.

    Raises:
        InputError: the samples are no images of 8 pixels and up, or a side does not halve evenly that often.
    """
    if len(shape) != 3:
        raise InputError(f"network family 'resnet_gan' draws images, these samples have shape {shape}; use 'mlp'")
    if said := sides.unfit(SIDES, shape[1:]):
        raise InputError(f"network family 'resnet_gan' {said}")
    return sides.halvings(shape[1:])


def channels(shape: tuple[int, ...], width: int) -> list[int]:
    """Channels from the full-size picture down to the smallest: width, doubling, at most 16 x width."""
    return [width * min(2**k, 16) for k in range(halvings(shape) + 1)]


class Up(nn.Module):
    """x doubled and shortcut + (BatchNorm, ReLU, up-sample, conv 3x3, BatchNorm, ReLU, conv 3x3)(x)."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(fan_in), nn.BatchNorm2d(fan_out)])
        self.first, self.second = (nn.Conv2d(n, fan_out, 3, padding=1) for n in (fan_in, fan_out))
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', 2H, 2W)."""
        h = self.first(interpolate(relu(self.norms[0](x)), scale_factor=2.0))
        y: Tensor = self.second(relu(self.norms[1](h))) + interpolate(self.shortcut(x), scale_factor=2.0)
        return y


class Down(nn.Module):
    """Shortcut + (ReLU, conv 3x3, ReLU, conv 3x3)(x), both halved. The first block of a critic sees pixels: no ReLU."""

    def __init__(self, fan_in: int, fan_out: int, first: bool) -> None:
        super().__init__()
        self.bare = first
        self.first, self.second = (nn.Conv2d(n, fan_out, 3, padding=1) for n in (fan_in, fan_out))
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H/2, W/2)."""
        h = self.second(relu(self.first(x if self.bare else relu(x))))
        y: Tensor = avg_pool2d(h, 2) + self.shortcut(avg_pool2d(x, 2))
        return y


class Generator(nn.Module):
    """Linear to the smallest picture, blocks to full size, BatchNorm, ReLU, conv 3x3, tanh."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = channels(config.shape, config.width)[::-1]
        scale = 2 ** (len(sizes) - 1)
        self.smallest = (sizes[0], config.shape[1] // scale, config.shape[2] // scale)
        self.project = nn.Linear(config.input_dim, self.smallest[0] * self.smallest[1] * self.smallest[2])
        blocks = [Up(a, b) for a, b in itertools.pairwise(sizes)]
        last = [nn.BatchNorm2d(sizes[-1]), nn.ReLU(), nn.Conv2d(sizes[-1], config.shape[0], 3, padding=1), nn.Tanh()]
        self.body = nn.Sequential(*blocks, *last)
        initialise(self)

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, C, H, W)."""
        x: Tensor = self.body(self.project(self.config.concat(inputs)).unflatten(1, self.smallest))
        return x


class Discriminator(nn.Module):
    """Blocks down to the smallest picture, ReLU, a sum over pixels, then the head.

    No batch statistics, unless ``minibatch_std`` asks for them in front of the last block. Conditions stand beside the
    sample as planes, or are projected onto the features.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = channels(config.shape, config.width)
        steps = [*itertools.pairwise([config.shape[0] + config.condition_channels, *sizes[1:]])]
        group = Options(**config.options).minibatch_std
        layers: list[nn.Module] = []
        for k, (fan_in, fan_out) in enumerate(steps):
            seen = group > 0 and k == len(steps) - 1
            layers += [MinibatchStd(group)] if seen else []
            layers += [Down(fan_in + seen, fan_out, first=k == 0)]
        body = nn.Sequential(*layers)
        head = Head(config, sizes[-1])
        for part in (body, head):
            initialise(part)
        self.body, self.head = normalised(body, config), normalised(head, config)

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """(N, C, H, W) and conditions to (N, features)."""
        h: Tensor = relu(self.body(beside(x, self.config.inputs, conditions))).sum((2, 3))
        return h

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, C, H, W) and conditions to (N,), or to (N, outputs) where more than one is asked for."""
        n = len(self.config.inputs)
        v: Score = self.head(self.features(x, *conditions[:n]), *conditions[n:])
        return v


def initialise(network: nn.Module) -> None:
    """Weights by Glorot & Bengio 2010, with a gain of sqrt 2 in front of a ReLU, as the authors' code; biases 0."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inside = name.endswith(("first", "second"))
            nn.init.xavier_uniform_(module.weight, 2**0.5 if inside else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
