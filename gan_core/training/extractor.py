"""Trains the classifier whose features the metrics look at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gan_core.seeds import fold
from gan_core.training.progress import Progress
from gan_core.types import Batch, Sample


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
def accuracy(network: nn.Module, x: Sample, y: torch.Tensor) -> float:
    """The share of samples classified right."""
    return float((network(x).argmax(1) == y).double().mean())
