"""Random changes of pictures, differentiable. DiffAugment, Zhao et al. 2020; ADA, Karras et al. 2020, appendix B.

A change is a function of pictures (N, C, H, W) in [-1, 1] and of numbers u (N, k) of U[0, 1): it happens where the
first is below its probability, and the others say how. Changes happen in the order of ``CHANGES``, however they are
declared. Those of places are one map a picture, applied once, and so are those of colours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isqrt, pi
from typing import Literal

import torch
from torch import Tensor

from gan_core.core.samples import Sample

Sides = tuple[int, int]
"""Height and width in pixels."""
THIRD = 1 / 3
"""Of v v^T, v = (1, 1, 1) / sqrt 3 being the direction of grey."""


@dataclass(frozen=True)
class Change:
    """One change: what it changes, and how. A policy may name two, which then happen apart."""

    policy: str
    kind: Literal["place", "colour", "picture"]
    make: Callable[..., Tensor]
    """Of places: from numbers and sides to maps (N, 3, 3) of (row, column, 1), in pixels from the centre, from where a
    pixel is to where it comes from. Of colours: from numbers to maps (N, 4, 4) of (red, green, blue, 1). Of pictures:
    from pictures and numbers to pictures."""
    numbers: int
    whole: bool = False
    """Of places: pixels come from pixels, nothing is interpolated."""
    twice: bool = False
    """The policy names two such changes, and p is the probability that either happens."""

    def probability(self, p: Tensor) -> Tensor:
        """Of this change alone."""
        return 1 - (1 - p).sqrt() if self.twice else p


def numbers(policy: Collection[str]) -> int:
    """How many numbers a picture takes."""
    return sum(1 + change.numbers for change in CHANGES if change.policy in policy)


def augmented(x: Sample, policy: Collection[str], p: Tensor, u: Tensor) -> Sample:
    """Pictures under a policy, each change with probability p: x (N, C, H, W), u (N, ``numbers(policy)``) of U[0, 1).

    Quarter turns of rectangles are half turns, and the colours of grey pictures are greys. Alpha moves and is cut out
    with its picture; colours leave it.
    """
    maps: dict[str, list[Tensor]] = {"place": [], "colour": []}
    later: list[tuple[Change, Tensor, Tensor]] = []
    chosen = [change for change in CHANGES if change.policy in policy]
    for change in chosen:
        first, own, u = torch.split(u, [1, change.numbers, u.shape[1] - 1 - change.numbers], 1)
        happens, own = first[:, 0] < change.probability(p), own.to(x)
        if change.kind == "picture":
            later.append((change, happens, own))
            continue
        made = change.make(own, x.shape[2:]) if change.kind == "place" else change.make(own)
        same = torch.eye(made.shape[1], dtype=made.dtype, device=made.device)
        maps[change.kind].append(torch.where(happens[:, None, None], made, same))
    if maps["place"]:
        whole = all(change.whole for change in chosen if change.kind == "place")
        x = resampled(x, reduce(product, maps["place"]), whole)
    if maps["colour"]:
        x = with_colours(x, recoloured(x[:, :3], reduce(product, reversed(maps["colour"]))))
    for change, happens, own in later:
        x = torch.where(happens[:, None, None, None], change.make(x, own), x)
    return x


def matrix(like: Tensor, *entries: Tensor | float) -> Tensor:
    """Square matrices (N, n, n) of n^2 entries, row by row, each a number a picture (N,) or one for all."""
    columns = [e if isinstance(e, Tensor) else torch.full_like(like, e) for e in entries]
    side = isqrt(len(entries))
    return torch.stack(columns, 1).view(-1, side, side)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix by matrix, (N, n, n), in their own precision also where products of networks are rounded."""
    return (a[:, :, :, None] * b[:, None]).sum(2)


def normal(u: Tensor) -> Tensor:
    """N(0, 1) of U[0, 1)."""
    z: Tensor = 2**0.5 * torch.erfinv(2 * u.clamp(1e-6, 1 - 1e-6) - 1)
    return z


