"""What a classifier that the generator has never met makes of its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SURE = 0.9


def label_accuracy(logits: NDArray[np.float64], asked: NDArray[np.int64]) -> float:
    """The share of samples taken for the class that was asked for."""
    return float((logits.argmax(1) == asked).mean())


def matched_accuracy(found: NDArray[np.int64], asked: NDArray[np.int64]) -> float:
    """The share of samples whose class is their category's, under the best one-to-one matching of the two.

    InfoGAN, Chen et al. 2016, section 7.2; the matching is that of Kuhn 1955.
    """
    from scipy.optimize import linear_sum_assignment  # a third of a second of import that few runs need

    count = max(int(found.max()), int(asked.max())) + 1
    together = np.bincount(found * count + asked, minlength=count * count).reshape(count, count)
    rows, columns = linear_sum_assignment(-together)
    return float(together[rows, columns].sum() / len(found))


def class_kept(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Of logits (N, classes) of samples and of what became of them: the share taken for the same class."""
    return float((before.argmax(1) == after.argmax(1)).mean())


def recognition(logits: NDArray[np.float64]) -> dict[str, float]:
    """Of logits (N, classes): the share recognised (p >= 0.9), classes seen, and how evenly (1 is uniform).

    A class counts as seen with at least a tenth of its fair share. ``class_evenness`` is the entropy of the
    predicted classes over log(classes).
    """
    n, classes = logits.shape
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    share = np.bincount(p.argmax(1), minlength=classes) / n
    seen = share[share > 0]
    return {
        "recognised": float((p.max(1) >= SURE).mean()),
        "classes_seen": int((share >= 0.1 / classes).sum()),
        "class_evenness": float(-(seen * np.log(seen)).sum() / np.log(classes)) if classes > 1 else 1.0,
    }
