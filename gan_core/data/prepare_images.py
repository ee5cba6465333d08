"""A user's images to a prepared data set, in a stream: memory does not grow with the set, and all cores decode.

Once through the source, in order: decode, measure, append to one scratch file. Once through that file: copy each row to
its part. The bytes depend on the source and the declaration alone, not on how many processes decode.
"""

from __future__ import annotations

import multiprocessing
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.config.schema import ImageDomains, Images
from gan_core.data.packed import PARTS, ArrayWriter, write_index
from gan_core.data.prepare import of_domains
from gan_core.data.readers.containers import listing
from gan_core.data.readers.images import DIGEST, FLAT, Chunk, Content, Ends, Noticed, chunk, kept_as, note_ends
from gan_core.data.readers.items import Item
from gan_core.data.split import enough, split
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure

AT_ONCE, AT_ONCE_BYTES = 256, 8 << 20
"""Images and bytes of a chunk, before or after it is decoded, whichever is reached first."""
ALONE = 0.3
"""Seconds after which other processes help; before that none would have started."""
ADDED = ("bits", "range")
"""Keys that an index has only where they are declared."""
NAMED = 20
"""Names of skipped images in the index; all are counted."""
COPIED = 2 << 20
"""Bytes copied at once."""
TENTH = 0.1
"""A set that fills less of what its type holds was meant to be scaled from less."""


@dataclass
class Found:
    """What went through, in order: a digest, label, part and domain for each packed image, and what was noticed."""

    digests: bytearray = field(default_factory=bytearray)
    labels: list[str | int] = field(default_factory=list)
    heldout: bytearray = field(default_factory=bytearray)
    domains: bytearray = field(default_factory=bytearray)
    deep: bytearray = field(default_factory=bytearray)
    spans: array[float] = field(default_factory=lambda: array("f"))
    noticed: Noticed = field(default_factory=Noticed)
    images: int = 0
    skipped: int = 0
    skipped_names: list[str] = field(default_factory=list)
    skipped_labels: set[str | int | None] = field(default_factory=set)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)


class Steps(Protocol):
    """What shows a person how far the work is."""

    def step(self, done: int) -> None: ...

    def close(self) -> None: ...


def prepare_images(spec: Images, folder: Path, workers: int = 1, begin: Callable[[int], Steps] | None = None) -> None:
    """Read, check, split, pack, write the index. ``begin`` hears how many images there are, and what it gives how far.

    Raises:
        DataError: the source cannot be used, in one sentence with what to do.
    """
    listed = listing(spec)
    with files.replacing(folder) as new:
        scratch, found = new / "rows.tmp", Found()
        progress = begin(listed.total) if begin else None
        with scratch.open("wb") as file:
            for items, made in decoded(listed.items, spec, workers if listed.encoded else 1):
                file.write(made.pixels.data)
                note(found, items, made, spec)
                if progress:
                    progress.step(found.images)
        if progress:
            progress.close()
        if 2 * found.skipped > found.images:
            raise DataError(
                f"{found.skipped} of {found.images} images in {spec.path} cannot be read, the first is "
                f"{found.skipped_names[0]}; more than half is no accident, so look at what `path` holds"
            )
        labels, names = numbered(found.labels, listed.class_names) if spec.labels else (None, [])
        domains = np.frombuffer(found.domains, np.uint8)
        if labels is not None and spec.min_per_class:
            enough_of_each(found, labels, names, spec, spec.min_per_class)
        ends = range_of(found, spec)
        heldout = split_mask(found, labels, spec)
        facts = {
            "source": {key: value for key, value in asdict(spec).items() if key not in ADDED or value is not None},
            "kind": "image",
            "shape": [spec.channels, *spec.sides],
            **({"bits": spec.bits} if spec.bits == 16 else {}),
            **({"range": list(ends)} if spec.range and ends else {}),
            "classes": len(names),
            **of_domains([counted(heldout, labels, domains == d, len(names)) for d in range(count_of(spec))]),
            "class_names": names,
            "licence": "own images, licence not stated",
        }
        looked = summary(found, labels, heldout, len(names)) | {"other_files": listed.ignored}
        looked |= {"near_blank": near_blank(found, spec, ends), **found.noticed.notes}
        facts["found"] = looked | {"says": in_words(looked)}
        copy_rows(scratch, new, spec, labels, heldout, domains, scaling(found, spec, ends))
        scratch.unlink()
        write_index(new, facts)


