"""Which samples are held out: the same share of every class, chosen by a fixed shuffle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gan_core.runtime.errors import DataError
from gan_core.runtime.seeds import fold

LEAST_SAMPLES, LEAST_OF_PART = 20, 4
"""Samples in all, and of each part."""
LEAST_FOR_COVERAGE = 50
"""With fewer held-out samples it cannot be told how the data are covered."""


def split(count: int, labels: NDArray[np.int64] | None, share: float) -> NDArray[np.bool_]:
    """Which samples are held out: ``share`` of all, and of every class to within one, chosen by a fixed shuffle.

    Each class gives the whole part of its share; what is then missing comes from those with the largest rest, and from
    those that would have nothing left to train on only if there are no others.
    """
    source = np.random.Generator(np.random.Philox(fold("heldout", count)))
    order = source.permutation(count)
    classes, sizes = np.unique(labels if labels is not None else np.zeros(count), return_counts=True)
    take, rest = np.divmod(share * sizes, 1)
    chance = source.permutation(len(classes))
    order_of_rest = np.lexsort((chance, -rest, take + 1 >= sizes, rest == 0))
    take[order_of_rest[: round(share * count) - int(take.sum())]] += 1
    heldout = np.zeros(count, bool)
    for group, some in zip(classes, take.astype(int), strict=True):
        members = order if labels is None else order[labels[order] == group]
        heldout[members[:some]] = True
    return heldout


def enough(heldout: NDArray[np.bool_], declared: str) -> None:
    """Refuse too few samples, or a split that leaves too few on one side.

    Raises:
        DataError: with the numbers of both.
    """
    if len(heldout) < LEAST_SAMPLES or min(heldout.sum(), (~heldout).sum()) < LEAST_OF_PART:
        raise DataError(
            f"{declared} of {len(heldout)} samples leaves {(~heldout).sum()} to train on and {heldout.sum()} to "
            f"measure with; {LEAST_SAMPLES} in all and {LEAST_OF_PART} of each are the least, so change heldout or "
            "bring more data"
        )
