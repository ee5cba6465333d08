"""All measures that apply to a data set, on one set of samples, with the protocol they were taken by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.core.artifact import Artifact
from gan_core.core.feature_names import feature_name, in_features
from gan_core.core.samples import Chosen, Sample, Samples, shrunk
from gan_core.data.split import LEAST_FOR_COVERAGE
from gan_core.metrics import copying
from gan_core.metrics.batching import fixed_rows, in_batches
from gan_core.metrics.distances import Features, frechet, kernel, pieces, prdc
from gan_core.metrics.drawn import thumbnails
from gan_core.metrics.extractor import OF_THE_SET
from gan_core.metrics.features import FeatureNetwork, feature_network
from gan_core.metrics.intervals import intervals
from gan_core.metrics.likelihood import parzen
from gan_core.metrics.modes import class_coverage, mode_coverage
from gan_core.metrics.recognition import SURE, label_hits, matched_accuracy, recognition, softmax
from gan_core.metrics.similarity import SMALLEST, likeness

if TYPE_CHECKING:
    from gan_core.config.schema import Evaluate
    from gan_core.data.prepared import Prepared

PRDC_LIMIT, NEIGHBOURS = 5_000, 5
"""Precision and recall, and KID, whose costs grow with the square, look at no more of either kind."""
PAIRS, WINDOWS, WINDOW_BYTES = 2_000, 10_000, 96 << 20
"""At most so many pairs are compared, and Parzen windows, or bytes of them, laid."""
COMPARED, LAID = 64, 32
"""Larger images are averaged to this height or width to be compared in pairs, and to be points among the windows."""
VALIDATION = 1_000
"""So many training samples choose the width of the Parzen windows."""
FEWEST = 20
"""A class with fewer held-out samples gets no KID of its own."""
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
        """A figure that is a mean over samples; of none there is no figure."""
        if len(values):
            self.means[name] = np.asarray(values, np.float64)
            self.figures[name] = float(self.means[name].mean())


class Domain(Protocol):
    """What is asked of a prepared data set."""

    @property
    def index(self) -> Mapping[str, Any]: ...

    @property
    def is_image(self) -> bool: ...

    def samples(self, part: str) -> Samples: ...

    def labels(self, part: str) -> Tensor | None: ...


@dataclass(frozen=True)
class Part:
    """Some samples of a part of a domain, a fixed choice in a fixed order, as files are often sorted."""

    network: FeatureNetwork
    domain: Domain
    part: str
    most: int
    space: str = "x"

    @property
    def whole(self) -> Samples:
        """All of the part."""
        return self.domain.samples(self.part)

    @cached_property
    def rows(self) -> Tensor:
        """Which rows these are."""
        return fixed_rows(self.whole, self.most, "compared", self.part)

    @property
    def samples(self) -> Samples:
        """The samples."""
        return Chosen(self.whole, self.rows)

    @cached_property
    def labels(self) -> Tensor | None:
        """Their labels, where there are any."""
        y = self.domain.labels(self.part)
        return None if y is None else y[self.rows]

    @property
    def flip(self) -> bool:
        """Whether a mirrored picture is one more of its kind."""
        return bool(self.domain.index.get("flip"))

    @cached_property
    def features(self) -> Features:
        """Their features."""
        data = str(self.domain.index.get("sha256"))
        return self.network.remembered(self.samples, data, self.space, self.part, len(self.rows))

    @cached_property
    def searched(self) -> tuple[NDArray[np.int64], Features]:
        """The rows among which neighbours are looked for, with their features: all, if the network is not costly."""
        if self.network.costly or len(self.rows) == len(self.whole):
            return self.rows.numpy(), self.features
        return np.arange(len(self.whole)), self.network(self.whole)


@dataclass(frozen=True)
class Reference:
    """What samples of a domain are compared with: held-out ones, in the features of a network.

    ``classifier``: the one of the data set, where it knows its classes well enough to be asked for them.
    """

    heldout: Part
    train: Part
    classifier: nn.Module | None = None
    _floors: dict[tuple[int, bool], Found] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(
        network: FeatureNetwork, domain: Domain, most: int, classifier: nn.Module | None = None, space: str = "x"
    ) -> Reference:
        """The reference of a domain, at most so many samples of either part."""
        heldout, train = (Part(network, domain, part, most, space) for part in ("heldout", "train"))
        return Reference(heldout, train, classifier)

    @property
    def network(self) -> FeatureNetwork:
        """In whose features samples are compared."""
        return self.heldout.network

    @property
    def domain(self) -> Domain:
        """Of the samples."""
        return self.heldout.domain

    @cached_property
    def fair(self) -> copying.Fair:
        """How far held-out samples are from training samples, and from each other."""
        return copying.of_heldout(self.network, self.train, self.heldout)

    def fd(self, fake: Samples) -> float:
        """The Frechet distance of samples from the held-out ones."""
        return frechet(self.heldout.features, self.network(fake))

    def logits(self, x: Samples) -> NDArray[np.float64]:
        """What the classifier takes samples for, (N, classes)."""
        out: NDArray[np.float64] = in_batches(self.classifier, x).double().numpy()
        return out

    def floor(self, count: int, labelled: bool) -> Found:
        """What so many training samples score, measured as drawn ones are; ``labelled``: under their labels."""
        if (count, labelled) not in self._floors:
            real, labels = Chosen(self.train.samples, torch.arange(count)), self.train.labels
            asked = {"label": labels[:count]} if labelled and labels is not None else {}
            found = measure(self, real, asked, self.train.features[:count])
            found.figures |= copying.floor(self.fair)
            self._floors[count, labelled] = found
        return self._floors[count, labelled]

    def protocol(self, fakes: int) -> dict[str, Any]:
        """How samples are compared with it."""
        return {
            "features": self.network.name,
            **{f"features_{name}": fact for name, fact in self.network.facts.items()},
            "real": "heldout",
            "real_count": len(self.heldout.rows),
            "fake_count": fakes,
            "floor": "training samples",
            "kid_count": PRDC_LIMIT,
            "prdc_count": prdc_count(len(self.heldout.rows), fakes),
            "prdc_neighbours": NEIGHBOURS,
        }


def prdc_count(real: int, fake: int) -> int:
    """How many of each precision, recall, density and coverage look at: the same number, and not too many."""
    return min(real, fake, PRDC_LIMIT)


def measure(
    reference: Reference, fake: Samples, inputs: Mapping[str, Any] | None = None, seen: Features | None = None
) -> Found:
    """Every measure that applies to samples; ``inputs``: label and category that they were drawn for, by prior.

    ``seen``: their features, where they are known: then they are training samples, and copies of themselves.
    """
    asked, real = inputs or {}, reference.heldout.features
    found = Found(seen=reference.network(fake) if seen is None else seen)
    few = found.seen[:PRDC_LIMIT]
    found.figures |= {"fd": frechet(real, found.seen), "kid": kernel(real[:PRDC_LIMIT], few)}
    n = prdc_count(len(real), len(few))
    if n >= LEAST_FOR_COVERAGE:  # the neighbourhoods of fewer are as wide as the data, and hold whatever is drawn
        for name, values in prdc(real[:n], few[:n], NEIGHBOURS).items():
            found.mean(name, values)
    small = thumbnails(fake, COMPARED) if reference.domain.is_image else fake
    if reference.classifier is not None:
        of_classes(found, reference, small, asked)
    if seen is None:
        found.figures |= copying.copying(
            reference.network, fake, found.seen, reference.train, reference.heldout, reference.fair
        )
    if reference.domain.is_image:
        of_images(found, reference, small, asked.get("label"))
    if truth := reference.domain.index.get("mixture"):
        points = fake[:].double().numpy()
        found.figures |= mode_coverage(points, np.array(truth["centres"]), truth["std"])
    return found


def of_classes(found: Found, reference: Reference, small: Samples, asked: Mapping[str, Tensor]) -> None:
    """What the classifier makes of samples: of all, of those of a label or category, and KID class by class."""
    logits, labels, real = reference.logits(small), reference.domain.labels("train"), reference.heldout.labels
    classes = logits.shape[1]
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
        own = of_each_class(reference.heldout.features, real.numpy(), found.seen, of)
        if own:
            found.figures |= {"kid_within_class": float(np.mean(list(own.values()))), "kid_of_class": own}
            found.facts["class_of_fake"] = "asked for" if "label" in asked else "as the classifier takes it"


def of_each_class(real: Features, labels: NDArray[np.int64], fake: Features, of: NDArray[np.int64]) -> dict[str, float]:
    """KID of the samples of each class against the real ones of it, where there are enough of both.

    Not a Frechet distance: few samples have no covariance, and KID of few is right on average.
    """
    pairs = {int(c): (real[labels == c][:PRDC_LIMIT], fake[of == c][:PRDC_LIMIT]) for c in np.unique(labels)}
    return {str(c): kernel(a, b) for c, (a, b) in pairs.items() if min(len(a), len(b)) >= FEWEST}


def of_images(found: Found, reference: Reference, small: Samples, labels: Tensor | None) -> None:
    """How alike drawn images are to each other, and how likely real ones under windows laid over them.

    Of large images, small copies are compared: likeness of pairs is then that of their shapes, and windows are laid
    in a space whose distances double precision can still tell apart.
    """
    if min(small.shape[2:]) >= SMALLEST:
        found.mean("ms_ssim", likeness(small, labels, PAIRS).numpy())
    real, train = reference.heldout.samples, reference.train.whole
    chosen = Chosen(train, fixed_rows(train, VALIDATION, "parzen"))
    numbers = prod(shrunk(small[:1], LAID).shape)
    most = min(WINDOWS, WINDOW_BYTES // (8 * numbers))
    windows, validation = (unit(thumbnails(x, LAID, most)[:]) for x in (small, chosen))
    rows = pieces(np.arange(min(len(real), WINDOWS)))
    points = (unit(thumbnails(Chosen(real, torch.from_numpy(some)), LAID)[:]) for some in rows)
    values, width = parzen(windows, validation, points)
    found.mean("parzen_nats", values)
    found.facts |= {"parzen_width": width, "parzen_windows": len(windows), "parzen_validation": "training samples"}


def unit(x: Sample) -> Features:
    """Images as points of pixels in [0, 1]: (N, C H W)."""
    return x.double().flatten(1).add_(1).div_(2).numpy()


def with_intervals(reference: Reference, found: Found, times: int, seed: int) -> dict[str, Any]:
    """The figures under their names in these features, what training samples score, and how far they would move."""
    spans = intervals(reference.heldout.features, found.seen, found.figures, found.means, times, seed)
    return {**named(reference, found.figures), "intervals": named(reference, spans)}


def named(reference: Reference, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures under the names that say in which features they are taken."""
    return {in_features(name, reference.network.name): value for name, value in figures.items()}


def references(data: Prepared, own: Artifact, asked: Evaluate, cache: Path | None = None) -> dict[str, Reference]:
    """The reference of every domain that samples are compared with; ``own``: the data set's classifier.

    Raises:
        DataError: the weights of a network are not there.
    """
    network = feature_network(feature_name(asked.features, data.shape), own, asked.inception, cache=cache)
    knows = own.notes["classes"] == OF_THE_SET and own.notes.get("heldout_accuracy", 0) >= asked.min_accuracy
    classifier = own.network if knows and data.classes > 1 else None
    return {
        space: Reference.of(network, domain, asked.samples, classifier, space)
        for space, domain in data.compared.items()
    }