def count_of(spec: Images) -> int:
    """How many domains are declared."""
    return len(spec.domains) if isinstance(spec, ImageDomains) else 1


def chunks(items: Iterable[Item], spec: Images) -> Iterator[list[Item]]:
    """The items in order, some at a time: not too many, and not too many bytes, encoded or decoded."""
    some: list[Item] = []
    size, most = 0, max(1, min(AT_ONCE, AT_ONCE_BYTES // (prod(spec.shape) * np.dtype(kept_as(spec)).itemsize)))
    for item in items:
        some.append(item)
        size += len(item.content) if isinstance(item.content, bytes) else item.content.nbytes
        if len(some) == most or size > AT_ONCE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def decoded(items: Iterable[Item], spec: Images, workers: int) -> Iterator[tuple[list[Item], Chunk]]:
    """Every chunk with what it decodes to, in order, at most four a process on the way.

    This process reads, and decodes as well while the others are busy; ``workers`` counts it.

    Raises:
        EnvironmentFailure: a process that decodes was killed.
    """
    waiting: deque[tuple[list[Item], Future[Chunk]]] = deque()
    source, begun, others = chunks(items, spec), time.monotonic(), workers - 1
    with ProcessPoolExecutor(max(others, 1), multiprocessing.get_context("spawn")) as pool:
        try:
            while True:
                if time.monotonic() - begun > ALONE:
                    busy = sum(not future.done() for _, future in waiting)
                    for some in islice(source, max(min(2 * others - busy, 4 * workers - len(waiting)), 0)):
                        waiting.append((some, pool.submit(chunk, contents(some), spec)))
                ready = waiting and waiting[0][1].done()
                if not ready and len(waiting) < 4 * workers and (some := next(source, [])):
                    waiting.append((some, done(chunk(contents(some), spec))))
                    continue
                if not waiting:
                    return
                some, future = waiting.popleft()
                yield some, future.result()
        except BrokenProcessPool:
            raise EnvironmentFailure(
                "a process that decodes images was killed (too little memory?); make room, then run the command again"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def contents(items: list[Item]) -> list[Content]:
    """What is decoded of them."""
    return [item.content for item in items]


def done(made: Chunk) -> Future[Chunk]:
    """A result that nobody needs to wait for."""
    future: Future[Chunk] = Future()
    future.set_result(made)
    return future


def note(found: Found, items: list[Item], made: Chunk, spec: Images) -> None:
    """Remember a chunk.

    Raises:
        DataError: an image is bad and none is to be skipped.
    """
    for k, fault in made.bad.items():
        if spec.on_bad_image == "error":
            raise DataError(f"{items[k].name} {fault}; mend or remove it, or declare on_bad_image: skip")
        found.skipped += 1
        found.skipped_labels.add(items[k].label)
        if len(found.skipped_names) < NAMED:
            found.skipped_names.append(f"{items[k].name} {fault}")
    for item in (item for k, item in enumerate(items) if k not in made.bad):
        found.heldout.append(item.part == "heldout")
        found.domains.append(item.domain)
        if item.label is not None:
            found.labels.append(item.label)
    found.digests += made.digests.tobytes()
    found.images += len(items)
    found.deep += bytes(made.deep)
    found.spans.extend(made.spans)
    for holds, ends in made.noticed.ends.items():
        note_ends(found.noticed.ends, holds, ends)
    found.noticed.notes += made.noticed.notes
    found.sizes += made.sizes
    found.modes += made.modes


def range_of(found: Found, spec: Images) -> Ends | None:
    """What becomes black and what white of the images that have a range; None, if there are none, or by their types.

    Raises:
        DataError: no range is declared, and they fill less than a tenth of what their type holds; or they are all one.
    """
    if not found.noticed.ends or isinstance(spec.range, list):
        return None if not found.noticed.ends else (float(spec.range[0]), float(spec.range[1]))  # type: ignore[index]
    low, high = (
        min(ends[0] for ends in found.noticed.ends.values()),
        max(ends[1] for ends in found.noticed.ends.values()),
    )
    if spec.range == "measured":
        if low == high:
            raise DataError(f"{spec.path} holds images of one number, {low:g}, alone; there is nothing to measure")
        return low, high
    for holds, (low, high) in found.noticed.ends.items() if spec.range is None else ():
        if high - low < TENTH * (holds[1] - holds[0]):
            raise DataError(
                f"{spec.path} holds numbers of {low:g} to {high:g}, less than a tenth of the {holds[0]:g} to "
                f"{holds[1]:g} of their type, so all would look alike; declare range: [{low:g}, {high:g}] (or the ends "
                "that you know), or range: measured, or, if it is as it should be, range: full"
            )
    return next(iter(found.noticed.ends)) if len(found.noticed.ends) == 1 else None


def near_blank(found: Found, spec: Images, ends: Ends | None) -> int:
    """How many images have hardly any difference in them."""
    most = np.full(len(found.spans), float(spec.most))
    if spec.range == "measured":
        deep = np.frombuffer(found.deep, np.bool_)
        most = np.where(deep, ends[1] - ends[0] if ends else 0.0, 255.0)
    return int((np.frombuffer(found.spans, np.float32) <= FLAT * most + 1e-6 * most).sum())


Scale = Callable[[NDArray[Any], slice], NDArray[Any]]
"""From rows of the scratch file, which are so many of all, to packed ones."""


def scaling(found: Found, spec: Images, ends: Ends | None) -> Scale:
    """What is left to do where the range had to be measured: the rest is packed already."""
    deep, kind = np.frombuffer(found.deep, np.bool_), np.uint16 if spec.bits == 16 else np.uint8
    low, high = ends or (0.0, 1.0)

    def scaled(block: NDArray[Any], rows: slice) -> NDArray[Any]:
        if spec.range != "measured":
            return block
        shares = np.where(deep[rows, None, None, None], (block.astype(np.float64) - low) / (high - low), block / 255.0)
        shares = np.where(np.isnan(block), spec.background / 255, shares)
        packed: NDArray[Any] = np.rint(shares.clip(0, 1) * spec.most).astype(kind)
        return packed

    return scaled


def numbered(labels: list[str | int], given: tuple[str, ...]) -> tuple[NDArray[np.int64], list[str]]:
    """Labels as numbers, and the name of each: names are numbered in their order, numbers stay."""
    if labels and isinstance(labels[0], str):
        names = sorted(set(map(str, labels)))
        number = {name: k for k, name in enumerate(names)}
        return np.array([number[str(name)] for name in labels], np.int64), names
    numbers = np.array(labels, np.int64)
    count = max(int(numbers.max()) + 1, len(given))
    return numbers, [given[k] if k < len(given) else str(k) for k in range(count)]


def split_mask(found: Found, labels: NDArray[np.int64] | None, spec: Images) -> NDArray[np.bool_]:
    """Which rows are held out: as the source says, or a share of each domain, the same images on the same side.

    Raises:
        DataError: too few on one side of a domain.
    """
    heldout = np.frombuffer(found.heldout, np.bool_).copy()
    digests, domains = np.frombuffer(found.digests, f"V{DIGEST}"), np.frombuffer(found.domains, np.uint8)
    for domain in range(count_of(spec)):
        rows = np.flatnonzero(domains == domain)
        if not isinstance(spec.heldout, str):
            _, first, which = np.unique(digests[rows], return_index=True, return_inverse=True)
            order = np.argsort(first)  # the first of each content, as they come
            chosen = split(len(first), None if labels is None else labels[rows[first[order]]], spec.heldout)
            heldout[rows] = chosen[np.argsort(order)][which]
        enough(heldout[rows], f"heldout {spec.heldout}{where(spec, domain)}")
    return heldout


def where(spec: Images, domain: int) -> str:
    """Which domain, where there are two."""
    return f" in domain '{spec.domains[domain]}'" if isinstance(spec, ImageDomains) else ""


def enough_of_each(found: Found, labels: NDArray[np.int64], names: list[str], spec: Images, least: int) -> None:
    """Refuse a class with fewer images than are declared to be needed, in any domain.

    Raises:
        DataError: with the name of the smallest and its number.
    """
    for name in sorted(found.skipped_labels - {None, *found.labels}, key=str):
        raise DataError(f"no image of class '{name}' can be read, and min_per_class is {least}; mend them, or lower it")
    domains = np.frombuffer(found.domains, np.uint8)
    for domain in range(count_of(spec)):
        counts = np.bincount(labels[domains == domain], minlength=len(names))
        if (fewest := int(counts.min())) < least:
            raise DataError(
                f"class '{names[int(counts.argmin())]}'{where(spec, domain)} has {fewest} images, and min_per_class is "
                f"{least}; bring more of it, take the class out, or lower it"
            )


def counted(
    heldout: NDArray[np.bool_], labels: NDArray[np.int64] | None, domain: NDArray[np.bool_], classes: int
) -> dict[str, dict[str, Any]]:
    """How many images the parts of one domain have, in all and of every class."""
    rows = {"train": ~heldout & domain, "heldout": heldout & domain}
    return {
        "counts": {part: int(chosen.sum()) for part, chosen in rows.items()},
        "class_counts": {
            part: np.bincount(labels[chosen], minlength=classes).tolist()
            for part, chosen in rows.items()
            if labels is not None
        },
    }


def summary(found: Found, labels: NDArray[np.int64] | None, heldout: NDArray[np.bool_], classes: int) -> dict[str, Any]:
    """What a look at all images found."""
    digests = np.frombuffer(found.digests, f"V{DIGEST}")
    contents, first, which = np.unique(digests, return_index=True, return_inverse=True)
    disagree = 0 if labels is None else int((labels != labels[first][which]).sum())
    (widths, heights) = (sorted(x) for x in zip(*found.sizes, strict=True))
    return {
        "images": found.images,
        "packed": len(digests),
        "skipped": found.skipped,
        "skipped_first": found.skipped_names,
        "sizes": {"narrowest": widths[0], "widest": widths[-1], "lowest": heights[0], "highest": heights[-1]},
        "modes": dict(sorted(found.modes.items())),
        "near_blank": 0,
        "duplicates": len(digests) - len(contents),
        "duplicates_of_another_class": disagree,
        "on_both_sides": len(np.intersect1d(digests[heldout], digests[~heldout])),
        "classes_without_images": []
        if labels is None
        else np.flatnonzero(np.bincount(labels, minlength=classes) == 0).tolist(),
    }


def in_words(found: dict[str, Any]) -> str:
    """What was found, as a person says it."""
    s = found["sizes"]
    least, most = f"{s['narrowest']}x{s['lowest']}", f"{s['widest']}x{s['highest']}"
    said = [f"{found['packed']:,} images packed, of {least}{'' if least == most else f' to {most}'} pixels"]
    said.append(", ".join(f"{count:,} {mode}" for mode, count in found["modes"].items()))
    for key, words in (
        ("skipped", "skipped, as they cannot be read"),
        ("duplicates", "are copies of another"),
        ("duplicates_of_another_class", "of them under another class"),
        ("on_both_sides", "are both trained on and held out: figures will flatter"),
        ("near_blank", "are near-blank"),
        ("converted", "were converted to sRGB from the colours of their profile"),
        ("broken_profile", "have a broken colour profile, which is ignored"),
        ("other_files", "other files were left alone"),
    ):
        if found.get(key):
            said.append(f"{found[key]:,} {words}")
    if found["classes_without_images"]:
        said.append(f"classes without images: {', '.join(map(str, found['classes_without_images'][:10]))}")
    return "; ".join(said)


def copy_rows(
    scratch: Path,
    folder: Path,
    spec: Images,
    labels: NDArray[np.int64] | None,
    heldout: NDArray[np.bool_],
    domains: NDArray[np.uint8],
    scale: Scale,
) -> None:
    """The rows of the scratch file to their parts; of two domains the second behind the first."""
    shape, kind = spec.shape, np.uint16 if spec.bits == 16 else np.uint8
    chosen = {"train": ~heldout, "heldout": heldout}
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(ArrayWriter(folder / f"{part}.x.npy", (int(rows.sum()), *shape), kind))
            for part, rows in chosen.items()
        }
        for domain in range(count_of(spec)):
            for start, rows in blocks(scratch, shape, kept_as(spec)):
                here = slice(start, start + len(rows))
                block = scale(rows, here)
                for part in PARTS:
                    writers[part].append(block[chosen[part][here] & (domains[here] == domain)])
        for part, rows in chosen.items() if labels is not None else ():
            y = labels[rows][np.argsort(domains[rows], kind="stable")]  # type: ignore[index]
            stack.enter_context(ArrayWriter(folder / f"{part}.y.npy", y.shape, np.int64)).append(y)


def blocks(scratch: Path, shape: tuple[int, ...], kind: type[np.generic]) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows of the scratch file, some at a time, with the number of the first."""
    each, start = prod(shape) * np.dtype(kind).itemsize, 0
    with scratch.open("rb") as file:
        while content := file.read(max(1, COPIED // each) * each):
            block = np.frombuffer(content, kind).reshape(-1, *shape)
            yield start, block
            start += len(block)
