"""Has the generator memorised training samples?"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.core.samples import Chosen, Samples
from gan_core.metrics.distances import Features, nearest, squared_distances
from gan_core.metrics.drawn import thumbnails
from gan_core.metrics.features import FeatureNetwork

SEARCHED, FEW = 2_000, 500
"""So many samples' neighbours are looked for, and of a costly network's."""
SIDE, CANDIDATES = 16, 2
"""Of a costly network only those training samples are looked at that are nearest at so many pixels, so many each."""
PIECE = 4_096
"""So many of them at a time."""
HALF = 0.5
"""A copy is less than half as far from a training sample as from every held-out one."""


class Compared(Protocol):
    """Some samples of a part, with their features, and how many there are in all of it."""

    @property
    def samples(self) -> Samples: ...

    @property
    def features(self) -> Features: ...

    @property
    def whole(self) -> Samples: ...


def to_train(network: FeatureNetwork, x: Samples, seen: Features, train: Compared) -> NDArray[np.float64]:
    """The distance of samples to the nearest training sample; ``seen``: their features.

    Of a costly network: among the training samples whose features are known, and those of all that look alike at 16
    pixels; so a copy is always found, and another sample's neighbour nearly.
    """
    _, far = nearest(seen, train.features)
    if not network.costly:
        return far
    at = alike(x, train.whole)
    rows, which = np.unique(at, return_inverse=True)
    found = network(Chosen(train.whole, torch.from_numpy(rows)))[which.reshape(at.shape)]
    return np.asarray(np.minimum(far, np.sqrt(np.square(found - seen[:, None]).sum(2)).min(1)))


def alike(x: Samples, known: Samples) -> NDArray[np.int64]:
    """Of each image the known ones that are nearest at a few pixels, (N, CANDIDATES)."""
    small, others = (thumbnails(images, SIDE).raw.flatten(1).numpy() for images in (x, known))
    a = small.astype(np.float64)
    at, far = np.zeros((len(a), CANDIDATES), np.int64), np.full((len(a), CANDIDATES), np.inf)
    for start in range(0, len(others), PIECE):
        squares = squared_distances(a, others[start : start + PIECE].astype(np.float64))
        here = np.argsort(squares, 1, kind="stable")[:, :CANDIDATES]
        found = np.concatenate([far, np.take_along_axis(squares, here, 1)], 1)
        best = np.argsort(found, 1, kind="stable")[:, :CANDIDATES]
        at = np.take_along_axis(np.concatenate([at, here + start], 1), best, 1)
        far = np.take_along_axis(found, best, 1)
    return at


def copying(
    network: FeatureNetwork, x: Samples, seen: Features, train: Compared, heldout: Compared
) -> dict[str, float]:
    """How much nearer to the training samples drawn ones are than fairness allows; ``seen``: their features.

    ``copied``: the share of samples with a training sample less than half as far as every held-out one.
    ``train_distance_ratio``: their mean distance to the nearest training sample, that of held-out samples being 1; a
    copier has 0 (after Meehan et al. 2020). ``nearer_to_train``: the share that is nearer to a training sample than to
    a held-out one, among as many of each; fair is 0.5. The last is not moved by bad samples, which are far from all.
    """
    n = FEW if network.costly else SEARCHED
    some = Chosen(x, torch.arange(len(x))[:n])
    old = to_train(network, some, seen[:n], train)
    _, new = nearest(seen[:n], heldout.features)
    folds = [
        train.features[k : k + len(heldout.features)]
        for k in range(0, len(train.features) - len(heldout.features) + 1, len(heldout.features))
    ]
    found = [nearest(seen[:n], fold)[1] for fold in folds]
    share = np.mean([(d < new).mean() + (d == new).mean() / 2 for d in found]) if folds else np.nan
    figures = {
        "copied": float((old < HALF * new).mean()),
        "train_distance_ratio": float(old.mean() / of_heldout(network, train, heldout)[0].mean()),
    }
    return figures | ({"nearer_to_train": float(share)} if folds else {})


def floor(network: FeatureNetwork, train: Compared, heldout: Compared) -> dict[str, float]:
    """What held-out samples score, each against all others: fairness itself, but for chance copies in the data."""
    old, new = of_heldout(network, train, heldout)
    return {"copied": float((old < HALF * new).mean()), "train_distance_ratio": 1.0, "nearer_to_train": 0.5}


def of_heldout(
    network: FeatureNetwork, train: Compared, heldout: Compared
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of some held-out samples the distance to the nearest training sample, and to the nearest other held-out one."""
    n = FEW if network.costly else SEARCHED
    seen = heldout.features[:n]
    _, new = nearest(seen, heldout.features, skip=np.arange(len(seen)))
    return to_train(network, Chosen(heldout.samples, torch.arange(len(seen))), seen, train), new
