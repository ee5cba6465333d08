"""Symbols of a paper that change over a run. Without torch: a declaration is read with it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar, Generic, Literal, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Adaptive:
    """A probability that moves so that a measure of overfitting stays at ``target``. ADA, Karras et al. 2020, 3.1.

    It could go from 0 to 1 within ``images`` real images. The measure is r_t, the mean sign of scores of real samples;
    or r_v, for which a share ``aside`` of the training samples is not trained on: how much lower these are scored than
    samples that are, as a share of how much lower generated ones are.

    Raises:
        ValueError: ``target`` or ``aside`` is not between 0 and 1, or ``images`` below 1.
    """

    target: float
    images: int
    aside: float | None = None
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

    def __post_init__(self) -> None:
        if not 0 < self.target < 1 or self.images < 1 or not 0 < (self.aside or 0.5) < 1 or self.aside == 0:
            raise ValueError("an adaptive p has a target and a share aside between 0 and 1, and takes 1 image or more")


@dataclass(frozen=True)
class Schedule(Generic[Value]):
    """A symbol that goes from ``start`` to ``end`` and stays there, on a straight line or half a cosine.

    It takes ``images`` real images; without that number it begins at the share ``begin`` of the run, and ends with it.

    Raises:
        ValueError: ``images`` is below 1, ``begin`` not a share below 1, or both are given.
    """

    start: Value
    end: Value
    images: int | None = None
    begin: float = 0.0
    shape: Literal["linear", "cosine"] = "linear"
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

    def __post_init__(self) -> None:
        if self.images is not None and (self.images < 1 or self.begin):
            raise ValueError("a schedule takes 1 image or more, or begins at a share of the run, not both")
        if not 0 <= self.begin < 1:
            raise ValueError("a schedule begins at a share of the run from 0 up to, not including, 1")

    def at(self, images: int, progress: float) -> float:
        """The value after so many real images, when so much (0 to 1) of the run is done."""
        start, end = float(self.start), float(self.end)  # type: ignore[arg-type]
        left = (1 - progress) / (1 - self.begin) if self.images is None else 1 - images / self.images
        left = min(max(left, 0.0), 1.0)
        if self.shape == "cosine":
            left = (1 + cos(pi * (1 - left))) / 2
        return end + (start - end) * left
