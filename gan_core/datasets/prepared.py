"""A prepared data set: packed arrays, one file each, and ``index.json``, which holds every fact that others may ask.

The files are plain NumPy arrays, mapped into memory, not read: a set may be larger than memory. Each is verified in
pieces before its first use.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from gan_core import files
from gan_core.errors import DataError
from gan_core.seeds import fold
from gan_core.types import Batch, Sample, Samples

if TYPE_CHECKING:
    from gan_core.config import Dataset
    from gan_core.datasets.sources import Raw

INDEX, PARTS = "index.json", ("train", "heldout")
HELD = 1 << 24
"""Numbers that a run keeps as floats, 64 MiB."""
FEWEST = 50
NO_RESERVE = 0x4000
"""Of Linux's mmap, which Python names from 3.13 on: memory is not promised for pages that nobody may ever write to."""


def prepare(raw: Raw, spec: Dataset, folder: Path) -> None:
    """Split each domain into training and held-out samples (the same share of every class), pack, write the index.

    Raises:
        DataError: too few samples for one of the parts.
    """
    domains = [parts(domain, spec.heldout) for domain in (raw, raw.other) if domain is not None]
    arrays = {name: np.concatenate([d[name] for d in domains]) for name in domains[0]}
    image = raw.samples.dtype == np.uint8
    h, w, c = raw.samples.shape[1:] if image else (0, 0, 0)
    facts = {
        "source": asdict(spec),
        "kind": "image" if image else "point",
        "shape": [c, h, w] if image else list(raw.samples.shape[1:]),
        "classes": raw.classes,
        **of_domains([counts(d, raw.classes) for d in domains]),
        **raw.facts,
    }
    with files.replacing(folder) as new:
        for name, array in arrays.items():
            with Packed(new / f"{name}.npy", array.shape, array.dtype) as packed:
                packed.append(array)
        write_index(new, facts)


class Packed:
    """A ``.npy`` file of a known shape, written row by row."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)

    def __enter__(self) -> Packed:
        self._file: BinaryIO = self.path.open("wb")
        about = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
        npy.write_array_header_1_0(self._file, about)
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """The next rows."""
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def write_index(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the index of a folder of packed arrays: facts, each file's size and sha256, one sha256 over all."""
    packed = {p.name: {"bytes": p.stat().st_size, "sha256": files.file_digest(p)} for p in sorted(folder.glob("*.npy"))}
    whole = files.digest(json.dumps(packed, sort_keys=True).encode())
    files.write_json(folder / INDEX, {**facts, "files": packed, "sha256": whole})


def parts(raw: Raw, share: float) -> dict[str, NDArray[Any]]:
    """The arrays of one domain: ``train.x`` and ``heldout.x`` and, with labels, ``train.y`` and ``heldout.y``."""
    heldout = split(len(raw.samples), raw.labels, share)
    enough(heldout, f"heldout {share}")
    arrays: dict[str, NDArray[Any]] = {}
    for part, chosen in (("train", ~heldout), ("heldout", heldout)):
        arrays[f"{part}.x"] = np.ascontiguousarray(raw.samples[chosen])
        if raw.labels is not None:
            arrays[f"{part}.y"] = raw.labels[chosen]
    return arrays


def enough(heldout: NDArray[np.bool_], declared: str) -> None:
    """Refuse a split that leaves too few on one side.

    Raises:
        DataError: with the numbers of both.
    """
    if min(heldout.sum(), (~heldout).sum()) < FEWEST:
        raise DataError(
            f"{declared} of {len(heldout)} samples leaves {(~heldout).sum()} to train on and "
            f"{heldout.sum()} to measure with; each needs at least {FEWEST}, so change heldout or bring more data"
        )


def of_domains(domains: list[dict[str, Any]]) -> dict[str, Any]:
    """What the index says of one domain or two: the first as it is, the second under ``other``."""
    return {"domains": len(domains), **domains[0], **({"other": domains[1]} if domains[1:] else {})}


def counts(arrays: Mapping[str, Any], classes: int) -> dict[str, dict[str, Any]]:
    """How many samples the parts of one domain have, in all and of every class."""
    return {
        "counts": {part: len(arrays[f"{part}.x"]) for part in ("train", "heldout")},
        "class_counts": {
            part: np.bincount(arrays[f"{part}.y"], minlength=classes).tolist()
            for part in ("train", "heldout")
            if f"{part}.y" in arrays
        },
    }


