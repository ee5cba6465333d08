"""A prepared data set: packed arrays and ``index.json``, which holds every fact that others may ask.

An array is a file, or samples in shards that lie in a store (``store.py``). Files are mapped into memory, not read: a
set may be larger than memory. Each is verified before its first use.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_core.core.pixels import TYPES
from gan_core.core.samples import Samples
from gan_core.data.packed import FORMAT, INDEX, PARTS, View, mapped
from gan_core.data.shards import Rows
from gan_core.data.store import Store
from gan_core.runtime import files
from gan_core.runtime.errors import DataError


class Prepared:
    """A prepared data set, mapped into memory. Of two domains it shows the first; ``other`` shows the second.

    Raises:
        DataError: it is missing or, at the first use of a part, not what was prepared.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays: dict[str, Tensor] = {}
        try:
            self.index: dict[str, Any] = json.loads((folder / INDEX).read_text())
            if (written := self.index.get("format")) != FORMAT:
                raise files.other_format(folder, written, FORMAT)
            self._files: dict[str, dict[str, Any]] = self.index["files"]
            self._shards: dict[str, Any] = self.index.get("shards", {})
            self.shape: tuple[int, ...] = tuple(self.index["shape"])
            self.classes = int(self.index["classes"])
            self.domains = int(self.index["domains"])
            self.bits = int(self.index.get("bits", 8))
            self.scale = int(self.index.get("scale", 1))
            """How many times as high and wide as sources the samples of this shape are, of pairs of two sizes."""
            self.packed: tuple[int, int] | None = tuple(self.index["packed"]) if "packed" in self.index else None
            """Height and width of pictures of which the networks see a window at a time; None: they see all."""
            self._sides = (slice(None, None, self.scale),) * 2 if self.scale > 1 else self._middle
            first = self.index["counts"]
            self._rows = {part: slice(0, int(first[part])) for part in PARTS}
            sizes = {name: (folder / name).stat().st_size for name in self._files}
            intact = all(sizes[name] == about["bytes"] for name, about in self._files.items())
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} holds no prepared data set ({error.filename} is missing); run `dvc repro`"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{folder} is damaged ({error}); remove it and run `dvc repro`") from error
        if not intact:
            raise DataError(f"{folder} is damaged (a file is cut short); remove it and run `dvc repro`")
        self._store = Store(self._shards["url"]) if self._shards else None

    @property
    def is_image(self) -> bool:
        """Whether the samples are images."""
        return bool(self.index["kind"] == "image")

    @property
    def flip(self) -> bool:
        """Whether a picture in a mirror is one more of its kind."""
        return bool(self.index.get("flip", False))

    @property
    def other(self) -> Prepared | None:
        """The second domain as a data set of its own, where there is one."""
        if self.domains == 1:
            return None
        return self._view(self.index["other"], {p: slice(rows.stop, None) for p, rows in self._rows.items()})

    @property
    def aligned(self) -> bool:
        """Whether row k of the second domain belongs to row k of the first: pairs."""
        return bool(self.index.get("aligned", False))

    @property
    def spaces(self) -> dict[str, Prepared]:
        """Every domain under the name of its field in a batch, each with the shape of its samples."""
        return {"x": self._sources} | ({"x_b": self.other} if self.other else {})

    @property
    def compared(self) -> dict[str, Prepared]:
        """The domains that samples are compared with: of pairs of two sizes the targets alone."""
        return {space: domain for space, domain in self.spaces.items() if domain.shape == self.shape}

    @property
    def _sources(self) -> Prepared:
        """The first domain; of pairs of two sizes with the shape of the smaller."""
        if self.scale == 1:
            return self
        view = copy(self)
        view.shape = (self.shape[0], *(side // self.scale for side in self.shape[1:]))
        return view

    @property
    def united(self) -> Prepared:
        """The samples of all domains as one domain; itself, where there is but one."""
        if self.domains == 1:
            return self
        return self._view(united(self.index, self.index["other"]), dict.fromkeys(PARTS, slice(None)))

    def labelled(self, labels: Mapping[str, Tensor], classes: int) -> Prepared:
        """The same samples under other labels, one row of them a part."""
        view = self._view({}, self._rows)
        view._arrays, view.classes = self._arrays | {f"{part}.y": y for part, y in labels.items()}, classes
        view._files = self._files | {f"{part}.y.npy": {} for part in labels}
        return view

    def _view(self, facts: Mapping[str, Any], rows: dict[str, slice]) -> Prepared:
        view = copy(self)
        view._rows, view.domains, view._sides = rows, 1, view._middle
        view.index = {k: v for k, v in self.index.items() if k != "other"} | {**facts, "domains": 1}
        return view

    def _array(self, name: str) -> Tensor:
        if name not in self._arrays:
            path = self.folder / f"{name}.npy"
            if files.file_digest(path) != self._files[path.name]["sha256"]:
                raise DataError(f"{path} is corrupt: not what {INDEX} describes; remove it and run `dvc repro`")
            self._arrays[name] = torch.from_numpy(mapped(path))
        return self._arrays[name]

    def read(self) -> Prepared:
        """The same, every file verified and mapped now, not at its first use; not what lies in shards."""
        for name in self._files:
            self._array(name.removesuffix(".npy"))
        return self

    @property
    def _middle(self) -> tuple[slice, slice]:
        """What is looked at of packed pictures where no batch takes a window of them."""
        if self.packed is None:
            return slice(None), slice(None)
        starts = [(whole - seen) // 2 for whole, seen in zip(self.packed, self.shape[1:], strict=True)]
        high, wide = (slice(at, at + seen) for at, seen in zip(starts, self.shape[1:], strict=True))
        return high, wide

    def raw(self, part: str, whole: bool = False) -> Tensor | Rows:
        """The packed samples of ``train`` or ``heldout``, mapped: 8 or 16 bits (N, H, W, C) or float32 (N, D).

        Sources that are smaller than their targets are packed as large, each pixel as often as it takes. Of pictures
        that are packed larger than the networks see them it is the middle, or the ``whole``.
        """
        sides = (slice(None), slice(None)) if whole and self.packed else self._sides
        if self._store:
            height, width = self.packed or tuple(int(n) for n in self.index["shape"][1:])
            stored = Rows(self._store, self._shards[f"{part}.x"], (height, width, self.shape[0]), TYPES[self.bits])
            return stored.part(self._rows[part], sides)
        rows = self._array(f"{part}.x")[self._rows[part]]
        return rows[:, sides[0], sides[1]] if self.is_image else rows

    def labels(self, part: str) -> Tensor | None:
        """Labels (N,) int64, where there are any."""
        return self._array(f"{part}.y")[self._rows[part]] if f"{part}.y.npy" in self._files else None

    def samples(self, part: str) -> Samples:
        """The samples of a part as the networks see them, converted as they are asked for."""
        return View(self.raw(part))


def united(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of two domains as those of one."""
    return {
        "counts": {part: first["counts"][part] + other["counts"][part] for part in PARTS},
        "class_counts": {
            part: [a + b for a, b in zip(first["class_counts"][part], other["class_counts"][part], strict=True)]
            for part in first["class_counts"]
        },
    }
