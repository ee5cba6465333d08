"""Numbers with a range, as types: what a declaration may hold. Some of them are pydantic's own."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

__all__ = ["Fraction", "NonNegativeFloat", "NonNegativeInt", "PositiveFloat", "PositiveInt", "Seed", "Share"]

Fraction = Annotated[float, Field(ge=0, lt=1)]
"""0 <= x < 1, as the betas of Adam."""

Share = Annotated[float, Field(gt=0, lt=1)]
"""0 < x < 1."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What a random generator takes."""
