"""Whether pictures are pairs: their names or halves say that they may be, and what they show says that they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.data.readers.items import PART_NAMES
from gan_core.data.readers.trees import hidden

Pairs = dict[str, str] | str
"""What ``pairs`` may be in a declaration."""
HALVES = ("left-right", "top-bottom")
"""How one picture may hold both of a pair; which is the source is for a person to say."""
AGREE, LEAST = 0.75, 20
"""So often a picture must be more like its partner than like another one's, by chance it is half of the times; and how
many pairs that takes."""
COMPARED, SIDE = 100, 32
"""Pairs that are compared, and the side in pixels at which they are."""
APART = 2.0
"""So many times as much as from line to line, pictures must change where their halves meet: else they are one scene."""
NEAR = 2
"""A line counts so many pixels around it, as one of a drawing lies beside the edge that it stands for."""


def folders(path: Path) -> list[str]:
    """The folders in a folder, whatever parts they are in."""
    found = [p for p in path.iterdir() if p.is_dir() and not hidden(p.name)] if path.is_dir() else []
    if found and {p.name.lower() for p in found} <= PART_NAMES.keys():
        found = [below for p in found for below in p.iterdir() if below.is_dir() and not hidden(below.name)]
    elif all(any(p.name.lower() in PART_NAMES for p in below.iterdir() if p.is_dir()) for below in found):
        return sorted(p.name for p in found)
    return sorted({p.name for p in found})


def in_folders(path: Path) -> Iterator[Pairs]:
    """How pictures of two folders may be paired."""
    if len(names := folders(path)) == 2:
        yield dict(zip(("source", "target"), names, strict=True))


def halved(size: tuple[int, int], which: str) -> bool:
    """Whether a picture, by width and height, is two squares side by side, or one above the other."""
    wide, high = (2, 1) if which == "left-right" else (1, 2)
    return size[0] * high == size[1] * wide


def goes_on(first: Image.Image, second: Image.Image, which: str) -> tuple[float, float]:
    """How much a picture changes from one half to the other, and from one line to the next beside that."""
    a, b = (np.asarray(image.convert("L"), np.float64) for image in (first, second))
    if which != "left-right":
        a, b = a.T, b.T
    return float(np.abs(a[:, -1] - b[:, 0]).mean()), float(np.abs(a[:, -2] - a[:, -1]).mean())


def outline(image: Image.Image) -> NDArray[np.float64]:
    """Where a picture changes, whatever its colours: numbers of mean 0 and length 1, (SIDE^2,)."""
    grey = np.asarray(image.convert("RGB").convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    change = np.hypot(*np.gradient(grey))
    near = sum(np.roll(change, by, (0, 1)) for by in product(range(-NEAR, NEAR + 1), repeat=2))
    change = (near - near.mean()).ravel()
    return np.asarray(change / max(float(np.linalg.norm(change)), 1e-12))


def agreement(sources: Sequence[NDArray[np.float64]], targets: Sequence[NDArray[np.float64]]) -> float:
    """How often a source is more like its own target than like another's, by outlines: 0.5 by chance, 1 always."""
    alike = np.stack(sources) @ np.stack(targets).T
    own = np.diag(alike)[:, None]
    others = ~np.eye(len(alike), dtype=bool)
    return float(((own > alike) + (own == alike) / 2)[others].mean())
