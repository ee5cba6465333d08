"""Entries of a declaration: values with their reasons, as lines of YAML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Value:
    """A key's value with its reason, or more keys below it."""

    value: Any
    """A dictionary of values is keys below; a plain one is written in one line."""
    why: str = ""


Entry = dict[str, Value]


def text(name: str, entry: Entry, about: str, indent: int) -> str:
    """An entry as lines of YAML."""
    pad = " " * indent
    return "\n".join([f"{pad}{name}: # {plain(about)}", *lines(entry, indent + 2)]) + "\n"


def lines(entry: Entry, indent: int) -> Iterator[str]:
    """The keys of an entry, a line each."""
    for key, said in entry.items():
        why = f" # {plain(said.why)}" if said.why else ""
        below = said.value.values() if isinstance(said.value, dict) else ()
        if below and all(isinstance(value, Value) for value in below):
            yield f"{' ' * indent}{key}:{why}"
            yield from lines(said.value, indent + 2)
        else:
            yield f"{' ' * indent}{key}: {scalar(said.value)}{why}"


def scalar(value: Any) -> str:
    """A value in one line of YAML."""
    return (
        str(yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)).removesuffix("...\n").strip()
    )


def plain(why: str) -> str:
    """A reason in one line."""
    return " ".join(why.split())
