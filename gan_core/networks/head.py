"""What discriminators, encoders and recognisers of every family share: all but the trunk they stand on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_core.signature import Recipe, side_by_side
from gan_core.types import Sample, Score


class Head(nn.Module):
    """Of a discriminator: v = l(h) + <V(y), h>. Miyato & Koyama 2018, eq. 3; without projected conditions, l(h)."""

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


class Discriminator(nn.Module):
    """A trunk, then the head. Conditions stand beside the sample, as columns or as planes of one value."""

    def __init__(self, recipe: Recipe, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.body = normalised(trunk, recipe)
        self.head = normalised(Head(recipe, features), recipe)

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """A sample as the trunk reads it, and the conditions beside it, to (N, features)."""
        if self.recipe.inputs:
            rows = self.recipe.encode(conditions)
            x = torch.cat([x, rows.reshape(*rows.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])], 1)
        h: Tensor = self.body(x)
        return h

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, *shape) and conditions to (N,), or to (N, outputs) where more than one is asked for."""
        beside = len(self.recipe.inputs)
        v: Score = self.head(self.features(x, *conditions[:beside]), *conditions[beside:])
        return v


class Posterior(nn.Module):
    """Of an encoder: mean and log-variance of q(z|x), each (N, latent)."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.mean, self.log_variance = nn.Linear(features, latent), nn.Linear(features, latent)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """(N, features) to both; the log-variance is kept within [-8, 8], so that its exponential stays a number."""
        return self.mean(h), self.log_variance(h).clamp(-8, 8)


class Encoder(nn.Module):
    """A trunk, then mean and log-variance of the latent."""

    def __init__(self, recipe: Recipe, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.body = trunk
        self.head = Posterior(features, recipe.size)

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]:
        """(N, *dims) to mean and log-variance of q(z|x), each (N, latent)."""
        mean, log_variance = self.head(self.body(x))
        return mean, log_variance

    def forward(self, x: Sample) -> Tensor:
        """(N, *dims) to the mean of q(z|x), (N, latent)."""
        return self.posterior(x)[0]


class Recogniser(nn.Module):
    """Q of InfoGAN (Chen et al. 2016, appendix C): one hidden layer of 128 on the discriminator's features."""

    def __init__(self, recipe: Recipe, features: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.body = nn.Sequential(nn.Linear(features, 128), nn.LeakyReLU(0.1), nn.Linear(128, recipe.outputs))

    def forward(self, h: Tensor) -> Tensor:
        """(N, features) to (N, outputs)."""
        out: Tensor = self.body(h)
        return out


def normalised(network: nn.Module, recipe: Recipe) -> nn.Module:
    """The network with the weights' normalisation its recipe asks for.

    ``spectral``: each weight divided by its largest singular value, by one power iteration a forward pass
    (Miyato et al. 2018, algorithm 1; a convolution's weight as a matrix of its output channels).
    """
    if recipe.norm == "spectral":
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                spectral_norm(module)
    return network
