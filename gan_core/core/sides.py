"""Which heights and widths a network can have. Read without torch: a declaration is refused before it is prepared.

A family names its rule in the literal ``SIDES``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Rule = Literal["any", "halved", "fourths"]
"""``halved``: both sides halve evenly until the smaller has 4 to 7 pixels. ``fourths``: multiples of 4, from 8 on."""
SMALLEST = 8
ASKED: dict[str, str] = {
    "halved": f"both sides must be at least {SMALLEST} and halve evenly down to a smaller side of 4 to 7",
    "fourths": f"both sides must be multiples of 4, from {SMALLEST} on",
}


def halvings(sides: Sequence[int]) -> int:
    """How often a picture (height, width) is halved until its smaller side is 4 to 7; 0: it is too small."""
    return max(0, (min(sides) // 4).bit_length() - 1)


def multiple(rule: Rule, sides: Sequence[int]) -> int:
    """What the sides must be multiples of."""
    return {"any": 1, "halved": 1 << halvings(sides), "fourths": 4}[rule]


def divides(factor: int, sides: Sequence[int]) -> bool:
    """Whether all sides are multiples of a factor, from twice it up."""
    return not any(side % factor or side < 2 * factor for side in sides)


def fit(rule: Rule, sides: Sequence[int]) -> bool:
    """Whether a picture (height, width) can be drawn."""
    return rule == "any" or (min(sides) >= SMALLEST and not any(side % multiple(rule, sides) for side in sides))


def nearest(rule: Rule, sides: Sequence[int]) -> tuple[int, ...]:
    """Sides near these that can be drawn."""
    near = [max(side, SMALLEST) for side in sides]
    while not fit(rule, near):
        step = multiple(rule, near)
        near = [max(step, (side + step // 2) // step * step) for side in near]
    return tuple(near)


def unfit(rule: Rule, sides: Sequence[int]) -> str:
    """Why a family of this rule cannot draw (height, width), and what to do, after its name; empty: it can."""
    if fit(rule, sides):
        return ""
    high, wide = nearest(rule, sides)
    size = f"{high}" if high == wide else f"[{high}, {wide}]"
    return (
        f"cannot draw {sides[0]}x{sides[1]} pixels: {ASKED[rule]}; declare size: {size} for images of your "
        "own, or use 'mlp'"
    )
