"""All measures that apply to a data set, on one set of samples, with the protocol they were taken by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.core.samples import Chosen, Sample, Samples
from gan_core.metrics.batching import features, fixed_rows, in_batches
from gan_core.metrics.copying import copying
from gan_core.metrics.distances import Features, frechet, kernel, pieces, prdc
from gan_core.metrics.drawn import thumbnails
from gan_core.metrics.intervals import intervals
from gan_core.metrics.likelihood import parzen
from gan_core.metrics.modes import class_coverage, mode_coverage
from gan_core.metrics.recognition import SURE, label_hits, matched_accuracy, recognition, softmax
from gan_core.metrics.similarity import likeness

PRDC_LIMIT, NEIGHBOURS = 5_000, 5
PAIRS, WINDOWS, COPIES = 2_000, 10_000, 2_000
"""At most so many pairs are compared, Parzen windows laid, and neighbours of samples looked for."""
COMPARED, LAID = 64, 32
"""Larger images are averaged to this height or width to be compared in pairs, and to be points among the windows."""
VALIDATION = 1_000
"""So many training samples choose the width of the Parzen windows."""
FEWEST = 20
"""A class with fewer held-out samples gets no FID of its own."""
MANY = 100
"""From so many classes on, the classes are what modes are counted by."""


@dataclass
class Found:
    """Figures by name; of those that are means over samples, the values too; and facts about how they were taken.

    ``seen``: the samples' features.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    means: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    seen: Features = field(default_factory=lambda: np.empty((0, 0)))

    def mean(self, name: str, values: NDArray[Any]) -> None:
        """A figure that is a mean over samples."""
        self.means[name] = np.asarray(values, np.float64)
        self.figures[name] = float(self.means[name].mean())


class Domain(Protocol):
    """What is asked of a prepared data set."""

    index: dict[str, Any]

    @property
    def is_image(self) -> bool: ...

    def samples(self, part: str) -> Samples: ...

    def labels(self, part: str) -> Tensor | None: ...


@dataclass(frozen=True)
class Reference:
    """What fakes are compared with: an extractor, its features of the real samples, and facts about the data."""

    extractor: nn.Module
    real: Features
    index: Mapping[str, Any]
    domain: Domain | None = None

    @staticmethod
    def of(extractor: nn.Module, real: Samples, index: Mapping[str, Any], domain: Domain | None = None) -> Reference:
        """The reference for real samples."""
        return Reference(extractor, features(extractor, real), index, domain)

    def fid(self, fake: Samples) -> float:
        """FID of samples against the reference."""
        return frechet(self.real, features(self.extractor, fake))

    @property
    def classifies(self) -> bool:
        """Whether the extractor can tell the classes of the data set; what k-means found are none."""
        return isinstance(getattr(self.extractor, "head", None), nn.Module) and self.index["classes"] > 1

    def logits(self, x: Samples) -> NDArray[np.float64]:
        """What the extractor takes samples for, (N, classes)."""
        out: NDArray[np.float64] = in_batches(self.extractor, x).double().numpy()
        return out

    @cached_property
    def train(self) -> Features:
        """The features of the training samples."""
        assert self.domain is not None
        return features(self.extractor, self.domain.samples("train"))

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
    return {n: Reference.of(extractor, data.samples("heldout"), data.index, data) for n, data in spaces.items()}


def prdc_count(real: int, fake: int) -> int:
    """How many of each precision, recall, density and coverage look at: the same number, and not too many."""
    return min(real, fake, PRDC_LIMIT)


def measure(reference: Reference, fake: Samples, inputs: Mapping[str, Any] | None = None) -> Found:
    """Every measure that applies to samples; ``inputs``: label and category that they were drawn for, by prior."""
    seen, asked = features(reference.extractor, fake), inputs or {}
    found = Found(seen=seen)
    found.figures |= {"fid": frechet(reference.real, seen), "kid": kernel(reference.real, seen)}
    n = prdc_count(len(reference.real), len(seen))
    for name, values in prdc(reference.real[:n], seen[:n], NEIGHBOURS).items():
        found.mean(name, values)
    if reference.classifies:
        of_classes(found, reference, fake, seen, asked)
    if reference.domain is not None:
        found.figures |= copying(seen[:COPIES], reference.train, reference.real[:COPIES])
        if reference.domain.is_image:
            of_images(found, reference.domain, fake, asked.get("label"))
    if truth := reference.index.get("mixture"):
        points = fake[:].double().numpy()
        found.figures |= mode_coverage(points, np.array(truth["centres"]), truth["std"])
    return found


