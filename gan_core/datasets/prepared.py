"""A prepared data set: one packed file, and ``index.json``, which holds every fact about it that others may ask."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save
from safetensors.torch import load
from torch import Tensor

from gan_core import files
from gan_core.errors import DataError
from gan_core.seeds import fold
from gan_core.types import Batch, Sample

if TYPE_CHECKING:
    from gan_core.config import Dataset
    from gan_core.datasets.sources import Raw

DATA, INDEX = "data.safetensors", "index.json"
SECOND = ".other."
"""What stands for the dot in the names of the second domain's arrays."""
FEWEST = 50


def prepare(raw: Raw, spec: Dataset, folder: Path) -> None:
    """Split each domain into training and held-out samples (the same share of every class), pack, write the index.

    Raises:
        DataError: too few samples for one of the parts.
    """
    arrays = parts(raw, spec.heldout)
    image = raw.samples.dtype == np.uint8
    h, w, c = raw.samples.shape[1:] if image else (0, 0, 0)
    index = {
        "source": asdict(spec),
        "kind": "image" if image else "point",
        "shape": [c, h, w] if image else list(raw.samples.shape[1:]),
        "classes": raw.classes,
        "domains": 1,
        **counts(arrays, raw.classes),
        **raw.facts,
    }
    if raw.other is not None:
        other = parts(raw.other, spec.heldout)
        index |= {"domains": 2, "other": counts(other, raw.classes)}
        arrays |= {name.replace(".", SECOND): array for name, array in other.items()}
    content = save(arrays)
    files.write(folder / DATA, content)
    files.write_json(folder / INDEX, index | {"sha256": files.digest(content)})


def parts(raw: Raw, share: float) -> dict[str, NDArray[Any]]:
    """The arrays of one domain: ``train.x`` and ``heldout.x`` and, with labels, ``train.y`` and ``heldout.y``."""
    heldout = split(len(raw.samples), raw.labels, share)
    if min(heldout.sum(), (~heldout).sum()) < FEWEST:
        raise DataError(
            f"heldout {share} of {len(heldout)} samples leaves {(~heldout).sum()} to train on and "
            f"{heldout.sum()} to measure with; each needs at least {FEWEST}, so change heldout or bring more data"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for part, chosen in (("train", ~heldout), ("heldout", heldout)):
        arrays[f"{part}.x"] = np.ascontiguousarray(raw.samples[chosen])
        if raw.labels is not None:
            arrays[f"{part}.y"] = raw.labels[chosen]
    return arrays


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
    """A prepared data set, read and verified. Of two domains it shows the first; ``other`` shows the second.

    Raises:
        DataError: it is missing or not what was prepared.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.index: dict[str, Any] = json.loads((folder / INDEX).read_text())
            content = (folder / DATA).read_bytes()
            intact = files.digest(content) == self.index["sha256"]
            self._parts: dict[str, Tensor] = load(content) if intact else {}
            self.shape: tuple[int, ...] = tuple(self.index["shape"])
            self.classes = int(self.index["classes"])
            self.domains = int(self.index["domains"])
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} holds no prepared data set ({error.filename} is missing); run `dvc repro`"
            ) from None
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DataError(f"{folder} is damaged ({error}); remove it and run `dvc repro`") from error
        if not intact:
            raise DataError(f"{folder / DATA} is corrupt: not what {INDEX} describes; remove it and run `dvc repro`")

    @property
    def is_image(self) -> bool:
        """Whether the samples are images."""
        return bool(self.index["kind"] == "image")

    @property
    def other(self) -> Prepared | None:
        """The second, unpaired domain as a data set of its own, where there is one."""
        if self.domains == 1:
            return None
        return self._one_domain({k.replace(SECOND, "."): v for k, v in self._parts.items() if SECOND in k})

    @property
    def spaces(self) -> dict[str, Prepared]:
        """Every domain under the name that inputs and outputs of networks give it."""
        return {"sample": self} | ({"other": self.other} if self.other else {})

    @property
    def united(self) -> Prepared:
        """The samples of all domains as one domain; itself, where there is but one."""
        if (other := self.other) is None:
            return self
        return self._one_domain({k: torch.cat([self._parts[k], v]) for k, v in other._parts.items()})

    def _one_domain(self, parts: dict[str, Tensor]) -> Prepared:
        view = copy(self)
        view._parts, view.domains = parts, 1
        view.index = self.index | counts(parts, self.classes) | {"domains": 1}
        del view.index["other"]
        return view

    def raw(self, part: str) -> Tensor:
        """The packed samples of ``train`` or ``heldout``: uint8 (N, H, W, C) or float32 (N, D)."""
        return self._parts[f"{part}.x"]

    def labels(self, part: str) -> Tensor | None:
        """Labels (N,) int64, where there are any."""
        return self._parts.get(f"{part}.y")

    def samples(self, part: str) -> Sample:
        """All samples of a part as the networks see them."""
        return to_model(self.raw(part))


def to_model(raw: Tensor) -> Sample:
    """Packed to model space: uint8 (N, H, W, C) to float32 (N, C, H, W) in [-1, 1]; points stay. The only scaling."""
    if raw.dtype != torch.uint8:
        return raw
    return raw.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()


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
        self.x, self.y = data.raw("train").to(device), data.labels("train")
        self.y = self.y.to(device) if self.y is not None else None
        self.other = other.raw("train").to(device) if other is not None else None
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
