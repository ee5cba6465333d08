"""The networks of R3GAN (Huang et al. 2024, section 4.2 and appendix): residual, without normalisation.

For pictures of 8 pixels and up. Generator and discriminator mirror each other: a stage is a change of resolution and a
few residual blocks of grouped convolutions. Weights have the variance that fix-up initialisation (Zhang et al. 2019)
gives them, and the last layer of every block begins at zero. ``width`` is the number of channels up to the stage whose
smaller side is 32 to 63 pixels, and is halved with every doubling after it, as in the authors' networks for 64 and 256
pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.autocast_mode import is_autocast_available
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu

from gan_core.config.bounds import NonNegativeInt, PositiveInt
from gan_core.core import sides
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score
from gan_core.networks.layers import head
from gan_core.runtime.errors import InputError

SAMPLES = ("images",)
SIDES: sides.Rule = "halved"
CAPABILITIES = {"generator": (), "discriminator": ("features", "conditions"), "recogniser": ()}

SLOPE = 0.2
GAIN = (2 / (1 + SLOPE**2)) ** 0.5
"""What a leaky ReLU takes from the root of the mean square of a symmetric input."""
EXPANSION = 2
GROUP = 16
"""Channels of a group of the 3x3 convolutions, where the number of channels allows."""
WIDE = 3
"""Stages after the smallest that have its width."""


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    blocks: PositiveInt | tuple[PositiveInt, ...] = 2  # a stage, or of each stage from the smallest picture up
    channels: tuple[PositiveInt, ...] = ()  # of each stage from the smallest picture up, in place of `width`
    embedding: NonNegativeInt = 0  # numbers of a class beside the latent; 0: as many as the latent has


@dataclass(frozen=True)
class Stage:
    """The blocks of one resolution."""

    channels: int
    blocks: int


def stages(config: NetworkConfig, shape: tuple[int, ...]) -> list[Stage]:
    """The stages of a network for images (C, H, W), from the smallest picture up.

    Raises:
        InputError: the samples are no images, a side does not halve evenly, or a list of the options has another
            length than there are stages.
    """
    if len(shape) != 3:
        raise InputError(f"network family 'r3gan' draws images, these samples have shape {shape}; use 'mlp'")
    if said := sides.unfit(SIDES, shape[1:]):
        raise InputError(f"network family 'r3gan' {said}")
    count = sides.halvings(shape[1:]) + 1
    options = Options(**config.options)
    channels = options.channels or [max(1, config.width >> max(0, k - WIDE)) for k in range(count)]
    blocks = [options.blocks] * count if isinstance(options.blocks, int) else options.blocks
    for name, given in (("channels", channels), ("blocks", blocks)):
        if len(given) != count:
            raise InputError(
                f"network.{name} has {len(given)} numbers, and {shape[1]}x{shape[2]} pixels have {count} stages; "
                "give as many, from the smallest picture up"
            )
    return [Stage(*pair) for pair in zip(channels, blocks, strict=True)]


def smallest(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the smallest picture; the smaller is 4 to 7."""
    scale = 2 ** sides.halvings(shape[1:])
    return shape[1] // scale, shape[2] // scale


