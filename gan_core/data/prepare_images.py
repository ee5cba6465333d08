"""A user's images to a prepared data set, in a stream: memory does not grow with the set, and all cores decode.

Once through the source, in order: decode, measure, append to one scratch file. Once through that file: copy each row to
its part. The bytes depend on the source and the declaration alone, not on how many processes decode.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import reduce
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_core.config.schema import ImagePairs, Images
from gan_core.core.pixels import TYPES
from gan_core.data.batches import shuffle
from gan_core.data.found import Found, count_of, enough_of_each, in_domain, look, note, numbered, range_of, usable
from gan_core.data.packed import PARTS, ArrayWriter, write_index
from gan_core.data.prepare import of_domains
from gan_core.data.prepared import united
from gan_core.data.readers.containers import listing
from gan_core.data.readers.images import DIGEST, Chunk, Content, Ends, chunk, kept_as
from gan_core.data.readers.items import Item
from gan_core.data.shards import SIZE, ShardWriter, rows_of
from gan_core.data.split import enough, split
from gan_core.data.store import Store
from gan_core.runtime import files
from gan_core.runtime.errors import EnvironmentFailure

AT_ONCE, AT_ONCE_BYTES = 256, 8 << 20
"""Images and bytes of a chunk, before or after it is decoded, whichever is reached first."""
ALONE = 0.3
"""Seconds after which other processes help; before that none would have started."""
COPIED = 2 << 20
"""Bytes copied at once."""


class Steps(Protocol):
    """What shows a person how far the work is."""

    def step(self, done: int) -> None: ...

    def close(self) -> None: ...


def prepare_images(
    spec: Images,
    folder: Path,
    workers: int = 1,
    begin: Callable[[int], Steps] | None = None,
    shard: int = SIZE,
) -> None:
    """Read, check, split, pack, write the index. ``begin`` hears how many images there are, and what it gives how far.

    ``shard``: bytes of each, where the set is packed in shards.

    Raises:
        DataError: the source cannot be used, in one sentence with what to do.
        EnvironmentFailure: the store cannot be written to.
    """
    store = Store(spec.store) if spec.store else None
    listed = listing(spec)
    with files.replacing(folder) as new, closing(listed.items):
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
        usable(found, spec)
        labels, names = numbered(found.labels, listed, spec) if spec.labels else (None, [])
        domains = np.frombuffer(found.domains, np.uint8)
        if labels is not None and spec.min_per_class:
            enough_of_each(found, labels, names, spec, spec.min_per_class)
        ends = range_of(found, spec)
        heldout = split_mask(found, labels, spec)
        parts = [counted(heldout, labels, domains == d, len(names)) for d in range(count_of(spec))]
        whole = reduce(united, parts)
        looked = look(found, listed, labels, names, whole["class_counts"], heldout, spec, ends)
        facts = {
            "source": asdict(spec),
            "kind": "image",
            "shape": [spec.channels, *spec.sides],
            **({"bits": spec.bits} if spec.bits == 16 else {}),
            **({"packed": list(spec.packed_sides)} if spec.crop_from else {}),
            **({"flip": True} if spec.flip else {}),
            **({"range": list(ends)} if spec.range and ends else {}),
            "classes": len(names),
            **of_domains(parts),
            **({"aligned": True} if isinstance(spec, ImagePairs) else {}),
            **({"scale": spec.scale} if isinstance(spec, ImagePairs) and spec.scale else {}),
            "class_names": names,
            "licence": "own images, licence not stated",
            "found": looked,
        }
        scaled, shards = scaling(found, spec, ends), None
        if store:
            shards = to_shards(scratch, store, spec, labels, heldout, domains, scaled, shard)
        else:
            copy_rows(scratch, new, spec, labels, heldout, domains, scaled)
        scratch.unlink()
        write_index(new, facts, shards)


def chunks(items: Iterable[Item], spec: Images) -> Iterator[list[Item]]:
    """The items in order, some at a time: not too many, and not too many bytes, encoded or decoded; pairs whole."""
    some: list[Item] = []
    size, most = 0, min(AT_ONCE, rows_of(AT_ONCE_BYTES, spec.shape, kept_as(spec)))
    for item in items:
        some.append(item)
        size += len(item.content) if isinstance(item.content, bytes) else item.content.nbytes
        if (len(some) >= most or size > AT_ONCE_BYTES) and not (isinstance(spec, ImagePairs) and len(some) % 2):
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
    """What is decoded of them: nothing of those that cannot be used whatever they hold."""
    return [b"" if item.fault else item.content for item in items]


def done(made: Chunk) -> Future[Chunk]:
    """A result that nobody needs to wait for."""
    future: Future[Chunk] = Future()
    future.set_result(made)
    return future


Scale = Callable[[NDArray[Any], slice | NDArray[np.int64]], NDArray[Any]]
"""From rows of the scratch file, which are so many of all, to packed ones."""


def scaling(found: Found, spec: Images, ends: Ends | None) -> Scale:
    """What is left to do where the range had to be measured: the rest is packed already."""
    deep, kind = np.frombuffer(found.deep, np.bool_), TYPES[spec.bits or 8]
    low, high = ends or (0.0, 1.0)

    def scaled(block: NDArray[Any], rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if spec.range != "measured":
            return block
        shares = np.where(deep[rows, None, None, None], (block.astype(np.float64) - low) / (high - low), block / 255.0)
        shares = np.where(np.isnan(block), spec.background / 255, shares)
        packed: NDArray[Any] = np.rint(shares.clip(0, 1) * spec.most).astype(kind)
        return packed

    return scaled


def split_mask(found: Found, labels: NDArray[np.int64] | None, spec: Images) -> NDArray[np.bool_]:
    """Which rows are held out: as the source says, or a share of each domain, the same images on the same side.

    Both images of a pair are on the side of its source.

    Raises:
        DataError: too few on one side of a domain.
    """
    heldout = np.frombuffer(found.heldout, np.bool_).copy()
    digests, domains = np.frombuffer(found.digests, f"V{DIGEST}"), np.frombuffer(found.domains, np.uint8)
    for domain in range(count_of(spec)):
        rows = np.flatnonzero(domains == domain)
        if domain and isinstance(spec, ImagePairs):
            heldout[rows] = heldout[domains == 0]
        elif not isinstance(spec.heldout, str):
            _, first, which = np.unique(digests[rows], return_index=True, return_inverse=True)
            order = np.argsort(first)  # the first of each content, as they come
            chosen = split(len(first), None if labels is None else labels[rows[first[order]]], spec.heldout)
            heldout[rows] = chosen[np.argsort(order)][which]
        enough(heldout[rows], f"heldout {spec.heldout}{in_domain(spec, domain)}")
    return heldout


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
    shape, kind = spec.shape, TYPES[spec.bits or 8]
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
            write_labels(folder, part, y)


def write_labels(folder: Path, part: str, y: NDArray[np.int64]) -> None:
    """The labels of a part, which always lie beside the index."""
    with ArrayWriter(folder / f"{part}.y.npy", y.shape, np.int64) as writer:
        writer.append(y)


def to_shards(
    scratch: Path,
    store: Store,
    spec: Images,
    labels: NDArray[np.int64] | None,
    heldout: NDArray[np.bool_],
    domains: NDArray[np.uint8],
    scale: Scale,
    size: int,
) -> dict[str, Any]:
    """The rows of the scratch file to the shards of their parts, in an order that says nothing of where they were.

    So rows that are neighbours are as mixed as any. Images that belong together stay in the same place of their domain.
    """
    shape, kind = spec.shape, TYPES[spec.bits or 8]
    count, written = count_of(spec), dict[str, Any]()
    for part, chosen in zip(PARTS, (~heldout, heldout), strict=True):
        of = [np.flatnonzero(chosen & (domains == d)) for d in range(count)]
        named = [0] * count if isinstance(spec, ImagePairs) else range(count)
        order = np.concatenate([r[shuffle(len(r), "packed", part, d).numpy()] for r, d in zip(of, named, strict=True)])
        writing = ShardWriter(store, scratch.parent, (len(order), *shape), kind, size)
        with scratch.open("rb") as file, writing as writer:
            each = rows_of(COPIED, shape, kept_as(spec))
            for rows in (order[k : k + each] for k in range(0, len(order), each)):
                writer.append(scale(taken(file, rows, shape, kept_as(spec)), rows))
        written[f"{part}.x"] = writer.written
        if labels is not None:
            write_labels(scratch.parent, part, labels[order])
    return {"url": store.url, **written}


def taken(file: BinaryIO, rows: NDArray[np.int64], shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
    """Some rows of the scratch file, in the order in which they are named. Read, not mapped: it may be of any size."""
    found = np.empty((len(rows), *shape), kind)
    each = found[0].nbytes
    for k, row in enumerate(rows.tolist()):
        os.preadv(file.fileno(), [found[k].data.cast("B")], row * each)
    return found


def blocks(scratch: Path, shape: tuple[int, ...], kind: type[np.generic]) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows of the scratch file, some at a time, with the number of the first."""
    each, start = prod(shape) * np.dtype(kind).itemsize, 0
    with scratch.open("rb") as file:
        while content := file.read(rows_of(COPIED, shape, kind) * each):
            block = np.frombuffer(content, kind).reshape(-1, *shape)
            yield start, block
            start += len(block)
