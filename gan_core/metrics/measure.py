"""All measures that apply to a data set, on one set of samples, with the protocol they were taken by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.metrics.distances import Features, frechet, kernel, prdc
from gan_core.metrics.modes import mode_coverage
from gan_core.metrics.recognition import label_accuracy, matched_accuracy, recognition
from gan_core.types import Sample

BATCH = 256
PRDC_LIMIT, NEIGHBOURS = 5_000, 5

Figure = tuple[str, float]
"""A measure and its value."""


def in_batches(function: Any, *columns: Tensor) -> Tensor:
    """A function of rows over many rows, a few at a time."""
    with torch.no_grad():
        return torch.cat([function(*(c[k : k + BATCH] for c in columns)) for k in range(0, len(columns[0]), BATCH)])


class Domain(Protocol):
    """What is asked of a prepared data set."""

    index: dict[str, Any]

    def samples(self, part: str) -> Sample: ...


@dataclass(frozen=True)
class Reference:
    """What fakes are compared with: an extractor, its features of the real samples, and facts about the data."""

    extractor: nn.Module
    real: Features
    index: Mapping[str, Any]

    @staticmethod
    def of(extractor: nn.Module, real: Sample, index: Mapping[str, Any]) -> Reference:
        """The reference for real samples."""
        return Reference(extractor, features(extractor, real), index)

    def fid(self, fake: Sample) -> float:
        """FID of samples against the reference."""
        return frechet(self.real, features(self.extractor, fake))

    @property
    def classifies(self) -> bool:
        """Whether the extractor can tell the classes of the data set; what k-means found are none."""
        return isinstance(getattr(self.extractor, "head", None), nn.Module) and self.index["classes"] > 1

    def logits(self, x: Sample) -> NDArray[np.float64]:
        """What the extractor takes samples for, (N, classes)."""
        out: NDArray[np.float64] = in_batches(self.extractor, x).double().numpy()
        return out

    def protocol(self, fakes: int) -> dict[str, Any]:
        """How samples are compared with it."""
        return {
            "real": "heldout",
            "real_count": len(self.real),
            "fake_count": fakes,
            "prdc_count": prdc_count(len(self.real), fakes),
            "prdc_neighbours": NEIGHBOURS,
        }


def references(extractor: nn.Module, spaces: Mapping[str, Domain]) -> dict[str, Reference]:
    """The reference of every domain: its held-out samples."""
    return {name: Reference.of(extractor, data.samples("heldout"), data.index) for name, data in spaces.items()}


def features(extractor: nn.Module, x: Sample) -> Features:
    """(N, D) float64."""
    out: NDArray[np.float64] = in_batches(extractor.features, x).double().numpy()
    return out


def prdc_count(real: int, fake: int) -> int:
    """How many of each precision, recall, density and coverage look at: the same number, and not too many."""
    return min(real, fake, PRDC_LIMIT)


def measure(reference: Reference, fake: Sample, inputs: Mapping[str, Tensor] | None = None) -> Iterator[Figure]:
    """Every measure that applies to samples; ``inputs``: label and category that they were drawn for, by prior.

    FID, KID and PRDC always; recognition with classes; modes with a known mixture.
    """
    found, asked = features(reference.extractor, fake), inputs or {}
    yield "fid", frechet(reference.real, found)
    yield "kid", kernel(reference.real, found)
    n = prdc_count(len(reference.real), len(found))
    yield from prdc(reference.real[:n], found[:n], NEIGHBOURS).items()
    if reference.classifies:
        logits = reference.logits(fake)
        yield from recognition(logits).items()
        if "label" in asked:
            yield "label_accuracy", label_accuracy(logits, asked["label"].numpy())
        if "category" in asked:
            yield "category_accuracy", matched_accuracy(logits.argmax(1), asked["category"].numpy())
    if truth := reference.index.get("mixture"):
        points = fake.double().numpy()
        yield from mode_coverage(points, np.array(truth["centres"]), truth["std"]).items()
