"""From a declaration to a game with fresh networks. A paper is a file in ``gan_core/variants``, found by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeAlias

from torch import nn

from gan_core.core.build_network import build_network, imported
from gan_core.core.game import Game
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec

VARIANTS = "gan_core.variants"

Wrap: TypeAlias = Callable[[nn.Module], nn.Module]
"""From a discriminator or critic to what takes its place in the game."""


def paper(variant: str) -> type[Game]:
    """The dataclass of a paper: the one that its file defines.

    Raises:
        InputError: there is no such file.
    """
    module = imported(VARIANTS, variant, "variant")
    own = (c for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__)
    found: type[Any] = next(c for c in own if is_dataclass(c) and hasattr(c, "updates"))
    return found


def build_game(variant: str, spec: NetworkSpec, settings: Mapping[str, Any], wrap: Wrap | None = None) -> Game:
    """A game with fresh networks, their weights from torch's current seed."""
    return assembled(paper(variant), spec, settings, wrap)


def assembled(made: type[Any], spec: NetworkSpec, settings: Mapping[str, Any], wrap: Wrap | None = None) -> Game:
    """A game of a paper's dataclass."""
    symbols = {f.name: f.default for f in fields(made) if f.default is not MISSING} | dict(settings)
    parts = made.build_spec(spec, symbols)
    built = {name: build_network(p) if isinstance(p, NetworkConfig) else p for name, p in parts.items()}
    if wrap:
        judges = [n for n, p in parts.items() if isinstance(p, NetworkConfig) and p.role == "discriminator"]
        built |= {name: wrap(built[name]) for name in judges}
    game: Game = made(**built, **symbols)
    return game
