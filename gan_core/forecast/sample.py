"""Some of a user's images in place of all of them, and a prepared set of some as large as one of all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gan_core.config.schema import ImagePairs
from gan_core.data.evenly import evenly
from gan_core.data.found import folded
from gan_core.data.readers.images import chunk
from gan_core.data.readers.items import Item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gan_core.config.schema import Images

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


def drawn(items: Iterable[Item], spec: Images, folder: Path) -> Sample:
    """Write a sample of a source as a source of its own: a folder, or an npz file where it holds pixels."""
    kept, reading = evenly((item for item in items if not item.fault), 2 if isinstance(spec, ImagePairs) else 1)
    contents = [item.content for item in kept]
    begun, seen = time.perf_counter(), 0
    while seen < min(DECODED, len(contents)) and time.perf_counter() - begun < DECODING:
        chunk(contents[seen : seen + 10], spec)
        seen = min(seen + 10, len(contents))
    decoding = (time.perf_counter() - begun) / max(seen, 1)
    pixels = not isinstance(contents[0], bytes)
    path = as_arrays(kept, spec, folder / "sample.npz") if pixels else as_files(kept, spec, folder / "sample")
    return Sample(path, len(kept), reading, decoding)


def numbered(kept: list[Item], spec: Images) -> list[int]:
    """The class of each as a number, as many classes as there are; those that are one under another spelling, one."""
    labels = [str(item.label) for item in kept]
    if spec.spelling == "folded":
        labels = [folded(label) for label in labels]
    number = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    return [number[label] for label in labels]


def as_files(kept: list[Item], spec: Images, root: Path) -> Path:
    """A tree as ``readers/trees.py`` reads it."""
    numbers, paired = numbered(kept, spec), isinstance(spec, ImagePairs)
    for k, item in enumerate(kept):
        if paired and item.domain and not spec.folders:  # the other half of what is written
            continue
        above = [spec.folders[item.domain]] if spec.folders else []
        above += ["train" if item.part == "train" else "test"] if spec.heldout == "official" else []
        above += [f"class-{numbers[k]}"] if spec.labels else []
        path = root.joinpath(*above, f"{k // 2 if paired else k:06}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.content if isinstance(item.content, bytes) else b"")
    return root


def as_arrays(kept: list[Item], spec: Images, path: Path) -> Path:
    """Arrays as ``readers/arrays.py`` reads them."""
    found: dict[str, Any] = {}
    numbers = numbered(kept, spec)
    for part in dict.fromkeys(item.part for item in kept):
        rows = [k for k, item in enumerate(kept) if item.part == part]
        word = "test" if part == "heldout" else "train"
        found[f"x_{word}"] = np.stack([np.asarray(kept[k].content) for k in rows])
        if spec.labels:
            found[f"y_{word}"] = np.array([numbers[k] for k in rows], np.int64)
    np.savez(path, **found)
    return path


def enlarge(folder: Path, factor: float, heldout: float | str) -> float:
    """Repeat the rows of a prepared set, so that it has ``factor`` times as many of each domain, or fewer.

    ``heldout``: the share that is declared. Returns how much larger the set would have to be still.
    """
    from gan_core.data.packed import INDEX, PARTS, ArrayWriter, mapped, write_index

    index = json.loads((folder / INDEX).read_text())
    bytes_now = sum(about["bytes"] for about in index["files"].values())
    here = max(1.0, min(factor, LARGEST / bytes_now))
    domains = [index, *([index["other"]] if "other" in index else [])]
    totals = [sum(map(int, domain["counts"].values())) for domain in domains]
    for part in PARTS:
        counts = [int(domain["counts"][part]) for domain in domains]
        share = {} if isinstance(heldout, str) else {"train": 1 - heldout, "heldout": heldout}
        wanted = [
            round(here * (share[part] * total if share else count)) for count, total in zip(counts, totals, strict=True)
        ]
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
            new.replace(path)
        for domain, count in zip(domains, wanted, strict=True):
            domain["counts"][part] = count
            if part in domain.get("class_counts", {}):
                domain["class_counts"][part] = [round(c * here) for c in domain["class_counts"][part]]
    write_index(folder, {k: v for k, v in index.items() if k not in ("files", "sha256", "format")})
    return float(factor / here)


def pieces(rows: Any) -> Iterator[Any]:
    """Some rows at a time."""
    yield from (rows[k : k + 1024] for k in range(0, len(rows), 1024))