def angle(u: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of an angle of U[-pi, pi)."""
    return (2 * pi * u - pi).cos(), (2 * pi * u - pi).sin()


# Places. Each distribution is that of its inverse as well, but for the order, which is that from the outside in.


def flip(u: Tensor, _sides: Sides) -> Tensor:
    """Mirrored left to right, or not, at even odds."""
    return scaled(torch.ones_like(u[:, 0]), 1 - 2 * (u[:, 0] >= 0.5).to(u))


def rotate90(u: Tensor, sides: Sides) -> Tensor:
    """Turned by 0 to 3 quarters, each as likely; rectangles by none or two."""
    k = (4 * u[:, 0]).floor() if sides[0] == sides[1] else 2 * (2 * u[:, 0]).floor()
    return turned((k == 0).to(u) - (k == 2).to(u), (k == 1).to(u) - (k == 3).to(u))


def shift(u: Tensor, sides: Sides) -> Tensor:
    """By whole pixels, up to an eighth of each side."""
    return shifted(*((side * (u[:, k] - 0.5) / 4).round() for k, side in enumerate(sides)))


def scale(u: Tensor, _sides: Sides) -> Tensor:
    """Enlarged by exp N(0, (0.2 log 2)^2)."""
    by = (0.2 * normal(u[:, 0])).exp2()
    return scaled(by, by)


def rotation(u: Tensor, _sides: Sides) -> Tensor:
    """By any angle."""
    return turned(*angle(u[:, 0]))


def aspect(u: Tensor, _sides: Sides) -> Tensor:
    """One side stretched by exp N(0, (0.2 log 2)^2), the other shrunk by as much."""
    by = (0.2 * normal(u[:, 0])).exp2()
    return scaled(1 / by, by)


def fractional_shift(u: Tensor, sides: Sides) -> Tensor:
    """By N(0, (side / 8)^2)."""
    return shifted(*(side / 8 * normal(u[:, k]) for k, side in enumerate(sides)))


def scaled(rows: Tensor, columns: Tensor) -> Tensor:
    return matrix(rows, rows, 0, 0, 0, columns, 0, 0, 0, 1)


def turned(cos: Tensor, sin: Tensor) -> Tensor:
    return matrix(cos, cos, -sin, 0, sin, cos, 0, 0, 0, 1)


def shifted(rows: Tensor, columns: Tensor) -> Tensor:
    return matrix(rows, 1, 0, rows, 0, 1, columns, 0, 0, 1)


def resampled(x: Sample, source: Tensor, whole: bool = False) -> Sample:
    """Pictures whose pixels come from elsewhere, between four pixels in proportion, beyond the edges mirrored.

    By reading rows of a table: what it sums when differentiated has a deterministic kernel everywhere.
    ``whole``: what is between pixels is not asked for.
    """
    n, planes, height, width = x.shape
    row = torch.arange(height, device=x.device).to(x)[:, None] - (height - 1) / 2
    column = torch.arange(width, device=x.device).to(x) - (width - 1) / 2
    at = [m[:, 0, None, None] * row + m[:, 1, None, None] * column + m[:, 2, None, None] for m in source.unbind(1)[:2]]
    rows, columns = at[0] + (height - 1) / 2, at[1] + (width - 1) / 2  # (N, H, W) each
    top, left = rows.floor(), columns.floor()
    reach = torch.arange(1 if whole else 2, device=x.device).to(x)
    down, right = reach[:, None, None, None], reach[:, None, None, None, None]
    picture = torch.arange(n, device=x.device)[:, None, None] * height
    places = (picture + mirrored(top + down, height)) * width + mirrored(left + right, width)
    taken = x.permute(0, 2, 3, 1).reshape(-1, planes).index_select(0, places.flatten()).view(*places.shape, planes)
    if not whole:
        weights = (1 - (rows - top - down).abs()) * (1 - (columns - left - right).abs())
        taken = taken * weights[..., None]
    return taken.sum((0, 1)).permute(0, 3, 1, 2)


def mirrored(places: Tensor, side: int) -> Tensor:
    """Whole numbers folded into 0 to side - 1, the first and the last line being mirrors."""
    period = 2 * (side - 1)
    return ((places + side - 1).remainder(period) - (side - 1)).abs().long()


# Colours.


def brightness(u: Tensor) -> Tensor:
    """Lighter by N(0, 0.2^2)."""
    by = 0.2 * normal(u[:, 0])
    return matrix(by, 1, 0, 0, by, 0, 1, 0, by, 0, 0, 1, by, 0, 0, 0, 1)


def contrast(u: Tensor) -> Tensor:
    """Times exp N(0, (0.5 log 2)^2)."""
    by = (0.5 * normal(u[:, 0])).exp2()
    return matrix(by, by, 0, 0, 0, 0, by, 0, 0, 0, 0, by, 0, 0, 0, 0, 1)


def luma_flip(u: Tensor) -> Tensor:
    """Light for dark, hues as they are, or not, at even odds: I - 2 v v^T."""
    return about_grey(1 - 2 * (u[:, 0] >= 0.5).to(u), torch.ones_like(u[:, 0]))


def hue(u: Tensor) -> Tensor:
    """Turned by any angle about grey."""
    cos, sin = angle(u[:, 0])
    return about_grey(torch.ones_like(cos), cos, sin)


def saturation(u: Tensor) -> Tensor:
    """What is not grey times exp N(0, (log 2)^2)."""
    by = normal(u[:, 0]).exp2()
    return about_grey(torch.ones_like(by), by)


def about_grey(along: Tensor, across: Tensor, turn: Tensor | float = 0.0) -> Tensor:
    """The map v v^T along + (I - v v^T) across + [v]x turn, v the direction of grey and [v]x the product with it."""
    same, other = (along - across) * THIRD + across, (along - across) * THIRD
    by = turn * THIRD**0.5
    one, two = other - by, other + by
    return matrix(along, same, one, two, 0, two, same, one, 0, one, two, same, 0, 0, 0, 0, 1)


def recoloured(x: Tensor, by: Tensor) -> Tensor:
    """Colours (N, 3, H, W) under maps (N, 4, 4); of grey pictures (N, 1, H, W), the mean of what the maps make."""
    linear, constant = by[:, :3, :3], by[:, :3, 3]
    if x.shape[1] == 1:
        linear, constant = linear.sum((1, 2))[:, None, None] * THIRD, constant.mean(1, keepdim=True)
    return (linear[..., None, None] * x[:, None]).sum(2) + constant[..., None, None]


def with_colours(x: Sample, colours: Tensor) -> Sample:
    """Pictures in other colours, alpha as it is."""
    return torch.cat([colours, x[:, 3:]], 1) if x.shape[1] == 4 else colours


# Pictures: DiffAugment, section 4.1, and what both papers have.


def color(x: Sample, u: Tensor) -> Sample:
    """Brightness by +-0.5 of the range of 1, saturation times 0 to 2, contrast times 0.5 to 1.5. Alpha stays."""
    light, saturated, contrasted = u[:, :, None, None, None].unbind(1)
    y = x[:, :3] + light - 0.5
    grey = y.mean(1, keepdim=True)
    y = grey + (y - grey) * saturated * 2
    middle = y.mean((1, 2, 3), keepdim=True)
    return with_colours(x, middle + (y - middle) * (contrasted + 0.5))


def translation(x: Sample, u: Tensor) -> Sample:
    """Shifted by up to an eighth of each side, grey coming in."""
    sides = x.shape[2:]
    by = [whole(u[:, k], 2 * round(side / 8) + 1) - round(side / 8) for k, side in enumerate(sides)]
    y = resampled(x, shifted(*by), whole=True)
    inside = [line(side, x) + b[:, None] for side, b in zip(sides, by, strict=True)]
    kept = [(i >= 0) & (i < side) for i, side in zip(inside, sides, strict=True)]
    return y.masked_fill(~(kept[0][:, :, None] & kept[1][:, None, :])[:, None], 0.0)


def cutout(x: Sample, u: Tensor) -> Sample:
    """A rectangle of half of each side, its centre anywhere, becomes grey."""
    rows, columns = (window(side, u[:, k]) for k, side in enumerate(x.shape[2:]))
    return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def window(side: int, u: Tensor) -> Tensor:
    """For each of (N,): which lines (N, side) lie in a window of half the side; its centre reaches both edges alike."""
    size = (side + 1) // 2
    first = (whole(u, side + 1 - size % 2) - size // 2)[:, None]
    return (line(side, u) >= first) & (line(side, u) < first + size)


def whole(u: Tensor, count: int) -> Tensor:
    """A whole number of 0 to count - 1 of U[0, 1)."""
    return (u * count).floor().clamp(max=count - 1)


def line(side: int, like: Tensor) -> Tensor:
    """0 to side - 1."""
    return torch.arange(side, device=like.device).to(like)


CHANGES: Sequence[Change] = (
    Change("flip", "place", flip, 1, whole=True),
    Change("rotate90", "place", rotate90, 1, whole=True),
    Change("shift", "place", shift, 2, whole=True),
    Change("scale", "place", scale, 1),
    Change("rotation", "place", rotation, 1, twice=True),
    Change("aspect", "place", aspect, 1),
    Change("rotation", "place", rotation, 1, twice=True),
    Change("fractional_shift", "place", fractional_shift, 2),
    Change("brightness", "colour", brightness, 1),
    Change("contrast", "colour", contrast, 1),
    Change("luma_flip", "colour", luma_flip, 1),
    Change("hue", "colour", hue, 1),
    Change("saturation", "colour", saturation, 1),
    Change("color", "picture", color, 3),
    Change("translation", "picture", translation, 2),
    Change("cutout", "picture", cutout, 2),
)
