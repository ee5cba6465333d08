"""Packed arrays: plain ``.npy`` files, written row by row and mapped into memory, and the one scaling of samples."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from gan_core.core.pixels import half
from gan_core.core.samples import Sample
from gan_core.runtime import files

if TYPE_CHECKING:
    from gan_core.data.shards import Rows

INDEX, PARTS = "index.json", ("train", "heldout")
FORMAT = 2
"""Of the prepared data sets that are written and read."""
NO_RESERVE = 0x4000
"""Of Linux's mmap, which Python names from 3.13 on: memory is not promised for pages that nobody may ever write to."""


class ArrayWriter:
    """A ``.npy`` file of a known shape, written row by row."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)

    def __enter__(self) -> ArrayWriter:
        self._file: BinaryIO = self.path.open("wb")
        about = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
        npy.write_array_header_1_0(self._file, about)
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """The next rows."""
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_index(folder: Path, facts: Mapping[str, Any], shards: Mapping[str, Any] | None = None) -> None:
    """Write the index of a folder of packed arrays: facts, each file's size and sha256, one sha256 over all.

    ``shards``: of what is packed elsewhere, each array's shards, and ``url``, where they are.
    """
    packed = {p.name: {"bytes": p.stat().st_size, "sha256": files.file_digest(p)} for p in sorted(folder.glob("*.npy"))}
    elsewhere = {name: about for name, about in (shards or {}).items() if name != "url"}
    window = {"shape": facts["shape"]} if "packed" in facts else {}  # the same arrays, of which other parts are seen
    whole = files.digest(json.dumps(packed | elsewhere | window, sort_keys=True).encode())
    stored = {"shards": shards} if shards else {}
    files.write_json(folder / INDEX, {**facts, "format": FORMAT, "files": packed, **stored, "sha256": whole})


def mapped(path: Path) -> NDArray[Any]:
    """The array of a ``.npy`` file, mapped. What is written to it stays in memory: the file changes under nobody.

    Not NumPy's own ``mmap_mode="c"``, which reserves memory for all of it, so that a larger array is refused.
    """
    with path.open("rb") as file:
        npy.read_magic(file)
        shape, _, dtype = npy.read_array_header_1_0(file)
        if not np.prod(shape):
            return np.empty(shape, dtype)
        pages = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE | NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE)
        return np.frombuffer(pages, dtype, offset=file.tell()).reshape(shape)


HALVES = {torch.uint8: half(8), torch.uint16: half(16)}
"""Half of white, by the type that images are packed in."""


def to_model(raw: Tensor) -> Sample:
    """Packed to model space: 8 or 16 bits (N, H, W, C) to float32 (N, C, H, W) in [-1, 1]; points stay.

    The only scaling.
    """
    if raw.dtype not in HALVES:
        return raw
    return raw.permute(0, 3, 1, 2).float().div_(HALVES[raw.dtype]).sub_(1).contiguous()


Packed = TypeVar("Packed", bound="Tensor | Rows")


@dataclass(frozen=True)
class View(Generic[Packed]):
    """Packed samples as the networks see them. Only what is asked for is converted, as they may not fit into memory."""

    raw: Packed

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, rows: Any) -> Sample:
        return to_model(self.raw[rows])

    @property
    def mixed(self) -> bool:
        """Whether the order of the rows says nothing, and rows that are neighbours lie together."""
        return not isinstance(self.raw, Tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the samples as a tensor: (N, C, H, W) of images, (N, D) of points."""
        n, *rest = self.raw.shape
        return (n, rest[2], *rest[:2]) if self.raw.dtype in HALVES else (n, *rest)
