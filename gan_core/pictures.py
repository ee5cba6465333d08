"""Samples as pictures: a grid of images, or a scatter of points."""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PAPER, TRUTH, INK = 255, 200, 40
BINS, LINE = 70, 2


def to_uint8(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images float (N, C, H, W) in [-1, 1] to uint8 (N, H, W, C), rounded half to even. The only unscaling."""
    return np.rint((x.transpose(0, 2, 3, 1).clip(-1, 1) + 1) * 127.5).astype(np.uint8)


def taken(rows: Mapping[str, NDArray[Any]], pixels: bool) -> dict[str, NDArray[Any]]:
    """Inputs as a graph takes them: images as pixels, if it is one of pixels."""
    return {name: to_uint8(v) if pixels and v.ndim == 4 and v.dtype != np.uint8 else v for name, v in rows.items()}


def picture(samples: NDArray[Any]) -> bytes:
    """Samples as they are shipped, as a PNG: pixels, images in [-1, 1], or points."""
    if samples.ndim == 2:
        return scatter(samples, samples)
    return grid(samples if samples.dtype == np.uint8 else to_uint8(samples))


def grid(images: NDArray[np.uint8], side: int = 560, columns: int = 0) -> bytes:
    """Images uint8 (N, H, W, C), enlarged without blur, as a PNG of about ``side`` pixels; square if not told."""
    n, h, w, c = images.shape
    columns = columns or ceil(sqrt(n))
    rows = ceil(n / columns)
    sheet = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1, c), PAPER, np.uint8)
    for k, image in enumerate(images):
        top, left = (k // columns) * (h + 1), (k % columns) * (w + 1)
        sheet[top : top + h, left : left + w] = image
    picture = Image.fromarray(sheet.squeeze(2) if c == 1 else sheet)
    scale = max(1, side // max(picture.size))
    return png(picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST))


def scatter(points: NDArray[np.float32], truth: NDArray[np.float32], side: int = 560) -> bytes:
    """Points (N, 2) in ink over the true ones in grey, as a square PNG; points (N, 1) as a histogram."""
    if points.shape[1] == 1:
        return histogram(points, truth, side)
    reach = float(np.abs(truth).max()) * 1.2
    sheet = np.full((side, side), PAPER, np.uint8)
    for cloud, ink in ((truth, TRUTH), (points, INK)):
        at = np.rint((cloud[:, :2] / reach + 1) * (side - 1) / 2).astype(int)
        at = at[((at >= 0) & (at < side - 1)).all(1)]
        for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
            sheet[side - 1 - at[:, 1] - dy, at[:, 0] + dx] = ink
    return png(Image.fromarray(sheet))


def panels(pictures: list[bytes], columns: int) -> bytes:
    """PNGs of one size beside each other."""
    images = [Image.open(io.BytesIO(p)) for p in pictures]
    w, h = images[0].size
    sheet = Image.new("L", (columns * w, ceil(len(images) / columns) * h), PAPER)
    for k, image in enumerate(images):
        sheet.paste(image, (k % columns * w, k // columns * h))
    return png(sheet)


def histogram(points: NDArray[np.float32], truth: NDArray[np.float32], side: int = 560) -> bytes:
    """The density of points (N, 1) as a line of ink over that of the true ones in grey, as a square PNG.

    The axis covers the true points and a tenth more; what lies beyond is not drawn. A line at the top edge is cut off.
    """
    low, high = float(truth.min()), float(truth.max())
    margin = (high - low) / 20
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    real, fake = (np.histogram(x, edges)[0] / len(x) for x in (truth, points))
    columns, heights = np.arange(side) * BINS // side, np.arange(side)[::-1, None]
    below = [heights < (side / 1.2 / real.max() * share)[columns] for share in (real, fake)]
    padded = np.pad(below[1], LINE)
    inner = [np.roll(padded, by, axis)[LINE:-LINE, LINE:-LINE] for by in (-LINE, LINE) for axis in (0, 1)]
    sheet = np.full((side, side), PAPER, np.uint8)
    sheet[below[0]] = TRUTH
    sheet[below[1] & ~np.all(inner, 0)] = INK
    return png(Image.fromarray(sheet))


def png(picture: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=False)
    return buffer.getvalue()
