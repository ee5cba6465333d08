"""Samples as pictures: a sheet of images, a scatter of points, a density. A PNG carries the words on what it shows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from gan_core.core.pixels import SHADE, Pixels, in_shades, to_uint8

PAPER, TRUTH, INK, LABEL = 255, 200, 40, 90
BINS, LINE = 70, 2
FONT = 15
"""The height of labels, in pixels."""


def picture(samples: NDArray[Any]) -> bytes:
    """Samples as they are shipped, as a PNG: pixels, images in [-1, 1], or points."""
    if samples.ndim == 2:
        return scatter(samples, samples)
    if keeps_16_bits(samples):
        return grid(samples)
    return grid(in_shades(samples).astype(np.uint8) if samples.dtype.kind == "u" else to_uint8(samples))


def keeps_16_bits(samples: NDArray[Any]) -> bool:
    """Whether a PNG of these samples has all their bits: of 16 it has those of grey."""
    return bool(samples.dtype == np.uint16 and samples.ndim == 4 and samples.shape[3] == 1)


def grid(images: NDArray[Any], title: str = "", says: str = "", side: int = 560) -> bytes:
    """Images as pixels (N, H, W, C) as a square sheet."""
    columns = ceil(sqrt(len(images)))
    return sheet(images, columns, title=title, says=says, side=side)


def sheet(
    images: NDArray[Any],
    columns: int,
    rows: Sequence[str] = (),
    heads: Sequence[str] = (),
    under: Sequence[str] = (),
    title: str = "",
    says: str = "",
    side: int = 640,
) -> bytes:
    """Images in rows of ``columns``, enlarged without blur, as a PNG about ``side`` pixels wide.

    uint8 (N, H, W, C), or uint16 (N, H, W, 1).

    ``rows`` and ``heads`` name rows and columns, ``under`` each image. What has alpha keeps it, between images is none.
    """
    n, h, w, c = images.shape
    count = ceil(n / columns)
    scale = max(1, (side // max(columns, count) - 1) // max(h, w))
    font = ImageFont.load_default(FONT)
    gap = 2 * scale if under else max(1, scale // 2)
    left = max((ceil(font.getlength(r)) + FONT // 2 for r in rows), default=0)
    top, foot = (FONT + 5 if labels else 0 for labels in (heads, under))
    step_x, step_y = w * scale + gap, h * scale + gap + foot
    size = (left + columns * step_x - gap, top + count * step_y - gap)
    mode = {1: "I;16" if images.dtype == np.uint16 else "L", 3: "RGB", 4: "RGBA"}[c]
    paper, ink = ((PAPER,) * 3 + (0,) * (c == 4), (LABEL,) * 3) if c > 1 else (PAPER, LABEL)
    picture = Image.new(mode, size, PAPER * SHADE if mode == "I;16" else paper)
    draw = ImageDraw.Draw(picture)
    large = images.repeat(scale, 1).repeat(scale, 2)
    for k, image in enumerate(large.squeeze(3) if c == 1 else large):
        x, y = left + k % columns * step_x, top + k // columns * step_y
        picture.paste(Image.fromarray(image), (x, y))
        if k < len(under):
            draw.text((x + w * scale / 2, y + h * scale + 1), under[k], ink, font, "ma")
    for k, name in enumerate(rows):
        draw.text((left - FONT // 2, top + k * step_y + h * scale / 2), name, ink, font, "rm")
    for k, name in enumerate(heads):
        draw.text((left + k * step_x + w * scale / 2, 1), name, ink, font, "ma")
    return png(picture, title, says)


def scatter(points: NDArray[np.float32], truth: NDArray[np.float32], title: str = "", says: str = "") -> bytes:
    """Points (N, 2) in ink over the true ones in grey, as a square PNG; points (N, 1) as a density."""
    draw = dots if points.shape[1] > 1 else density
    return png(Image.fromarray(draw(points, truth)), title, says)


def dots(points: NDArray[np.float32], truth: NDArray[np.float32], side: int = 560) -> Pixels:
    """The first two coordinates of points (N, D) in ink over the true ones in grey, (side, side)."""
    reach = float(np.abs(truth).max()) * 1.2
    canvas = np.full((side, side), PAPER, np.uint8)
    for cloud, ink in ((truth, TRUTH), (points, INK)):
        at = np.rint((cloud[:, :2] / reach + 1) * (side - 1) / 2).astype(int)
        at = at[((at >= 0) & (at < side - 1)).all(1)]
        for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
            canvas[side - 1 - at[:, 1] - dy, at[:, 0] + dx] = ink
    return canvas


def density(points: NDArray[np.float32], truth: NDArray[np.float32], side: int = 560) -> Pixels:
    """The density of points (N, 1) as a line of ink over that of the true ones in grey, (side, side).

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
    canvas = np.full((side, side), PAPER, np.uint8)
    canvas[below[0]] = TRUTH
    canvas[below[1] & ~np.all(inner, 0)] = INK
    return canvas


def png(picture: Image.Image, title: str = "", says: str = "") -> bytes:
    """The bytes of a PNG file, with a palette where that loses nothing, and its title and description inside."""
    if picture.mode == "RGB" and (colours := picture.getcolors(256)):
        picture = picture.quantize(len(colours), Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    text = PngImagePlugin.PngInfo()
    for key, value in (("Title", title), ("Description", says)):
        if value:
            text.add_itxt(key, value)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, pnginfo=text)
    return buffer.getvalue()


def caption(content: bytes) -> tuple[str, str]:
    """The title and the description that a PNG of ours carries; empty where it has none."""
    with Image.open(io.BytesIO(content)) as picture:
        text = dict(picture.info)
    return str(text.get("Title", "")), str(text.get("Description", ""))


def webp(content: bytes, quality: int = 90) -> bytes:
    """A smaller copy of a PNG, with loss."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as file:
        picture: Image.Image = file
        if picture.has_transparency_data:
            ground = Image.new("RGBA", picture.size, (PAPER,) * 4)
            picture = Image.alpha_composite(ground, picture.convert("RGBA"))
        picture.convert("RGB").save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
