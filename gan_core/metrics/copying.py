"""Has the generator memorised training samples?"""

from __future__ import annotations

import numpy as np

from gan_core.metrics.distances import Features, nearest


def copying(fake: Features, train: Features, heldout: Features) -> dict[str, float]:
    """How much nearer to the training samples drawn ones are than fairness allows.

    ``train_distance_ratio``: their mean distance to the nearest training sample, that of held-out samples being 1; a
    copier has 0 (after Meehan et al. 2020). ``nearer_to_train``: the share that is nearer to a training sample than to
    a held-out one, among as many of each; fair is 0.5. The second is not moved by bad samples, which are far from all.
    """
    _, new = nearest(fake, heldout)
    mixed = train[np.random.Generator(np.random.Philox(0)).permutation(len(train))]  # files are often sorted
    folds = [mixed[k : k + len(heldout)] for k in range(0, len(train) - len(heldout) + 1, len(heldout))]
    found = [nearest(fake, fold)[1] for fold in folds]
    share = np.mean([(d < new).mean() + (d == new).mean() / 2 for d in found]) if folds else np.nan
    ratio = nearest(fake, train)[1].mean() / nearest(heldout, train)[1].mean()
    return {"train_distance_ratio": float(ratio)} | ({"nearer_to_train": float(share)} if folds else {})
