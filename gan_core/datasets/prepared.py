"""A prepared data set: one packed file, and ``index.json``, which holds every fact about it that others may ask."""

from __future__ import annotations

import json
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
FEWEST = 50


def prepare(raw: Raw, spec: Dataset, folder: Path) -> None:
    """Split into training and held-out samples (the same share of every class), pack, and write the index.

    Raises:
        DataError: too few samples for one of the parts.
    """
    heldout = split(len(raw.samples), raw.labels, spec.heldout)
    if min(heldout.sum(), (~heldout).sum()) < FEWEST:
        raise DataError(
            f"heldout {spec.heldout} of {len(heldout)} samples leaves {(~heldout).sum()} to train on and "
            f"{heldout.sum()} to measure with; each needs at least {FEWEST}, so change heldout or bring more data"
        )
    arrays: dict[str, NDArray[Any]] = {}
    for part, chosen in (("train", ~heldout), ("heldout", heldout)):
        arrays[f"{part}.x"] = np.ascontiguousarray(raw.samples[chosen])
        if raw.labels is not None:
            arrays[f"{part}.y"] = raw.labels[chosen]
    content = save(arrays)
    image = raw.samples.dtype == np.uint8
    h, w, c = raw.samples.shape[1:] if image else (0, 0, 0)
    index = {
        "source": asdict(spec),
        "kind": "image" if image else "point",
        "shape": [c, h, w] if image else list(raw.samples.shape[1:]),
        "classes": raw.classes,
        "counts": {part: len(arrays[f"{part}.x"]) for part in ("train", "heldout")},
        "class_counts": {
            part: np.bincount(arrays[f"{part}.y"], minlength=raw.classes).tolist()
            for part in ("train", "heldout")
            if raw.labels is not None
        },
        "sha256": files.digest(content),
        **raw.facts,
    }
    files.write(folder / DATA, content)
    files.write_json(folder / INDEX, index)


def split(count: int, labels: NDArray[np.int64] | None, share: float) -> NDArray[np.bool_]:
    """Which samples are held out: ``share`` of every class, chosen by a fixed shuffle."""
    order = np.random.Generator(np.random.Philox(fold("heldout", count))).permutation(count)
    heldout = np.zeros(count, bool)
    for group in np.unique(labels) if labels is not None else [None]:
        members = order if group is None else order[labels[order] == group]  # type: ignore[index]
        heldout[members[: round(share * len(members))]] = True
    return heldout


class Prepared:
    """A prepared data set, read and verified.

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


class Batches:
    """The batches of a run. The i-th is a function of (seed, i): shuffled epochs, the ragged end dropped."""

    def __init__(self, data: Prepared, batch_size: int, seed: int, noise: float = 0.0, device: str = "cpu") -> None:
        self.x, self.y = data.raw("train").to(device), data.labels("train")
        self.y = self.y.to(device) if self.y is not None else None
        self.size, self.seed, self.noise = batch_size, seed, noise
        self.per_epoch = len(self.x) // batch_size
        self._epoch, self._order = -1, torch.empty(0)
        if self.per_epoch == 0:
            raise DataError(
                f"train.batch_size {batch_size} is more than the {len(self.x)} training samples of {data.folder}; "
                "lower it, or prepare more data"
            )

    def at(self, i: int) -> Batch:
        """The i-th batch of the run."""
        epoch, k = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            source = torch.Generator().manual_seed(fold(self.seed, "epoch", epoch))
            self._order = torch.randperm(len(self.x), generator=source).to(self.x.device)
            self._epoch = epoch
        chosen = self._order[k * self.size : (k + 1) * self.size]
        x = to_model(self.x[chosen])
        if self.noise:
            x = x + self.noise * torch.randn_like(x)
        return Batch(x, self.y[chosen] if self.y is not None else None)
