"""Symbols of a paper that change over a run. Without torch: a declaration is read with it."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar, Generic, Literal, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Schedule(Generic[Value]):
    """A symbol that goes from ``start`` to ``end`` and stays there, on a straight line or half a cosine.

    It takes ``images`` real images; without that number it begins at the share ``begin`` of the run, and ends with it.
    """

    start: Value
    end: Value
    images: int | None = None
    begin: float = 0.0
    shape: Literal["linear", "cosine"] = "linear"
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

    def at(self, images: int, progress: float) -> float:
        """The value after so many real images, when so much (0 to 1) of the run is done."""
        start, end = float(self.start), float(self.end)  # type: ignore[arg-type]
        left = (1 - progress) / (1 - self.begin) if self.images is None else 1 - images / self.images
        left = min(max(left, 0.0), 1.0)
        if self.shape == "cosine":
            left = (1 + cos(pi * (1 - left))) / 2
        return end + (start - end) * left