def of_classes(found: Found, reference: Reference, fake: Samples, seen: Features, asked: Mapping[str, Tensor]) -> None:
    """What a classifier makes of them: of all, of those of a label or category, and FID class by class."""
    logits, domain = reference.logits(fake), reference.domain
    classes = logits.shape[1]
    labels, real = (domain.labels(part) if domain is not None else None for part in ("train", "heldout"))
    counts = np.bincount(labels.numpy(), minlength=classes) if labels is not None else np.ones(classes, np.int64)
    found.figures |= recognition(logits, counts)
    found.mean("recognised", softmax(logits).max(1) >= SURE)
    if "label" in asked:
        found.mean("label_accuracy", label_hits(logits, asked["label"].numpy()))
    if "category" in asked:
        found.figures["category_accuracy"] = matched_accuracy(logits.argmax(1), asked["category"].numpy())
    if classes >= MANY:
        found.figures |= class_coverage(logits.argmax(1), classes)
    if real is not None:
        of = asked["label"].numpy() if "label" in asked else logits.argmax(1)
        own = of_each_class(reference.real, real.numpy(), seen, of)
        if own:
            found.figures |= {"fid_within_class": float(np.mean(list(own.values()))), "fid_of_class": own}
            found.facts["class_of_fake"] = "asked for" if "label" in asked else "as the extractor takes it"


def of_each_class(real: Features, labels: NDArray[np.int64], fake: Features, of: NDArray[np.int64]) -> dict[str, float]:
    """FID of the samples of each class against the real ones of it, where there are enough of both."""
    pairs = {int(c): (real[labels == c], fake[of == c]) for c in np.unique(labels)}
    return {str(c): frechet(a, b) for c, (a, b) in pairs.items() if min(len(a), len(b)) >= FEWEST}


def of_images(found: Found, domain: Domain, fake: Samples, labels: Tensor | None) -> None:
    """How alike drawn images are to each other, and how likely real ones under windows laid over them.

    Of large images, small copies are compared: likeness of pairs is then that of their shapes, and windows are laid
    in a space whose distances double precision can still tell apart.
    """
    real, train = domain.samples("heldout"), domain.samples("train")
    if min(fake.shape[2:]) >= 6:
        of_real = domain.labels("heldout") if labels is not None else None
        found.mean("ms_ssim", likeness(thumbnails(fake, COMPARED, PAIRS), labels, PAIRS).numpy())
        found.facts["ms_ssim_of_heldout"] = float(likeness(thumbnails(real, COMPARED, PAIRS), of_real, PAIRS).mean())
    chosen = Chosen(train, fixed_rows(len(train), VALIDATION, "parzen"))
    windows, validation = (unit(thumbnails(x, LAID, WINDOWS)) for x in (fake, chosen))
    points = (
        unit(thumbnails(Chosen(real, torch.from_numpy(rows)), LAID))
        for rows in pieces(np.arange(min(len(real), WINDOWS)))
    )
    values, width = parzen(windows, validation, points)
    found.mean("parzen_nats", values)
    found.facts |= {"parzen_width": width, "parzen_windows": len(windows), "parzen_validation": "training samples"}


def unit(x: Sample) -> Features:
    """Images as points of pixels in [0, 1]: (N, C H W)."""
    return x.double().flatten(1).add_(1).div_(2).numpy()


def with_intervals(reference: Reference, found: Found, times: int, seed: int) -> dict[str, Any]:
    """The figures, and under ``intervals`` how far those would move that could be told."""
    found_intervals = intervals(reference.real, found.seen, found.figures, found.means, times, seed)
    return found.figures | {"intervals": found_intervals}
