"""From a declaration to a game that can be played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from gan_core.game import Game
from gan_core.networks.build import build
from gan_core.signature import Body, Recipe
from gan_core.variants import VARIANTS


def assemble(variant: str, body: Body, settings: Mapping[str, Any]) -> Game:
    """A game with fresh networks, their weights from torch's current seed."""
    paper = VARIANTS[variant]
    symbols = {f.name: f.default for f in fields(paper) if f.default is not MISSING} | dict(settings)  # type: ignore[arg-type]
    cast = {name: build(p) if isinstance(p, Recipe) else p for name, p in paper.cast(body, symbols).items()}
    return paper(**cast, **symbols)