class Activation(nn.Module):
    """Leaky ReLU of the input and a bias of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1), negative_slope=SLOPE)


class Block(nn.Module):
    """X + conv 1x1 (act (conv 3x3, grouped (act (conv 1x1 (x))))), twice as wide inside; convolutions without bias."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        wide = channels * EXPANSION
        self.expand = nn.Conv2d(channels, wide, 1, bias=False)
        self.act_1 = Activation(wide)
        self.filter = nn.Conv2d(wide, wide, 3, padding=1, groups=gcd(wide, max(1, wide // GROUP)), bias=False)
        self.act_2 = Activation(wide)
        self.project = nn.Conv2d(wide, channels, 1, bias=False)
        scale_weights(self.expand, GAIN * depth**-0.25)  # three layers a block: depth^(-1 / (2 * 3 - 2))
        scale_weights(self.filter, GAIN * depth**-0.25)
        nn.init.zeros_(self.project.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        y: Tensor = x + self.project(self.act_2(self.filter(self.act_1(self.expand(x)))))
        return y


class Resample(nn.Module):
    """Half or twice the height and width, low-pass filtered, and where the channels change a convolution 1x1.

    The filter is [1, 3, 3, 1] / 8 along both sides, [1, 2, 1] after the pixels were doubled or averaged in pairs.
    """

    kernel: Tensor

    def __init__(self, fan_in: int, fan_out: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.convert = nn.Conv2d(fan_in, fan_out, 1, bias=False) if fan_in != fan_out else None
        if self.convert is not None:
            scale_weights(self.convert, 1)
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(line, line)[None, None] * (4 if up else 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', 2H, 2W) or (N, C', H/2, W/2); the convolution is at the lower resolution."""
        if self.up and self.convert is not None:
            x = self.convert(x)
        x = resampled(x, self.kernel, self.up)
        if not self.up and self.convert is not None:
            x = self.convert(x)
        return x


def resampled(x: Tensor, kernel: Tensor, up: bool) -> Tensor:
    """Twice the height and width, or half, by a kernel (1, 1, 4, 4) that is the same for every channel."""
    if torch.is_grad_enabled() and x.requires_grad:
        y: Tensor = Resampled.apply(x, kernel, up)  # type: ignore[no-untyped-call]
        return y
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if rounds(kind) else x.dtype
    # oneDNN takes ten times as long for a transposed convolution of each channel in bfloat16
    wide = torch.float32 if up and kind == "cpu" and dtype == torch.bfloat16 else dtype
    kernel = kernel.to(wide).expand(x.shape[1], 1, 4, 4)
    with float32_inside(x) if wide != dtype else nullcontext():
        y = (conv_transpose2d if up else conv2d)(x.to(wide), kernel, stride=2, padding=1, groups=x.shape[1])
    return y.to(dtype)


class Resampled(torch.autograd.Function):
    """``resampled``, whose gradient is the other direction's: both are cheap, and so is the gradient of a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, up: bool) -> Tensor:
        ctx.kernel, ctx.up = kernel, up
        return resampled(x, kernel, up)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return resampled(gradient, ctx.kernel, not ctx.up), None, None


class Basis(nn.Module):
    """The smallest picture: a learned map of each channel, times a linear map of the inputs (no bias)."""

    def __init__(self, fan_in: int, channels: int, high: int, wide: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, high, wide))
        self.scale = nn.Linear(fan_in, channels, bias=False)
        scale_weights(self.scale, 1)

    def forward(self, z: Tensor) -> Tensor:
        """(N, inputs) to (N, C, high, wide)."""
        x: Tensor = self.maps * self.scale(z)[:, :, None, None]
        return x


class ClassEmbedding(nn.Linear):
    """A vector for each value of a whole-numbered input, as a linear map of its one-hot row."""

    def __init__(self, described: Input, size: int, gain: float = 1) -> None:
        super().__init__(described.size, size, bias=False)
        self.described = described
        scale_weights(self, gain)

    def forward(self, y: Tensor) -> Tensor:
        """(N,) to (N, size)."""
        return super().forward(self.described.one_hot(y).to(self.weight.dtype))


def scale_weights(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Weights of N(0, (gain / sqrt fan-in)^2)."""
    nn.init.normal_(layer.weight, 0, gain / prod(layer.weight.shape[1:]) ** 0.5)


def rounds(kind: str) -> bool:
    """Whether what a device of this kind computes now is rounded to the type of ``torch.autocast``."""
    return is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def float32_inside(x: Tensor) -> AbstractContextManager[object]:
    """What is computed in float32, whatever the precision of the rest: the smallest picture, for one."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if rounds(kind) else nullcontext()


class Generator(nn.Module):
    """The basis, blocks of each resolution, and a convolution 1x1 to the picture; no tanh, so not within [-1, 1]."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        plan = stages(config, config.shape)
        whole = [i for i in config.inputs if i.is_integer]
        rest = config.input_dim - sum(i.size for i in whole)
        size = Options(**config.options).embedding or rest or config.width
        self.embeddings = nn.ModuleDict({i.name: ClassEmbedding(i, size) for i in whole})
        self.basis = Basis(rest + size * len(whole), plan[0].channels, *smallest(config.shape))
        depth = sum(stage.blocks for stage in plan)
        self.stages = nn.ModuleList()
        before: Sequence[nn.Module] = ()
        fan_in = plan[0].channels
        for k, stage in enumerate(plan):
            before = [Resample(fan_in, stage.channels, up=True)] if k else []
            self.stages.append(nn.Sequential(*before, *(Block(stage.channels, depth) for _ in range(stage.blocks))))
            fan_in = stage.channels
        self.last = nn.Conv2d(fan_in, config.shape[0], 1, bias=False)
        scale_weights(self.last, 1)

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, C, H, W)."""
        pairs = list(zip(self.config.inputs, inputs, strict=True))
        rows = [self.embeddings[i.name](v) if i.is_integer else v.flatten(1) for i, v in pairs]
        with float32_inside(rows[0]):
            x = self.stages[0](self.basis(torch.cat(rows, 1)))
        for stage in list(self.stages)[1:]:
            x = stage(x)
        y: Sample = self.last(x)
        return y


class Trunk(nn.Module):
    """The picture and its planes by a convolution 1x1, then blocks of each resolution and one map a channel."""

    def __init__(self, planes: int, plan: Sequence[Stage], high: int, wide: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(planes, plan[-1].channels, 1, bias=False)
        scale_weights(self.first, 1)
        depth = sum(stage.blocks for stage in plan)
        self.stages = nn.ModuleList()
        for k in range(len(plan) - 1, -1, -1):
            stage = plan[k]
            after = [Resample(stage.channels, plan[k - 1].channels, up=False)] if k else []
            self.stages.append(nn.Sequential(*(Block(stage.channels, depth) for _ in range(stage.blocks)), *after))
        channels = plan[0].channels
        self.basis = nn.Conv2d(channels, channels, (high, wide), groups=channels, bias=False)
        scale_weights(self.basis, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, planes, H, W) to (N, features)."""
        x = self.first(x)
        for stage in list(self.stages)[:-1]:
            x = stage(x)
        with float32_inside(x):
            h: Tensor = self.basis(self.stages[-1](x.float() if x.dtype == torch.bfloat16 else x)).flatten(1)
        return h


class Projection(nn.Module):
    """A linear map of the features; with projected conditions, its inner product with their embeddings."""

    def __init__(self, config: NetworkConfig, features: int) -> None:
        super().__init__()
        self.config = config
        self.score = nn.Linear(features, features if config.projected else config.outputs, bias=False)
        scale_weights(self.score, 1)
        size = features**-0.5
        self.embeddings = nn.ModuleList(ClassEmbedding(i, features, size) for i in config.projected)

    def forward(self, h: Tensor, *conditions: Tensor) -> Score:
        """(N, features) and conditions to (N,), or to (N, outputs) where more than one is asked for."""
        v: Tensor = self.score(h)
        if self.embeddings:
            embedded = [embed(y) for embed, y in zip(self.embeddings, conditions, strict=True)]
            v = (v * torch.stack(embedded).sum(0)).sum(1, keepdim=True)
        return v.squeeze(1)


class Discriminator(head.Discriminator):
    """The trunk, then a linear map. Conditions are planes beside the picture, or projected."""

    def __init__(self, config: NetworkConfig) -> None:
        plan = stages(config, config.shape)
        trunk = Trunk(config.shape[0] + config.condition_channels, plan, *smallest(config.shape))
        super().__init__(config, trunk, plan[0].channels)

    def head_on(self, features: int) -> nn.Module:
        """A linear map without bias."""
        return Projection(self.config, features)


class Recogniser(head.Recogniser):
    """On the discriminator's features."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, stages(config, config.shape)[0].channels)
