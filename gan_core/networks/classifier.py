"""Feature extractors: what metrics look at instead of pixels. They see samples in [-1, 1]."""

from __future__ import annotations

from torch import Tensor, nn

from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, shrunk

CAPABILITIES = {"conv": ("features",), "identity": ("features",), "absent": ()}
FEATURES = 64
SIDE = 32
"""Larger pictures are averaged to this height or width: what tells classes apart is still there."""


class Conv(nn.Module):
    """A small classifier for images of any size, whose last hidden layer is the feature vector.

    Batch normalisation gives these 64 numbers mean 0 and variance 1 over the training data, so distances have a scale.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.body = nn.Sequential(
            nn.Conv2d(config.shape[0], width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(8 * width, FEATURES), nn.BatchNorm1d(FEATURES, affine=False),
        )  # fmt: skip
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(FEATURES, config.outputs))

    def features(self, x: Sample) -> Tensor:
        """(N, C, H, W) to (N, 64)."""
        h: Tensor = self.body(shrunk(x, SIDE))
        return h

    def forward(self, x: Sample) -> Tensor:
        """(N, C, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits


class Absent(nn.Module):
    """For images without classes that are compared in other features: it has no weights and does nothing."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config


class Identity(nn.Module):
    """For points: the coordinates are the features. It has no weights and classifies nothing."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config

    def features(self, x: Sample) -> Tensor:
        """(N, D) to (N, D)."""
        return x
