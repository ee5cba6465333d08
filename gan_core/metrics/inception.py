"""FID as papers give it: in the 2,048 features of Inception v3, with the weights file that the user brings.

The network is that of Szegedy et al. 2016 with the pooling of the FID authors' TensorFlow graph, its layers named as in
the port of its weights, ``pt_inception-2015-12-05-6726825d.pth``. Nothing stands in for that file where it is absent.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, relu

from gan_core.core.samples import Samples, opaque
from gan_core.metrics.batching import in_batches
from gan_core.metrics.distances import Features, frechet
from gan_core.runtime import files
from gan_core.runtime.errors import DataError

SIDE, ROWS = 299, 32
Kernel = tuple[int, int]
Layer = tuple[int, Kernel, int]
"""Channels out, kernel, stride; padded to keep the size where the stride is 1."""
Pool = Literal["average", "largest", "reduce"]


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, fan_in: int, fan_out: int, kernel: Kernel, stride: int, pad: bool) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(fan_in, fan_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(fan_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        return relu(self.bn(self.conv(x)))


def square(channels: int, side: int = 1, stride: int = 1) -> Layer:
    """A layer with a square kernel."""
    return channels, (side, side), stride


def long(channels: int, *kernels: Kernel) -> list[Layer]:
    """Layers of as many channels with kernels of one row or one column."""
    return [(channels, kernel, 1) for kernel in kernels]


class Block(nn.Module):
    """Branches side by side, and a pooled one. A branch is a chain of layers; a forked one ends in two abreast."""

    def __init__(self, fan_in: int, pool: Pool, pooled: int, forked: bool = False, **branches: list[Layer]) -> None:
        super().__init__()
        self.pool = pool
        self.chains: list[list[list[str]]] = []
        for branch, layers in branches.items():
            forks = forked and len(layers) > 1
            numbers = [str(k) for k in range(1, len(layers) + 1)]
            if forks:
                numbers[-2:] = [f"{numbers[-2]}a", f"{numbers[-2]}b"]
            names = [f"{branch}_{n}" for n in numbers] if len(layers) > 1 else [branch]
            inputs = [fan_in, *(channels for channels, _, _ in layers)]
            for name, before, (channels, kernel, stride) in zip(names, inputs, layers, strict=False):
                self.add_module(name, Convolution(before, channels, kernel, stride, pad=stride == 1))
            self.chains.append([[n] for n in names[:-2]] + [names[-2:]] if forks else [[n] for n in names])
        if pooled:
            self.branch_pool = Convolution(fan_in, pooled, (1, 1), 1, pad=True)

    def forward(self, x: Tensor) -> Tensor:
        """All branches, one after the other along the channels."""
        found = []
        for chain in self.chains:
            h = x
            for parts in chain:
                h = torch.cat([self.get_submodule(part)(h) for part in parts], 1)
            found.append(h)
        if self.pool == "reduce":
            return torch.cat([*found, max_pool2d(x, 3, 2)], 1)
        flat = max_pool2d(x, 3, 1, 1) if self.pool == "largest" else avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return torch.cat([*found, self.branch_pool(flat)], 1)


def wide(fan_in: int, pooled: int) -> Block:
    """Grid of 35 x 35."""
    five, three = [square(48), square(64, 5)], [square(64), square(96, 3), square(96, 3)]
    return Block(fan_in, "average", pooled, branch1x1=[square(64)], branch5x5=five, branch3x3dbl=three)


def middle(c: int) -> Block:
    """Grid of 17 x 17."""
    row, column = (1, 7), (7, 1)
    seven = [square(c), *long(c, row), *long(192, column)]
    double = [square(c), *long(c, column, row, column), *long(192, row)]
    return Block(768, "average", 192, branch1x1=[square(192)], branch7x7=seven, branch7x7dbl=double)


def deep(fan_in: int, pool: Pool) -> Block:
    """Grid of 8 x 8; two branches end in a row and a column side by side."""
    ends = long(384, (1, 3), (3, 1))
    three, double = [square(384), *ends], [square(448), square(384, 3), *ends]
    return Block(fan_in, pool, 192, forked=True, branch1x1=[square(320)], branch3x3=three, branch3x3dbl=double)


class Network(nn.Module):
    """From images (N, 3, 299, 299) in [-1, 1] to features (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2, pad=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), 1, pad=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3), 1, pad=True)
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1), 1, pad=True)
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), 1, pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = wide(192, 32), wide(256, 64), wide(288, 64)
        double = [square(64), square(96, 3), square(96, 3, 2)]
        self.Mixed_6a = Block(288, "reduce", 0, branch3x3=[square(384, 3, 2)], branch3x3dbl=double)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(middle, (128, 160, 160, 192))
        seven = [square(192), *long(192, (1, 7), (7, 1)), square(192, 3, 2)]
        three = [square(192), square(320, 3, 2)]
        self.Mixed_7a = Block(768, "reduce", 0, branch3x3=three, branch7x7x3=seven)
        self.Mixed_7b, self.Mixed_7c = deep(1280, "average"), deep(2048, "largest")

    def forward(self, x: Tensor) -> Tensor:
        """Features: the last grid, averaged."""
        for name, layer in self.named_children():
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = max_pool2d(x, 3, 2)
        return x.mean((2, 3))


@dataclass(frozen=True)
class Inception:
    """The network with the user's weights."""

    network: nn.Module
    sha256: str

    @staticmethod
    def read(path: Path) -> Inception:
        """From the file of weights.

        Raises:
            DataError: it is absent, or not that network's.
        """
        hint = "evaluate.inception names the file pt_inception-2015-12-05-6726825d.pth, which FID of papers needs"
        if not path.is_file():
            raise DataError(f"{path} does not exist; {hint}; without it set evaluate.inception to null")
        network = Network()
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            network.load_state_dict({k: v for k, v in weights.items() if not k.startswith(("fc.", "AuxLogits."))})
        except (RuntimeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{path} does not hold the weights of Inception v3 ({why}); {hint}") from None
        return Inception(network.eval().requires_grad_(False), files.file_digest(path))

    @property
    def facts(self) -> dict[str, Any]:
        """What belongs beside a figure."""
        how = "bilinear to 299, corners not aligned, no antialiasing; grey repeated to three channels"
        return {"sha256": self.sha256, "resize": how}

    def to(self, device: str) -> Inception:
        """On another device."""
        return Inception(self.network.to(device), self.sha256)

    def few(self, images: Tensor) -> Tensor:
        """(N, 1, 3 or 4, H, W) in [-1, 1] to (N, 2048)."""
        images = opaque(images)
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        out: Tensor = self.network(interpolate(colour, (SIDE, SIDE), mode="bilinear", align_corners=False))
        return out

    def features(self, x: Samples) -> Features:
        """The same of many, (N, 2048) float64."""
        found: Features = in_batches(self.few, x, rows=ROWS).double().numpy()
        return found

    def fid(self, real: Samples, fake: Samples) -> float:
        """FID in these features."""
        return frechet(self.features(real), self.features(fake))
