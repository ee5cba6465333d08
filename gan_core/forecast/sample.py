"""Some of a user's images in place of all of them, and a prepared set of some as large as one of all."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_core.data.readers.images import Content, chunk
from gan_core.data.readers.items import Item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gan_core.config.schema import Images

MOST, MOST_BYTES, PATIENCE = 800, 48 << 20, 5.0
"""Images of a sample, their bytes, and the seconds after which no more are read."""
DECODED, DECODING = 200, 2.0
"""Images that are decoded to see how long one takes, and seconds of it."""
LARGEST = 512 << 20
"""Bytes of a prepared set that stands for the whole; a larger one is stood for by less."""


@dataclass(frozen=True)
class Sample:
    """Where it lies, how many images it holds, and the seconds to read and to decode one, each of one core."""

    path: Path
    images: int
    reading: float
    decoding: float


def evenly(items: Iterable[Item]) -> tuple[list[Item], float]:
    """Some of a stream, evenly spaced over what is read of it in a few seconds, and the seconds to read one."""
    kept: list[Item] = []
    begun, stride, k = time.perf_counter(), 1, 0
    for k, item in enumerate(items, 1):
        if not (k - 1) % stride:
            kept.append(item)
        if len(kept) > 2 * MOST or sum(map(size_of, kept[-1:])) * len(kept) > 2 * MOST_BYTES:
            kept, stride = kept[::2], 2 * stride
        if time.perf_counter() - begun > PATIENCE and len(kept) > MOST // 4:
            break
    return kept, (time.perf_counter() - begun) / max(k, 1)


def size_of(item: Item) -> int:
    """Bytes of an image as its source holds it."""
    return len(item.content) if isinstance(item.content, bytes) else item.content.nbytes


def drawn(items: Iterable[Item], spec: Images, folder: Path) -> Sample:
    """Write a sample of a source as a source of its own: a folder, or an npz file where it holds pixels."""
    kept, reading = evenly(items)
    contents = [item.content for item in kept]
    begun, seen = time.perf_counter(), 0
    while seen < min(DECODED, len(contents)) and time.perf_counter() - begun < DECODING:
        chunk(contents[seen : seen + 10], spec)
        seen = min(seen + 10, len(contents))
    decoding = (time.perf_counter() - begun) / max(seen, 1)
    path = as_arrays(kept, folder / "sample.npz") if arrays(contents) else as_files(kept, spec, folder / "sample")
    return Sample(path, len(kept), reading, decoding)


def arrays(contents: list[Content]) -> bool:
    """Whether a source holds pixels and not files."""
    return not isinstance(contents[0], bytes)


def as_files(kept: list[Item], spec: Images, root: Path) -> Path:
    """A tree as ``readers/trees.py`` reads it."""
    domains = getattr(spec, "domains", None)
    names = {label: f"{k:06}" for k, label in enumerate(sorted({item.label for item in kept}, key=str))}
    for k, item in enumerate(kept):
        above = [domains[item.domain]] if domains else []
        above += ["train" if item.part == "train" else "test"] if spec.heldout == "official" else []
        above += [names[item.label]] if spec.labels else []
        path = root.joinpath(*above, f"{k:06}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.content if isinstance(item.content, bytes) else b"")
    return root


def as_arrays(kept: list[Item], path: Path) -> Path:
    """Arrays as ``readers/arrays.py`` reads them."""
    found: dict[str, Any] = {}
    numbers = {label: k for k, label in enumerate(sorted({item.label for item in kept}, key=str))}
    for part in dict.fromkeys(item.part for item in kept):
        rows = [item for item in kept if item.part == part]
        word = {None: "train", "train": "train", "heldout": "test"}[part]
        found[f"x_{word}"] = np.stack([np.asarray(item.content) for item in rows])
        if rows[0].label is not None:
            found[f"y_{word}"] = np.array([numbers[item.label] for item in rows], np.int64)
    np.savez(path, **found)
    return path


def enlarge(folder: Path, factor: float) -> float:
    """Repeat the rows of a prepared set, so that it has ``factor`` times as many of each part and domain, or fewer.

    Returns how much larger it would have to be still.
    """
    from gan_core.data.packed import INDEX, PARTS, ArrayWriter, mapped, write_index

    index = json.loads((folder / INDEX).read_text())
    bytes_now = sum(about["bytes"] for about in index["files"].values())
    here = max(1.0, min(factor, LARGEST / bytes_now))
    domains = [index, *([index["other"]] if "other" in index else [])]
    for part in PARTS:
        counts = [int(domain["counts"][part]) for domain in domains]
        wanted = [round(count * here) for count in counts]
        starts = np.cumsum([0, *counts[:-1]])
        rows = np.concatenate([s + np.arange(w) % c for s, w, c in zip(starts, wanted, counts, strict=True)])
        for axis in ("x", "y"):
            path = folder / f"{part}.{axis}.npy"
            if not path.is_file():
                continue
            old = mapped(path)
            new = path.with_suffix(".new")
            with ArrayWriter(new, (len(rows), *old.shape[1:]), old.dtype) as writer:
                for some in pieces(rows):
                    writer.append(old[some])
            del old
            os.replace(new, path)
        for domain, count in zip(domains, wanted, strict=True):
            domain["counts"][part] = count
            if part in domain.get("class_counts", {}):
                domain["class_counts"][part] = [round(c * here) for c in domain["class_counts"][part]]
    write_index(folder, {k: v for k, v in index.items() if k not in ("files", "sha256", "format")})
    return factor / here


def pieces(rows: Any) -> Iterator[Any]:
    """Some rows at a time."""
    yield from (rows[k : k + 1024] for k in range(0, len(rows), 1024))
