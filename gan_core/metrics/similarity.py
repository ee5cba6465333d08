"""How alike images are: the multi-scale structural similarity of pairs, as a measure of diversity."""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from gan_core.core.samples import Sample, Samples, opaque
from gan_core.metrics.batching import in_batches

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, finest first: Wang et al. 2003, section 3.2."""
C1, C2 = 0.01**2, 0.03**2
PAIRS = 64
"""At most so many pairs are compared at a time."""
SMALLEST = 6
"""Side in pixels from which images have a window of three."""
LARGEST, SIGMA = 11, 1.5
"""Side and width of the window, for images that it fits into."""


def window(side: int) -> Tensor:
    """A line (side,) of a Gaussian window that sums to 1, of the same shape at every size; the window is its square."""
    at = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    line = torch.exp(-(at**2) / (2 * (SIGMA * side / LARGEST) ** 2))
    return line / line.sum()


def scales(side: int) -> tuple[int, int]:
    """(window, scales) for images of this side: a window of at most half of it, and as many scales as it fits into."""
    size = min(LARGEST, side // 2 - 1 + side // 2 % 2)
    return size, min(len(WEIGHTS), 1 + int(log2(side / size)))


def terms(a: Tensor, b: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    """(similarity, contrast and structure) of images in [0, 1], each a mean over places and channels, (N,)."""

    def blur(x: Tensor) -> Tensor:
        flat = conv2d(conv2d(x.flatten(0, 1)[:, None], line[None, None, None]), line[None, None, :, None])
        return flat.reshape(*x.shape[:2], *flat.shape[2:])

    ma, mb = blur(a), blur(b)
    va, vb, vab = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    structure = (2 * vab + C2) / (va + vb + C2)
    luminance = (2 * ma * mb + C1) / (ma**2 + mb**2 + C1)
    return (luminance * structure).flatten(1).mean(1), structure.flatten(1).mean(1)


def ms_ssim(a: Sample, b: Sample) -> Tensor:
    """MS-SSIM of pairs of images in [-1, 1], (N,); 1 for equal ones. Wang et al. 2003, eq. 7.

    Small images have fewer scales and a smaller window than the paper's five and eleven; negative terms count as zero.
    Images with alpha lie on mid-grey.
    """
    size, count = scales(min(a.shape[2:]))
    line, weights = window(size), torch.tensor(WEIGHTS[:count], dtype=torch.float64)
    x, y, result = (opaque(a).double() + 1) / 2, (opaque(b).double() + 1) / 2, torch.ones(len(a), dtype=torch.float64)
    for k, weight in enumerate(weights / weights.sum()):
        similarity, structure = terms(x, y, line)
        result = result * (similarity if k == count - 1 else structure).clamp(min=0) ** weight
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return result


def ssim(a: Sample, b: Sample) -> Tensor:
    """SSIM of pairs of images in [-1, 1], (N,); 1 for equal ones. Wang et al. 2004, eq. 13.

    Images of less than 22 pixels have a smaller window than the paper's of eleven; those with alpha lie on mid-grey.
    """
    line = window(scales(min(a.shape[2:]))[0])
    x, y = (opaque(a).double() + 1) / 2, (opaque(b).double() + 1) / 2
    return terms(x, y, line)[0]


def psnr(a: Sample, b: Sample) -> Tensor:
    """Peak signal to noise ratio of pairs of images in [-1, 1], in decibels, (N,); at most 100."""
    error = (a.double() - b.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(4 / error.clamp(min=4e-10))


def likeness(x: Samples, labels: Tensor | None = None, most: int | None = None) -> Tensor:
    """MS-SSIM of each of the first ``most`` images with the next one, of its class where there are labels.

    Odena et al. 2017, section 4.2.
    """
    order = torch.argsort(labels[: len(x)][:most], stable=True) if labels is not None else torch.arange(len(x))[:most]
    a, b = order[:-1], order[1:]
    if labels is not None:
        same = labels[a] == labels[b]
        a, b = a[same], b[same]
    return in_batches(lambda i, j: ms_ssim(x[i], x[j]), a, b, rows=PAIRS)
