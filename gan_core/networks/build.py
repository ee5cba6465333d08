"""From a recipe to a network."""

from __future__ import annotations

from torch import nn

from gan_core.errors import InputError
from gan_core.networks import NETWORKS
from gan_core.signature import Recipe


def build(recipe: Recipe) -> nn.Module:
    """The network of a recipe, with fresh weights from torch's current seed.

    Raises:
        InputError: no such network, or it cannot be built for samples of this shape.
    """
    if recipe.network not in NETWORKS:
        raise InputError(f"network '{recipe.network}' is not one of {', '.join(NETWORKS)}")
    return NETWORKS[recipe.network](recipe)
