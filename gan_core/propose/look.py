"""What can be seen of a source of pictures without being told: number, sizes, colours, classes, parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from math import inf
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from gan_core.config.schema import ImagePairs, Images
from gan_core.data.evenly import evenly
from gan_core.data.found import folded, twins_of
from gan_core.data.readers import trees
from gan_core.data.readers.containers import listing
from gan_core.data.readers.images import BadImage, Content, half, opened, other_shape, strict
from gan_core.data.readers.trees import NO_PARTNER
from gan_core.propose import pairs
from gan_core.propose.pairs import Pairs
from gan_core.runtime.errors import DataError

GREY = 8
"""Levels of 256 by which the channels of a grey picture may differ, as JPEG makes them."""
PLAIN = {"min_per_class": None} | {
    "size": 8, "channels": 3, "fit": "crop", "background": 0, "on_bad_image": "skip", "spelling": "as_is",
}  # fmt: skip
"""What a declaration to look with says of all that readers do not ask for."""
ENOUGH = 256
"""Pixels of a side at which pictures are compared: a JPEG is decoded no larger than it must."""
MOST_CLASSES = 0.5
"""Classes to pictures: where there are more, what was taken for a label tells single pictures apart."""

MOST_TABLES = 10
"""Tables at the top of a source, or a folder below, that may name classes; of more each belongs to a picture."""


@dataclass
class Seen:
    """What a look at some pictures of a source showed; numbers are of those looked at, ``total`` is all."""

    path: Path
    total: int
    labels: bool | str
    labels_from: str
    official: bool
    """Whether the source itself says what is held out."""
    looked_at: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Width and height of each."""
    alpha: int = 0
    colour: int = 0
    deep: int = 0
    lowest: float = inf
    highest: float = -inf
    """Of pixels of more than 8 bits."""
    bad: list[str] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    heldout: int = 0
    odd: tuple[str, ...] = ()
    """What its reader noticed of the source."""
    pairs: Pairs | None = None
    """What says which pictures belong together, where they are pairs; ``total`` counts both of each."""
    agreement: float = 0.5
    """How often a source is more like its own target than like another's."""
    why_not: str = ""
    """Where no classes were found: what was said of the likeliest way."""

    @property
    def count(self) -> int:
        """Pictures, or pairs of them."""
        return self.total // 2 if self.pairs else self.total

    @property
    def width(self) -> int:
        """Of the median picture."""
        return round(median(w for w, _ in self.sizes))

    @property
    def height(self) -> int:
        """Of the median picture."""
        return round(median(h for _, h in self.sizes))

    @property
    def alike(self) -> bool:
        """Whether all have one size."""
        return len(set(self.sizes)) == 1

    @property
    def folded(self) -> Counter[str]:
        """Pictures of each class, where those that differ by spelling alone are one."""
        together: Counter[str] = Counter()
        for name, count in self.classes.items():
            together[folded(name)] += count
        return together

    @property
    def twins(self) -> list[list[str]]:
        """Classes that differ by spelling alone."""
        return twins_of(set(self.classes))


def asked(path: Path, labels: bool | str, official: bool, paired: Pairs | None = None) -> Images:
    """A declaration to look with: of its values only what names classes, parts and pairs matters to the readers."""
    entry = PLAIN | {"path": str(path), "labels": labels, "heldout": "official" if official else 0.2}
    if paired:
        return TypeAdapter(ImagePairs).validate_json(json.dumps(entry | {"pairs": paired}))
    return TypeAdapter(Images).validate_json(json.dumps(entry))


def ways(path: Path) -> Iterator[bool | str]:
    """How classes may be named, the likeliest first: by the source itself, then by a table in it."""
    yield True
    if path.is_dir() or path.name.lower().endswith(trees.ARCHIVES):
        with ExitStack() as open_now:
            source, _ = next(trees.opened(path, asked(path, False, False), open_now))
            tables = [name for name in trees.tables_in(source) if name.count("/") <= 1]
        if len(tables) <= MOST_TABLES:
            yield from sorted(PurePosixPath(name).name for name in tables)


