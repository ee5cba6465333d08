"""In which features figures are taken, and how a figure's name says so. Read without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Asked = Literal["auto", "own", "lite0", "inception"]
LITE0_FROM = 32
"""``auto``: pictures whose shorter side has so many pixels go to Lite0, smaller ones to the own classifier."""
SHOWN = {"lite0": "Lite0", "own": "own", "inception": "Inception", "coordinates": "coordinates"}
"""The networks whose features figures are taken in, as a person reads them."""
OF_FEATURES = (
    "fd",
    "kid",
    "kid_within_class",
    "kid_of_class",
    "precision",
    "recall",
    "density",
    "coverage",
    "covered",
    "spread",
    "train_distance_ratio",
    "nearer_to_train",
    "copied",
    "perceptual",
    "perceptual_of_source",
)
"""The figures that are taken in features: another network's are other figures, of another name."""


def feature_name(asked: Asked, shape: Sequence[int]) -> str:
    """The network for samples of a shape, (C, H, W) or (D,): ``auto`` goes by their size; points are as they are."""
    if len(shape) == 1:
        return "coordinates"
    if asked != "auto":
        return asked
    return "lite0" if min(shape[1:]) >= LITE0_FROM else "own"


def in_features(figure: str, network: str) -> str:
    """The name of a figure taken in some network's features: ``fd_lite0``."""
    return f"{figure}_{network}" if figure in OF_FEATURES else figure


def split_name(name: str) -> tuple[str, str]:
    """The inverse: the figure, and the network if it has one."""
    figure, _, network = name.rpartition("_")
    return (figure, network) if network in SHOWN and figure in OF_FEATURES else (name, "")
