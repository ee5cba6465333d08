"""The last layer of every discriminator: a linear score, and conditions that meet the features in an inner product."""

from __future__ import annotations

from torch import Tensor, nn

from gan_core.signature import Recipe, side_by_side
from gan_core.types import Score


class Head(nn.Module):
    """v = l(h) + <V(y), h>. Miyato & Koyama 2018, eq. 3; without projected conditions, l(h)."""

    def __init__(self, recipe: Recipe, features: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.score = nn.Linear(features, recipe.outputs)
        size = sum(i.size for i in recipe.projected)
        self.embed = nn.Linear(size, features, bias=False) if size else None

    def forward(self, h: Tensor, *conditions: Tensor) -> Score:
        """(N, features) to (N,), or to (N, outputs) where more than one is asked for."""
        v: Tensor = self.score(h)
        if self.embed is not None:
            v = v + (self.embed(side_by_side(self.recipe.projected, conditions)) * h).sum(1, keepdim=True)
        return v.squeeze(1)
