"""Numbers with a range, as types: what a declaration may hold. Some of them are pydantic's own."""

from typing import Annotated, Any, TypeVar

from pydantic import Discriminator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Tag

from gan_core.core.schedule import Adaptive, Schedule

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

Probability = Annotated[float, Field(ge=0, le=1)]
"""0 <= x <= 1."""

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


def form_of_strength(value: Any) -> str:
    """Whether a strength is declared as a number, as a schedule or as adaptive."""
    adaptive = isinstance(value, Adaptive) or (isinstance(value, dict) and not {"start", "end"} & value.keys())
    return "adaptive" if adaptive else form(value)


Strength = Annotated[
    Annotated[Probability, Tag("number")]
    | Annotated[Schedule[Probability], Tag("schedule")]
    | Annotated[Adaptive, Tag("adaptive")],
    Discriminator(form_of_strength),
]
"""A probability, a schedule between two of them, or one that adapts."""
