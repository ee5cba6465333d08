"""Numbers with a range, as types: what a declaration may hold. Some of them are pydantic's own."""

from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Tag

from gan_core.core.schedule import Schedule

__all__ = [
    "Fraction",
    "LearningRate",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Schedule",
    "Scheduled",
    "Seed",
    "Share",
]

Fraction = Annotated[float, Field(ge=0, lt=1)]
"""0 <= x < 1, as the betas of Adam."""

Share = Annotated[float, Field(gt=0, lt=1)]
"""0 < x < 1."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What a random generator takes."""

Number = TypeVar("Number")


def form(value: Any) -> str:
    """Whether a symbol is declared as a number or as a schedule."""
    return "schedule" if isinstance(value, dict | Schedule) else "number"


Scheduled = Annotated[
    Annotated[Number, Tag("number")] | Annotated[Schedule[Number], Tag("schedule")], Discriminator(form)
]
"""A number of a range, or a schedule between two such numbers."""

LearningRate = Annotated[
    Annotated[PositiveFloat, Tag("number")] | Annotated[Schedule[NonNegativeFloat], Tag("schedule")],
    Discriminator(form),
]
"""Above 0; a schedule may end at 0."""
