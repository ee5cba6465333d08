"""Fully connected networks with three hidden layers, for points and for small images."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from gan_core.networks import head
from gan_core.networks.head import Head, Posterior, normalised
from gan_core.signature import Recipe
from gan_core.types import Sample, Score

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


class Discriminator(nn.Module):
    """The trunk, then the head. Conditions stand beside the sample."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.body = normalised(trunk(recipe.size + recipe.fed, recipe.width), recipe)
        self.head = normalised(Head(recipe, recipe.width), recipe)

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """(N, *shape) and conditions to (N, width)."""
        x = x.flatten(1)
        h: Tensor = self.body(torch.cat([x, self.recipe.encode(conditions)], 1) if self.recipe.inputs else x)
        return h

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, *shape) and conditions to (N,), or to (N, outputs) where more than one is asked for."""
        beside = len(self.recipe.inputs)
        v: Score = self.head(self.features(x, *conditions[:beside]), *conditions[beside:])
        return v


class Recogniser(head.Recogniser):
    """On the discriminator's ``width`` features."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, recipe.width)


class Encoder(nn.Module):
    """The trunk, then mean and log-variance of the latent."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.body = trunk(recipe.fed, recipe.width)
        self.head = Posterior(recipe.width, recipe.size)

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]:
        """(N, *dims) to mean and log-variance of q(z|x), each (N, latent)."""
        mean, log_variance = self.head(self.body(x.flatten(1)))
        return mean, log_variance

    def forward(self, x: Sample) -> Tensor:
        """(N, *dims) to the mean of q(z|x), (N, latent)."""
        return self.posterior(x)[0]