def look(path: Path) -> Seen:
    """Look at a source with the product's own readers: with the parts and classes that it names, if it names any.

    Raises:
        DataError: it cannot be read, in the reader's sentence.
    """
    listing(asked(path, False, False)).items.close()
    if found := in_pairs(path, pairs.in_folders(path)):
        return found
    why_not = ""
    for official in (True, False):
        for labels in (*ways(path), False):
            try:
                found = seen(path, labels, official)
            except DataError as error:
                if isinstance(labels, str) and not official:
                    why_not = why_not or str(error)
                continue
            several = 1 < len(found.classes) <= MOST_CLASSES * found.looked_at
            parts = not official or 0 < found.heldout < found.looked_at
            if parts and (several or not labels):
                found.why_not = why_not
                return found if labels else in_pairs(path, pairs.HALVES) or found
            if parts:
                why_not = f"{listed_as(found)} name {how_many(found.classes)} for {found.looked_at:,} pictures"
    return in_pairs(path, pairs.HALVES) or seen(path, False, False)


def how_many(classes: Collection[str]) -> str:
    """``3 classes``."""
    return f"{len(classes):,} classes" if len(classes) > 1 else "only one class"


def in_pairs(path: Path, ways: Iterable[Pairs]) -> Seen | None:
    """What pairs show, if a source holds pairs."""
    for paired in ways:
        for official in (True, False):
            try:
                found = seen(path, False, official, paired)
            except DataError:
                continue
            parts = not official or 0 < found.heldout < found.looked_at
            if parts and found.agreement >= pairs.AGREE:
                return found
    return None


def listed_as(found: Seen) -> str:
    """What names classes, as the beginning of a sentence."""
    return found.labels_from or "labels"


def seen(path: Path, labels: bool | str, official: bool, paired: Pairs | None = None) -> Seen:
    """What a source shows, read in one way.

    Raises:
        DataError: it cannot be read so.
    """
    listed = listing(asked(path, labels, official, paired))
    found = Seen(path, listed.total, labels, listed.labels_from, official, odd=listed.odd, pairs=paired)
    with closing(listed.items):
        items, _ = evenly(listed.items, 2 if paired else 1)
    if paired and not compare(found, [item.content for item in items]):
        return found
    found.bad += [odd for odd in listed.odd if NO_PARTNER in odd]
    for k, item in enumerate(items):
        found.looked_at += 1
        found.heldout += item.part == "heldout"
        if item.label is not None:
            found.classes[item.label] += 1
        try:
            if item.fault:
                raise BadImage(item.fault)
            with strict():
                shown = opened(item.content)
                notice(found, *(half(*shown, paired.split("-")[k % 2]) if isinstance(paired, str) else shown))
        except BadImage as error:
            found.bad.append(f"{item.name} {error}")
    return found


def compare(found: Seen, contents: Sequence[Content]) -> bool:
    """Whether these contents, source and target in turn, are pairs by what they show; ``found`` says how clearly.

    Of each pair no more is kept than its outlines.
    """
    outlines: list[list[NDArray[np.float64]]] = []
    seams: list[tuple[float, float]] = []
    step, way = max(1, len(contents) // 2 // pairs.COMPARED), found.pairs
    with strict():
        for k in range(0, len(contents) - 1, 2 * step):
            try:
                (first, size), (second, other) = (opened(content, ENOUGH) for content in contents[k : k + 2])
                if isinstance(way, str):
                    if not pairs.halved(size, way):
                        return False
                    first, second = (half(first, size, which)[0] for which in way.split("-"))
            except BadImage:
                continue
            if not isinstance(first, Image.Image) or not isinstance(second, Image.Image):
                return False
            if isinstance(way, str):
                seams.append(pairs.goes_on(first, second, way))
            elif fault := other_shape(size, other):
                found.bad.append(f"one {fault}")
            outlines.append([pairs.outline(first), pairs.outline(second)])
    if len(outlines) < pairs.LEAST:
        return False
    if seams and np.mean(seams, axis=0) @ (1, -pairs.APART) <= 0:
        return False
    found.agreement = pairs.agreement(*zip(*outlines, strict=True))
    return found.agreement >= pairs.AGREE


def notice(found: Seen, image: Image.Image | NDArray[Any], size: tuple[int, int]) -> None:
    """Add one picture to what was seen."""
    found.sizes.append(size)
    if isinstance(image, np.ndarray) or image.mode.startswith(("I", "F")):
        pixels = np.asarray(image)
        found.deep += 1
        found.colour += pixels.ndim == 3 and pixels.shape[2] >= 3
        found.lowest, found.highest = min(found.lowest, float(pixels.min())), max(found.highest, float(pixels.max()))
        return
    if image.has_transparency_data:
        image = image.convert("RGBA")
        found.alpha += int(np.asarray(image.getchannel("A")).min()) < 255
    if image.mode not in ("1", "L"):
        image.thumbnail((64, 64))
        found.colour += int(np.ptp(np.asarray(image.convert("RGB")).astype(np.int16), axis=2).max()) > GREY
