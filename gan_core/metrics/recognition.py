"""What a classifier that the generator has never met makes of its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SURE = 0.9


def label_hits(logits: NDArray[np.float64], asked: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each sample is taken for the class that was asked for."""
    return np.asarray(logits.argmax(1) == asked)


def label_accuracy(logits: NDArray[np.float64], asked: NDArray[np.int64]) -> float:
    """The share of samples taken for the class that was asked for."""
    return float(label_hits(logits, asked).mean())


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


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


def recognition(logits: NDArray[np.float64], real: NDArray[np.int64]) -> dict[str, float]:
    """Of logits (N, classes) of drawn samples; ``real``: how many real samples each class has.

    ``recognised``: the share of p >= 0.9. ``classes_seen``: classes with at least a tenth of their fair share.
    ``class_evenness``: the entropy of the predicted classes over log(classes); 1 is uniform. ``class_kl``: KL of the
    predicted classes from those of the real samples, where a class without any counts as half a sample.
    ``extractor_score``: exp E KL(p(y|x) || p(y)), the Inception score's formula (Salimans et al. 2016) with the
    project's own classifier, so not its value.
    """
    classes = logits.shape[1]
    p = softmax(logits)
    share = np.bincount(p.argmax(1), minlength=classes) / len(p)
    seen = share > 0
    entropy = -(share[seen] * np.log(share[seen])).sum()
    expected = np.maximum(real[seen], 0.5) / real.sum()
    tiny = np.finfo(np.float64).tiny
    score = np.exp((p * (np.log(p.clip(tiny)) - np.log(p.mean(0).clip(tiny)))).sum(1).mean())
    return {
        "recognised": float((p.max(1) >= SURE).mean()),
        "classes_seen": int((share >= 0.1 / classes).sum()),
        "class_evenness": float(entropy / np.log(classes)) if classes > 1 else 1.0,
        "class_kl": float((share[seen] * np.log(share[seen] / expected)).sum()),
        "extractor_score": float(score),
    }
