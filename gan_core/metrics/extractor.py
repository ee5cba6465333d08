"""Trains the classifier in whose features generators are measured; k-means finds classes where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from gan_core.core import artifact
from gan_core.core.build_network import build_network
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Chosen, Sample
from gan_core.data.packed import HALVES, View, to_model
from gan_core.metrics.batching import fixed_rows, rows_at_once
from gan_core.metrics.drawn import thumbnails
from gan_core.networks.classifier import SIDE
from gan_core.runtime.progress import Progress
from gan_core.runtime.seeds import fold

if TYPE_CHECKING:
    from gan_core.config.schema import Extractor
    from gan_core.data.prepared import Prepared
    from gan_core.data.shards import Rows

OF_THE_SET = "of the data set"
"""Which classes it knows, as its notes say it."""
LEARNED = 20_000
"""At most so many images larger than it sees them; all smaller ones."""
NOISE = 0.05
"""Standard deviation of what is added to training samples."""
CLUSTERS, CLUSTERED, SMALL = 10, 10_000, 8
"""Classes that k-means finds, the images it sees to find them, and how many pixels high and wide it sees them."""
OF_A_CLUSTER = 5
"""Images that there must be for each class: of few images, fewer classes are found, but two."""


def save_extractor(data: Prepared, settings: Extractor, path: Path, features: str = "own") -> None:
    """Train it on the labelled samples of all domains, so that its features and labels hold in each, and save it.

    Images without labels, or of one class, get the classes that k-means finds in them; if figures are taken in other
    ``features``, there is nothing to train.
    """
    united = data.united
    notes: dict[str, object] = {"data": data.index["sha256"], "classes": OF_THE_SET}
    config = NetworkConfig("classifier.identity", data.shape, 1)
    if data.is_image and data.classes < 2 and features != "own":
        config = NetworkConfig("classifier.absent", data.shape, 1)
        notes["classes"] = "none, and figures are taken in other features"
    elif data.is_image:
        if data.classes < 2:
            united = united.labelled(*clusters(united.raw, settings.seed))
            notes["classes"] = f"found by k-means: {united.classes}"
        config = NetworkConfig("classifier.conv", data.shape, settings.width, outputs=united.classes)
    torch.manual_seed(fold(settings.seed, "extractor"))
    network = build_network(config)
    heldout = united.labels("heldout")
    if config.network == "classifier.conv" and heldout is not None:
        steps = min(max(settings.steps_per_class * united.classes, settings.min_steps), settings.max_steps)
        size = min(settings.batch_size, len(united.raw("train")))
        train_classifier(network, shuffled(united, size, settings.seed), steps, settings.seed, settings.learning_rate)
        notes["heldout_accuracy"] = accuracy(network, united.raw("heldout"), heldout, to_model)
        print(f"{path}: held-out accuracy {notes['heldout_accuracy']:.4f} (classes {notes['classes']})")
    artifact.save(path, network, config, notes)


def shuffled(data: Prepared, size: int, seed: int) -> Callable[[int], tuple[Sample, Tensor]]:
    """The i-th batch of noisy training samples and their labels: every epoch a new shuffle, the ragged end dropped."""
    x, y = small_copies(data)

    @lru_cache(maxsize=1)
    def order(epoch: int) -> Tensor:
        return torch.randperm(len(x), generator=torch.Generator().manual_seed(fold(seed, "epoch", epoch)))

    def at(i: int) -> tuple[Sample, Tensor]:
        epoch, k = divmod(i, len(x) // size)
        rows = order(epoch)[k * size : (k + 1) * size]
        samples = to_model(x[rows])
        return samples + NOISE * torch.randn_like(samples), y[rows]

    return at


def small_copies(data: Prepared) -> tuple[Tensor, Tensor]:
    """Packed training samples as the classifier sees them, and their labels; of large images some, shrunk once.

    So what training it costs does not depend on the size of the pictures. Of what lies in shards, too, there are some.
    """
    x, y = data.raw("train"), data.labels("train")
    assert y is not None
    if max(data.shape[1:]) <= SIDE and isinstance(x, Tensor):
        return x, y
    rows = fixed_rows(View(x), LEARNED, "classified")
    return thumbnails(Chosen(View(x), rows), SIDE).raw, y[rows]


def train_classifier(
    network: nn.Module,
    batch_at: Callable[[int], tuple[Sample, Tensor]],
    steps: int,
    seed: int,
    learning_rate: float,
) -> nn.Module:
    """Cross-entropy with Adam, the rate falling linearly to zero; a function of the seed and the batches."""
    adam = torch.optim.Adam(network.parameters(), learning_rate, fused=True)
    decay = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, total_iters=steps)
    progress = Progress("extractor", steps)
    for step in range(steps):
        torch.manual_seed(fold(seed, "extractor", step))
        x, y = batch_at(step)
        loss = cross_entropy(network(x), y)
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        decay.step()
        progress.step(step + 1)
    progress.close()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, x: Tensor | Rows, y: Tensor, view: Callable[[Tensor], Sample] = lambda x: x) -> float:
    """The share of samples classified right, some at a time, each time through ``view``."""
    each = rows_at_once(x.shape[1:])
    pieces = zip(pieces_of(x, each), pieces_of(y, each), strict=True)
    return sum(int((network(view(a)).argmax(1) == b).sum()) for a, b in pieces) / len(y)


def clusters(raw: Callable[[str], Tensor | Rows], seed: int) -> tuple[dict[str, Tensor], int]:
    """Classes for packed images (N, H, W, C) that have none, by k-means at 8x8: the labels of each part, and how many.

    One thread, so that another count of them gives the same classes.
    """
    from sklearn.cluster import KMeans  # a second of import that only images without labels need
    from threadpoolctl import threadpool_limits

    train = raw("train")
    each = rows_at_once(train.shape[1:])
    some = fixed_rows(View(train), CLUSTERED, seed, "clusters")
    with threadpool_limits(1):
        seen = np.empty((len(some), SMALL * SMALL * train.shape[3]), np.float32)
        for rows, here in zip(pieces_of(some, each), pieces_of(torch.from_numpy(seen), each), strict=True):
            here.copy_(small(train[rows]))
        classes = max(2, min(CLUSTERS, len(some) // OF_A_CLUSTER))
        found = KMeans(classes, n_init=1, random_state=seed).fit(seen)
        labels = {part: torch.empty(len(raw(part)), dtype=torch.int64) for part in ("train", "heldout")}
        for part, y in labels.items():
            for x, here in zip(pieces_of(raw(part), each), pieces_of(y, each), strict=True):
                here.copy_(torch.from_numpy(found.predict(small(x).numpy())))
    return labels, classes


def pieces_of(rows: Tensor | Rows, each: int) -> Iterator[Tensor]:
    """The rows, some at a time."""
    yield from (rows[k : k + each] for k in range(0, len(rows), each))


def small(raw: Tensor) -> Tensor:
    """Packed images at 8x8 pixels, flat: (N, 64 C)."""
    return adaptive_avg_pool2d(raw.permute(0, 3, 1, 2).float() / (2 * HALVES[raw.dtype]), SMALL).flatten(1)