def split(count: int, labels: NDArray[np.int64] | None, share: float) -> NDArray[np.bool_]:
    """Which samples are held out: ``share`` of all, and of every class to within one, chosen by a fixed shuffle.

    Each class gives the whole part of its share; what is then missing comes from those with the largest rest.
    """
    source = np.random.Generator(np.random.Philox(fold("heldout", count)))
    order = source.permutation(count)
    classes, sizes = np.unique(labels if labels is not None else np.zeros(count), return_counts=True)
    take, rest = np.divmod(share * sizes, 1)
    chance = source.permutation(len(classes))
    take[np.lexsort((chance, -rest))[: round(share * count) - int(take.sum())]] += 1
    heldout = np.zeros(count, bool)
    for group, some in zip(classes, take.astype(int), strict=True):
        members = order if labels is None else order[labels[order] == group]
        heldout[members[:some]] = True
    return heldout


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
            self._files: dict[str, dict[str, Any]] = self.index["files"]
            self.shape: tuple[int, ...] = tuple(self.index["shape"])
            self.classes = int(self.index["classes"])
            self.domains = int(self.index["domains"])
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

    @property
    def is_image(self) -> bool:
        """Whether the samples are images."""
        return bool(self.index["kind"] == "image")

    @property
    def other(self) -> Prepared | None:
        """The second, unpaired domain as a data set of its own, where there is one."""
        if self.domains == 1:
            return None
        return self._view(self.index["other"], {p: slice(rows.stop, None) for p, rows in self._rows.items()})

    @property
    def spaces(self) -> dict[str, Prepared]:
        """Every domain under the name that inputs and outputs of networks give it."""
        return {"sample": self} | ({"other": self.other} if self.other else {})

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
        view._rows, view.domains = rows, 1
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
        """The same, every file verified and mapped now, not at its first use."""
        for name in self._files:
            self._array(name.removesuffix(".npy"))
        return self

    def raw(self, part: str) -> Tensor:
        """The packed samples of ``train`` or ``heldout``, mapped: uint8 (N, H, W, C) or float32 (N, D)."""
        return self._array(f"{part}.x")[self._rows[part]]

    def labels(self, part: str) -> Tensor | None:
        """Labels (N,) int64, where there are any."""
        return self._array(f"{part}.y")[self._rows[part]] if f"{part}.y.npy" in self._files else None

    def samples(self, part: str) -> Samples:
        """The samples of a part as the networks see them, converted as they are asked for."""
        return View(self.raw(part))


@dataclass(frozen=True)
class View:
    """Packed samples as the networks see them. Only what is asked for is converted, as they may not fit into memory."""

    raw: Tensor

    def __len__(self) -> int:
        return len(self.raw)

    def __getitem__(self, rows: Any) -> Sample:
        return to_model(self.raw[rows])


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


def united(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of two domains as those of one."""
    return {
        "counts": {part: first["counts"][part] + other["counts"][part] for part in PARTS},
        "class_counts": {
            part: [a + b for a, b in zip(first["class_counts"][part], other["class_counts"][part], strict=True)]
            for part in first["class_counts"]
        },
    }


def to_model(raw: Tensor) -> Sample:
    """Packed to model space: uint8 (N, H, W, C) to float32 (N, C, H, W) in [-1, 1]; points stay. The only scaling."""
    if raw.dtype != torch.uint8:
        return raw
    return raw.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


def held(raw: Tensor) -> Tensor:
    """Packed samples as a run keeps them: few of them in model space at once, more as they are, batch by batch."""
    return to_model(raw) if raw.numel() <= HELD else raw


class Epochs:
    """Which rows a batch holds: every epoch a new shuffle, the ragged end dropped. A function of (path, i) alone."""

    def __init__(self, count: int, size: int, device: str, *path: int | str) -> None:
        self.count, self.size, self.device, self.path = count, size, device, path
        self.length = count // size
        self._epoch, self._order = -1, torch.empty(0)

    def rows(self, i: int) -> Tensor:
        """The rows of the i-th batch: (size,) int64."""
        epoch, k = divmod(i, self.length)
        if epoch != self._epoch:
            source = torch.Generator().manual_seed(fold(*self.path, epoch))
            self._order = torch.randperm(self.count, generator=source).to(self.device)
            self._epoch = epoch
        return self._order[k * self.size : (k + 1) * self.size]


class Batches:
    """The batches of a run. The i-th is a function of (seed, i); two domains are shuffled independently."""

    def __init__(
        self,
        data: Prepared,
        batch_size: int,
        seed: int,
        noise: float = 0.0,
        device: str = "cpu",
        channels_last: bool = False,
    ) -> None:
        other = data.other
        self.x, self.y = held(data.raw("train")).to(device), data.labels("train")
        self.y = self.y.to(device) if self.y is not None else None
        self.other = held(other.raw("train")).to(device) if other is not None else None
        self.noise = noise
        self.channels_last = channels_last and data.is_image
        for x, domain in ((self.x, ""), (self.other, "the second domain of ")):
            if x is not None and len(x) < batch_size:
                raise DataError(
                    f"train.batch_size {batch_size} is more than the {len(x)} training samples of "
                    f"{domain}{data.folder}; lower it, or prepare more data"
                )
        self._epochs = Epochs(len(self.x), batch_size, device, seed, "epoch")
        if self.other is not None:
            self._other_epochs = Epochs(len(self.other), batch_size, device, seed, "other", "epoch")
        self.per_epoch = self._epochs.length

    def at(self, i: int) -> Batch:
        """The i-th batch of the run."""
        rows = self._epochs.rows(i)
        x, y = self._noisy(self.x[rows]), self.y[rows] if self.y is not None else None
        other = self._noisy(self.other[self._other_epochs.rows(i)]) if self.other is not None else None
        return Batch(x, y, other)

    def _noisy(self, raw: Tensor) -> Sample:
        x = to_model(raw)
        x = x + self.noise * torch.randn_like(x) if self.noise else x
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x
