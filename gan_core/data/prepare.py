"""A data set of the project's own sources to packed arrays and their index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.data.packed import ArrayWriter, write_index
from gan_core.data.split import enough, split
from gan_core.runtime import files

if TYPE_CHECKING:
    from gan_core.config.schema import Dataset
    from gan_core.data.sources import Raw


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
            with ArrayWriter(new / f"{name}.npy", array.shape, array.dtype) as writer:
                writer.append(array)
        write_index(new, facts)


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
