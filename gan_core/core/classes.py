"""The names of classes and their numbers, by which networks know them. NumPy and torch are not needed."""

from __future__ import annotations

from collections.abc import Sequence

from gan_core.runtime.errors import did_you_mean

SHOWN = 20
"""Classes that a sentence names."""


def number_of(name: str, classes: Sequence[str]) -> int:
    """The number of a class: that of its name; where no class is called a number, its number itself is one.

    Raises:
        ValueError: there is no such class, with those there are.
    """
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes) and not any(other.isdecimal() for other in classes):
        return int(name)
    raise ValueError(f"there is no class '{name}', only {table(classes)}{did_you_mean(name, classes)}")


def table(classes: Sequence[str], most: int = SHOWN) -> str:
    """Numbers and names, as part of a sentence."""
    more = f", ... to {len(classes) - 1} {classes[-1]}" if len(classes) > most else ""
    return ", ".join(f"{k} {name}" for k, name in enumerate(classes[:most])) + more
