"""Has the generator memorised training samples?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.core.samples import Chosen, Sample, Samples
from gan_core.metrics.distances import Features, nearest, squared_distances
from gan_core.metrics.drawn import thumbnails
from gan_core.metrics.features import FeatureNetwork

SEARCHED, FEW = 2_000, 500
"""So many samples' neighbours are looked for, and of a costly network's."""
SIDE, CANDIDATES = 16, 2
"""Of a costly network only those training samples are looked at that are nearest at so many pixels, so many each."""
PIECE = 4_096
"""So many of them at a time."""
Fair = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of held-out samples the distance to the nearest training sample, and to the nearest other held-out one."""
HALF = 0.5
"""A copy is less than half as far from a training sample as from every held-out one."""


class Compared(Protocol):
    """Some samples of a part with their features; all of it; the rows of it among which neighbours are looked for."""

    @property
    def samples(self) -> Samples: ...

    @property
    def features(self) -> Features: ...

    @property
    def whole(self) -> Samples: ...

    @property
    def searched(self) -> tuple[NDArray[np.int64], Features]: ...

    @property
    def flip(self) -> bool:
        """Whether a mirrored picture is one more of its kind: then a mirrored copy is a copy."""
        ...


@dataclass(frozen=True)
class Mirrored:
    """Pictures, left for right."""

    samples: Samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: Any) -> Sample:
        return self.samples[rows].flip(3)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of a tensor."""
        return self.samples.shape


Seen = Sequence[tuple[Samples, Features]]
"""Samples with their features, and where a mirrored picture is one more of its kind, mirrored ones with theirs."""
Nearest = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Of each sample the row of the nearest other one, and its distance."""


def both_ways(network: FeatureNetwork, x: Samples, seen: Features, flip: bool) -> Seen:
    """Samples as they are and, where ``flip`` says so, mirrored; ``seen``: their features."""
    return [(x, seen), (Mirrored(x), network(Mirrored(x)))] if flip else [(x, seen)]


def nearer(found: Sequence[Nearest]) -> Nearest:
    """Of several answers the nearest, sample by sample."""
    (at, far), *others = found
    for also, distance in others:
        at, far = np.where(distance < far, also, at), np.minimum(distance, far)
    return at, far


def nearest_of(network: FeatureNetwork, samples: Seen, train: Compared) -> Nearest:
    """The rows of the nearest training samples, of all there are, and their distances.

    Of a costly network: among those whose features are known, and those of all that look alike at 16 pixels; so a copy
    is always found, and another sample's neighbour nearly.
    """
    return nearer([nearest_as_it_is(network, x, seen, train) for x, seen in samples])


def nearest_as_it_is(network: FeatureNetwork, x: Samples, seen: Features, train: Compared) -> Nearest:
    """The same, for samples one way round."""
    rows, known = train.searched
    at, far = nearest(seen, known)
    at = rows[at]
    if len(rows) == len(train.whole):
        return at, far
    near = alike(x, train.whole)
    asked, which = np.unique(near, return_inverse=True)
    found = network(Chosen(train.whole, torch.from_numpy(asked)))[which.reshape(near.shape)]
    distances = np.sqrt(np.square(found - seen[:, None]).sum(2))
    best = distances.argmin(1)[:, None]
    closer = np.take_along_axis(distances, best, 1)[:, 0]
    return np.where(closer < far, np.take_along_axis(near, best, 1)[:, 0], at), np.minimum(closer, far)


def alike(x: Samples, known: Samples) -> NDArray[np.int64]:
    """Of each image the known ones that are nearest at a few pixels, (N, CANDIDATES)."""
    a = thumbnails(x, SIDE).raw.flatten(1).double().numpy()
    at, far = np.zeros((len(a), CANDIDATES), np.int64), np.full((len(a), CANDIDATES), np.inf)
    for rows in torch.split(torch.arange(len(known)), PIECE):
        squares = squared_distances(a, thumbnails(Chosen(known, rows), SIDE).raw.flatten(1).double().numpy())
        here = np.argsort(squares, 1, kind="stable")[:, :CANDIDATES]
        found = np.concatenate([far, np.take_along_axis(squares, here, 1)], 1)
        best = np.argsort(found, 1, kind="stable")[:, :CANDIDATES]
        at = np.take_along_axis(np.concatenate([at, rows.numpy()[here]], 1), best, 1)
        far = np.take_along_axis(found, best, 1)
    return at


def copying(
    network: FeatureNetwork, x: Samples, seen: Features, train: Compared, heldout: Compared, fair: Fair
) -> dict[str, float]:
    """How much nearer to the training samples drawn ones are than fairness allows; ``seen``: their features.

    ``fair``: what held-out samples have (``of_heldout``).

    ``copied``: the share of samples with a training sample less than half as far as every held-out one.
    ``train_distance_ratio``: their mean distance to the nearest training sample, that of held-out samples being 1; a
    copier has 0 (after Meehan et al. 2020); left out where every held-out sample is a training sample.
    ``nearer_to_train``: the share that is nearer to a training sample than to a held-out one, among as many of each;
    fair is 0.5. The last is not moved by bad samples, which are far from all.
    """
    n = FEW if network.costly else SEARCHED
    some = both_ways(network, Chosen(x, torch.arange(len(x))[:n]), seen[:n], train.flip)
    _, old = nearest_of(network, some, train)
    _, new = nearer([nearest(each, heldout.features) for _, each in some])
    folds = [
        train.features[k : k + len(heldout.features)]
        for k in range(0, len(train.features) - len(heldout.features) + 1, len(heldout.features))
    ]
    found = [nearer([nearest(each, fold) for _, each in some])[1] for fold in folds]
    share = np.mean([(d < new).mean() + (d == new).mean() / 2 for d in found]) if folds else np.nan
    figures = {"copied": float((old < HALF * new).mean())}
    if fair[0].any():
        figures["train_distance_ratio"] = float(old.mean() / fair[0].mean())
    return figures | ({"nearer_to_train": float(share)} if folds else {})


def floor(fair: Fair) -> dict[str, float]:
    """What held-out samples score, each against all others: fairness itself, but for chance copies in the data."""
    old, new = fair
    return {"copied": float((old < HALF * new).mean()), "train_distance_ratio": 1.0, "nearer_to_train": 0.5}


def of_heldout(network: FeatureNetwork, train: Compared, heldout: Compared) -> Fair:
    """Of some held-out samples the distance to the nearest training sample, and to the nearest other held-out one."""
    n = FEW if network.costly else SEARCHED
    seen = heldout.features[:n]
    some = both_ways(network, Chosen(heldout.samples, torch.arange(len(seen))), seen, train.flip)
    others = [nearest(each, heldout.features, skip=np.arange(len(each))) for _, each in some]
    return nearest_of(network, some, train)[1], nearer(others)[1]
