"""Encoder and decoder of latent diffusion's first stage (Esser et al. 2021, table 7; Rombach et al. 2022, table 8).

Fully convolutional: once built they take pictures of any sides that are multiples of the down-sampling factor, from
twice it up. Width is the number of channels at full size; with each halving twice as many, at most 4 times. The latent
is a map, and ``latent`` its channels. Every level has as many residual blocks in the decoder as in the encoder; the
authors' decoder has one more.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from gan_core.config.bounds import PositiveInt
from gan_core.core import sides
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample
from gan_core.networks.layers.doubling import Doubling

SAMPLES = ("images",)
SIDES: sides.Rule = "any"
CAPABILITIES = {"encoder": ("codes",), "decoder": ("codes", "last_layer")}
GROUPS, FEWEST = 32, 4
"""Of a group normalisation: at most so many groups, of at least so many channels."""
EPSILON = 1e-4
"""Of a length that divides: a number of float16, too."""
BOUND = 8.0
"""Log-variances stay within it to both sides, so that their exponential stays a number."""


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    blocks: PositiveInt = 2  # residual ones at each size


def codes_of(config: NetworkConfig) -> int:
    """Vectors of the codebook, which a paper asks for; 0: the latent is continuous."""
    return int(config.options.get("codes", 0))


def levels(config: NetworkConfig, factor: int) -> list[tuple[int, int]]:
    """(channels, residual blocks) from full size down to 1/``factor``."""
    blocks = Options(**{key: value for key, value in config.options.items() if key != "codes"}).blocks
    return [(config.width * min(2**k, 4), blocks) for k in range(factor.bit_length())]


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation (Wu & He 2018): 32 groups, as the authors have it, or fewer where channels are few."""
    groups = gcd(GROUPS, channels // FEWEST) if channels % FEWEST == 0 else 1
    return nn.GroupNorm(groups, channels, eps=1e-6)


class Residual(nn.Module):
    """Shortcut + (norm, SiLU, conv 3x3, norm, SiLU, conv 3x3)(x); the shortcut is x, or a conv 1x1 of it."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        first = [norm(fan_in), nn.SiLU(), nn.Conv2d(fan_in, fan_out, 3, padding=1)]
        self.body = nn.Sequential(*first, norm(fan_out), nn.SiLU(), nn.Conv2d(fan_out, fan_out, 3, padding=1))
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1) if fan_in != fan_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        y: Tensor = self.shortcut(x) + self.body(x)
        return y


class Attention(nn.Module):
    """x + what every place gathers from all places of its picture, one head (Esser et al. 2021, table 7)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.project, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same; memory grows with (H W)^2."""
        query, key, value = self.project(self.norm(x)).flatten(2).chunk(3, 1)
        weights = ((query.mT * x.shape[1] ** -0.5) @ key).softmax(2)
        y: Tensor = x + self.out((value @ weights.mT).unflatten(2, x.shape[2:]))
        return y


def middle(channels: int) -> list[nn.Module]:
    """What stands at the lowest level."""
    return [Residual(channels, channels), Attention(channels), Residual(channels, channels)]


def ended(channels: int, out: int) -> list[nn.Module]:
    """Norm, SiLU, conv 3x3."""
    return [norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)]


class Encoder(nn.Module):
    """Convolution; at each size residual blocks, then a convolution that halves; attention at the lowest level.

    With a codebook there is no variance, and every latent has length 1.
    """

    @staticmethod
    def size_multiple(config: NetworkConfig) -> int:
        """Once built, it takes images whose sides are any multiples of this, from twice it up."""
        return config.inputs[0].dims[1] // config.shape[1]

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config, self.on_sphere = config, codes_of(config) > 0
        sizes = levels(config, self.size_multiple(config))
        layers: list[nn.Module] = [nn.Conv2d(config.inputs[0].dims[0], config.width, 3, padding=1)]
        before = config.width
        for k, (channels, blocks) in enumerate(sizes):
            layers += [nn.Conv2d(before, before, 3, stride=2, padding=1)] if k else []
            layers += [Residual(a, channels) for a in (before, *[channels] * (blocks - 1))]
            before = channels
        outputs = config.shape[0] * (1 if self.on_sphere else 2)
        self.body = nn.Sequential(*layers, *middle(before), *ended(before, outputs))

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) to mean and log-variance of q(z|x), each (N, latent, H / f, W / f)."""
        mean, log_variance = self.body(x).chunk(2, 1)
        return mean, log_variance.clamp(-BOUND, BOUND)

    def forward(self, x: Sample) -> Tensor:
        """(N, C, H, W) to the mean of q(z|x), or to latents of length 1 where there are codes: (N, latent, ...)."""
        return normalize(self.body(x), dim=1, eps=EPSILON) if self.on_sphere else self.posterior(x)[0]


class Codebook(nn.Module):
    """Vectors of length 1 (Yu et al. 2022, arXiv 2110.04627, section 3.2): the nearest has the largest product."""

    def __init__(self, codes: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(codes, channels))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (N, C, h, w) to the codes nearest to them, (N, C, h, w), and their numbers, (N, h, w)."""
        codes = normalize(self.weight, dim=1, eps=EPSILON)
        kind = z.device.type  # in bfloat16 another code would be nearest
        wide = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False) if wide else nullcontext():
            ids = (z.float().movedim(1, 3) @ codes.mT).argmax(3)
        return embedding(ids, codes).movedim(3, 1), ids


class Decoder(nn.Module):
    """The encoder the other way round: nearest neighbours and a convolution double. There is no tanh.

    With a codebook it decodes the code that is nearest to each latent (Rombach et al. 2022, section 3.1), and passes
    the gradient on to the latent as it is.
    """

    @staticmethod
    def size_multiple(_config: NetworkConfig) -> int:
        """Once built, it takes maps of latents of any sides from 2 up."""
        return 1

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        latent, high, _ = config.inputs[0].dims
        codes = codes_of(config)
        self.codebook = Codebook(codes, latent) if codes else None
        sizes = levels(config, config.shape[1] // high)[::-1]
        before = sizes[0][0]
        layers: list[nn.Module] = [nn.Conv2d(latent, before, 3, padding=1), *middle(before)]
        for k, (channels, blocks) in enumerate(sizes):
            layers += [Doubling(before, before, True)] if k else []
            layers += [Residual(a, channels) for a in (before, *[channels] * (blocks - 1))]
            before = channels
        self.body = nn.Sequential(*layers, *ended(before, config.shape[0]))

    @property
    def last_layer(self) -> Tensor:
        """The weight of the last convolution."""
        last = self.body[-1]
        assert isinstance(last, nn.Conv2d)
        return last.weight

    def nearest(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (N, latent, h, w) to the codes nearest to them, of the same shape, and their numbers, (N, h, w)."""
        assert self.codebook is not None, "it has no codebook"
        codes, ids = self.codebook(z)
        return codes, ids

    def forward(self, z: Tensor) -> Sample:
        """(N, latent, h, w) to (N, C, f h, f w)."""
        if self.codebook is not None:
            codes, _ = self.nearest(z)
            z = z + (codes - z).detach() if self.training else codes
        x: Sample = self.body(z)
        return x
