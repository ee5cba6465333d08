"""What a discriminator is shown in place of single samples: packs of them, or differentiable augmentations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_core.core.types import Sample
from gan_core.runtime.errors import InputError


def packed(x: Sample, m: int) -> Sample:
    """Samples m by m, side by side, as channels or coordinates: (N, C, ...) to (N / m, m C, ...). Lin et al. 2018.

    Raises:
        InputError: m does not divide N.
    """
    if m == 1:
        return x
    if len(x) % m:
        raise InputError(f"settings.pack {m} does not divide train.batch_size {len(x)}; change one of them")
    return x.reshape(len(x) // m, m * x.shape[1], *x.shape[2:])


def augmented(x: Sample, policy: Sequence[str]) -> Sample:
    """Random changes of images, differentiable, drawn for each. DiffAugment, Zhao et al. 2020, section 4.1.

    Raises:
        InputError: the samples are no images.
    """
    if policy and x.dim() != 4:
        raise InputError("settings.augment changes images, and this data set holds points; leave it empty")
    for name in policy:
        x = POLICIES[name](x)
    return x


def color(x: Sample) -> Sample:
    """Brightness by +-0.5 of the range of 1, saturation times 0 to 2, contrast times 0.5 to 1.5. Alpha stays."""
    if x.shape[1] == 4:
        return torch.cat([color(x[:, :3]), x[:, 3:]], 1)
    n = len(x)
    x = x + uniform(n, x) - 0.5
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(n, x) * 2
    middle = x.mean((1, 2, 3), keepdim=True)
    return middle + (x - middle) * (uniform(n, x) + 0.5)


def translation(x: Sample) -> Sample:
    """Shifted by up to an eighth of each side, grey coming in."""
    n, _, height, width = x.shape
    rows, inside_rows = shifted(n, height, x)
    columns, inside_columns = shifted(n, width, x)
    each = torch.arange(n, device=x.device)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    return torch.where(inside, moved, 0.0)


def shifted(n: int, side: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """For each of n: where each line comes from, and whether that is inside."""
    reach = round(side / 8)
    by = torch.randint(-reach, reach + 1, (n, 1), device=x.device)
    source = torch.arange(side, device=x.device) + by
    return source.clamp(0, side - 1), (source >= 0) & (source < side)


def cutout(x: Sample) -> Sample:
    """A rectangle of half of each side, its centre anywhere, becomes grey."""
    n, _, height, width = x.shape
    rows, columns = (window(n, side, x) for side in (height, width))
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


def window(n: int, side: int, x: Tensor) -> Tensor:
    """For each of n: which lines lie in a window of half the side; its centre reaches both edges alike."""
    size = (side + 1) // 2
    first = torch.randint(0, side + 1 - size % 2, (n, 1), device=x.device) - size // 2
    line = torch.arange(side, device=x.device)
    return (line >= first) & (line < first + size)


def uniform(n: int, x: Tensor) -> Tensor:
    """One number of [0, 1] for each image."""
    return torch.rand(n, 1, 1, 1, device=x.device)


POLICIES = {"color": color, "translation": translation, "cutout": cutout}
