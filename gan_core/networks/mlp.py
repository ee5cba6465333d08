"""Fully connected networks with three hidden layers, for points and for small images."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from gan_core.networks import head
from gan_core.signature import Recipe
from gan_core.types import Sample

HIDDEN = 3


class Generator(nn.Module):
    """Linear, BatchNorm (where the recipe has it), ReLU three times, then a linear layer (and tanh, for images)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        sizes = [recipe.fed, *[recipe.width] * HIDDEN]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out)]
            layers += [nn.BatchNorm1d(fan_out)] if recipe.norm == "batch" else []
            layers += [nn.ReLU()]
        layers += [nn.Linear(recipe.width, recipe.size)]
        layers += [nn.Tanh()] if recipe.is_image else []
        self.body = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, *shape)."""
        x: Tensor = self.body(self.recipe.encode(inputs))
        return x.reshape(-1, *self.recipe.shape)


def trunk(fan_in: int, width: int) -> nn.Sequential:
    """Linear, LeakyReLU(0.2) three times."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise([fan_in, *[width] * HIDDEN]):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class Discriminator(head.Discriminator):
    """On the trunk; conditions stand beside the flat sample."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, trunk(recipe.size + recipe.fed, recipe.width), recipe.width)

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """(N, *shape) and conditions to (N, width)."""
        return super().features(x.flatten(1), *conditions)


class Recogniser(head.Recogniser):
    """On the discriminator's ``width`` features."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, recipe.width)


class Encoder(head.Encoder):
    """On the trunk."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, trunk(recipe.fed, recipe.width), recipe.width)

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]:
        """(N, *dims) to mean and log-variance of q(z|x), each (N, latent)."""
        return super().posterior(x.flatten(1))
