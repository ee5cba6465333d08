"""What a network reads and draws in terms of what an earlier one did, x_old = A x_new + b: other channels and classes.

Where the first layer of the earlier network computes W x_old + c, that of the new one with the weights W A and c + W b
computes the same: the new network starts as the function that was learned. So with the last layer of one that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from gan_core.core.inputs import PRIORS, Input
from gan_core.core.network_config import NetworkConfig

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey (ITU-R BT.601), as pictures are made grey when they are prepared."""
OPAQUE = 2.0
"""What the last layer starts with for an alpha that was not drawn before: tanh 2 = 0.96, nearly opaque."""
Affine: TypeAlias = tuple[Tensor, Tensor]
"""A (old, new) and b (old,), in float64."""


@dataclass(frozen=True)
class Side:
    """Either side of a warm start: what a network is built from, the channels of its data, the names of classes."""

    config: NetworkConfig
    channels: int
    classes: Sequence[str] = ()
    """Without, their numbers are their names."""


def eye(rows: int, columns: int | None = None) -> Tensor:
    """Ones on the diagonal."""
    return torch.eye(rows, columns or rows, dtype=torch.float64)


def colours(old: int, new: int) -> Affine | None:
    """A picture of ``old`` channels, made of one of ``new``: 1 is grey, 3 are colours, 4 colours and alpha.

    Alpha is dropped, or 1: opaque. None: there are no such pictures.
    """
    if old == new:
        return eye(old), torch.zeros(old, dtype=torch.float64)
    if not {old, new} <= {1, 3, 4}:
        return None
    of_new = torch.ones(3, 1, dtype=torch.float64) if new == 1 else eye(3, new)
    if old == 1:
        return torch.tensor([LUMA], dtype=torch.float64) @ of_new, torch.zeros(1, dtype=torch.float64)
    a, b = torch.zeros(old, new, dtype=torch.float64), torch.zeros(old, dtype=torch.float64)
    a[:3], b[3:] = of_new, 1.0
    return a, b


def pixels(old: Input, new: Input, channels: tuple[int, int], maps: bool) -> Affine | None:
    """Pictures, as maps or as one row; several side by side (``pack``) are so many on either side."""
    packs = old.dims[0] // channels[0], new.dims[0] // channels[1]
    found = colours(*channels)
    if found is None or packs[0] != packs[1] or not (maps or old.dims[1:] == new.dims[1:]):
        return None
    each = 1 if maps else old.size // old.dims[0]
    return torch.kron(eye(packs[0]), torch.kron(found[0], eye(each))), found[1].repeat(packs[0]).repeat_interleave(each)


def numbers(old: Input, new: Input, names: tuple[Sequence[str], Sequence[str]]) -> Affine | None:
    """One-hot rows: a class of the same name is that class, any other the mean of all. Codes must be as many.

    Where zeros of a row are ``off``, y_old = P y_new + off (1 - P 1).
    """
    if old.prior == "category" and old.size != new.size:
        return None
    mine, its = (list(n) or [str(k) for k in range(i.size)] for n, i in zip(names, (old, new), strict=True))
    p = torch.full((old.size, new.size), 1 / old.size, dtype=torch.float64)
    for k, name in enumerate(its):
        if name in mine:
            p[:, k] = eye(old.size)[mine.index(name)]
    return p, float(PRIORS[old.prior].off or 0) * (1 - p.sum(1))


def of_input(old: Input, new: Input, sides: tuple[Side, Side], maps: bool) -> Affine | None:
    """One input in terms of the one of its name; None: that is of another kind or size."""
    if old.prior != new.prior:
        return None
    if old.is_integer:
        return numbers(old, new, (sides[0].classes, sides[1].classes))
    if len(old.dims) == len(new.dims) == 3:
        return pixels(old, new, (sides[0].channels, sides[1].channels), maps)
    return (eye(old.size), torch.zeros(old.size, dtype=torch.float64)) if old.size == new.size else None


def of_inputs(old: Sequence[Input], new: Sequence[Input], sides: tuple[Side, Side], maps: bool) -> Affine | None:
    """All inputs side by side, as planes of maps or as numbers of rows. One that is new changes nothing at first.

    One that is read no more stands at the mean of its rows. None: one of them cannot be had.
    """
    starts = dict(zip((i.name for i in new), offsets(new, maps), strict=False))
    a, b = [], []
    for i in old:
        block = torch.zeros(width(i, maps), offsets(new, maps)[-1], dtype=torch.float64)
        const = torch.full((len(block),), mean(i), dtype=torch.float64)
        if there := next((n for n in new if n.name == i.name), None):
            if (found := of_input(i, there, sides, maps)) is None:
                return None
            block[:, starts[i.name] : starts[i.name] + found[0].shape[1]], const = found
        a.append(block)
        b.append(const)
    return torch.cat(a), torch.cat(b)


def width(i: Input, maps: bool) -> int:
    """Planes, or numbers of a row."""
    return i.channels if maps else i.size


def offsets(inputs: Sequence[Input], maps: bool) -> list[int]:
    """Where each begins, and where the last ends."""
    return [sum(width(i, maps) for i in inputs[:k]) for k in range(len(inputs) + 1)]


def mean(i: Input) -> float:
    """Of a row: of one-hot rows every class is as frequent, all else is centred."""
    off = PRIORS[i.prior].off
    return 0.0 if off is None else (1 + off * (i.size - 1)) / i.size
