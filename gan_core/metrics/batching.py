"""Functions of many rows, a few at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gan_core.core.samples import Samples
from gan_core.metrics.distances import Features
from gan_core.runtime.seeds import fold

BATCH = 256


def in_batches(function: Any, *columns: Samples) -> Tensor:
    """A function of rows over many rows, a few at a time; no more of a column than that is asked for."""
    with torch.no_grad():
        starts = range(0, max(len(columns[0]), 1), BATCH)
        return torch.cat([function(*(c[k : k + BATCH] for c in columns)) for k in starts])


def features(extractor: nn.Module, x: Samples) -> Features:
    """(N, D) float64."""
    out: Features = in_batches(extractor.features, x).double().cpu().numpy()
    return out


def fixed_rows(count: int, most: int, *path: int | str) -> Tensor:
    """The rows of at most ``most`` of ``count`` samples: a fixed choice that depends on the path alone."""
    source = torch.Generator().manual_seed(fold(*path))
    return torch.randperm(count, generator=source)[:most]
