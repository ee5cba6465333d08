"""Trains the classifier whose features the metrics look at, and finds classes for it where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from gan_core.seeds import fold
from gan_core.training.progress import Progress
from gan_core.types import Batch, Sample

PIECE = 256
"""Samples looked at at once."""
CLUSTERS, CLUSTERED, SMALL = 10, 10_000, 8
"""Classes that k-means finds, the images it looks at to find them, and how many pixels high and wide it sees them."""


def train_classifier(
    network: nn.Module, batch_at: Callable[[int], Batch], steps: int, seed: int, learning_rate: float = 2e-3
) -> nn.Module:
    """Cross-entropy with Adam, the rate falling linearly to zero; a function of the seed and the batches."""
    adam = torch.optim.Adam(network.parameters(), learning_rate, fused=True)
    decay = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, total_iters=steps)
    progress = Progress("extractor", steps)
    for step in range(steps):
        torch.manual_seed(fold(seed, "extractor", step))
        batch = batch_at(step)
        assert batch.y is not None
        loss = cross_entropy(network(batch.x), batch.y)
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        decay.step()
        progress.step(step + 1)
    progress.close()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, x: Tensor, y: Tensor, view: Callable[[Tensor], Sample] = lambda x: x) -> float:
    """The share of samples classified right, looked at some at a time, each time through ``view``."""
    pieces = zip(pieces_of(x), pieces_of(y), strict=True)
    return sum(int((network(view(a)).argmax(1) == b).sum()) for a, b in pieces) / len(y)


def clusters(raw: Callable[[str], Tensor], seed: int) -> tuple[dict[str, Tensor], int]:
    """Classes for packed images (N, H, W, C) that have none, by k-means at 8x8: the labels of each part, and how many.

    One thread, so that another count of them gives the same classes.
    """
    from sklearn.cluster import KMeans  # a second of import that only images without labels need
    from threadpoolctl import threadpool_limits

    source = torch.Generator().manual_seed(fold(seed, "clusters"))
    train = raw("train")
    some = torch.randperm(len(train), generator=source)[:CLUSTERED]
    with threadpool_limits(1):
        seen = np.empty((len(some), SMALL * SMALL * train.shape[3]), np.float32)
        for rows, here in zip(pieces_of(some), pieces_of(torch.from_numpy(seen)), strict=True):
            here.copy_(small(train[rows]))
        found = KMeans(CLUSTERS, n_init=1, random_state=seed).fit(seen)
        labels = {part: torch.empty(len(raw(part)), dtype=torch.int64) for part in ("train", "heldout")}
        for part, y in labels.items():
            for x, here in zip(pieces_of(raw(part)), pieces_of(y), strict=True):
                here.copy_(torch.from_numpy(found.predict(small(x).numpy())))
    return labels, CLUSTERS


def pieces_of(rows: Tensor) -> Iterator[Tensor]:
    """The rows, some at a time."""
    yield from (rows[k : k + PIECE] for k in range(0, len(rows), PIECE))


def small(raw: Tensor) -> Tensor:
    """Packed images at 8x8 pixels, flat: (N, 64 C)."""
    return adaptive_avg_pool2d(raw.permute(0, 3, 1, 2).float() / 255, SMALL).flatten(1)
