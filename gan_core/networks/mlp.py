"""Fully connected networks with three hidden layers or as many as asked for, for points and for small images."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor, nn

from gan_core.config.bounds import PositiveInt
from gan_core.core import sides
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample
from gan_core.networks.layers import head

SAMPLES = ("images", "points")
SIDES: sides.Rule = "any"
CAPABILITIES = {
    "generator": (),
    "discriminator": ("features", "conditions", "maps"),
    "encoder": (),
    "recogniser": (),
    "translator": (),
}


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    layers: PositiveInt = 3  # hidden ones


class Generator(nn.Module):
    """Linear, BatchNorm (where the config has it), ReLU each, then a linear layer (and tanh, for images)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [config.input_dim, *[config.width] * Options(**config.options).layers]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out)]
            layers += [nn.BatchNorm1d(fan_out)] if config.norm == "batch" else []
            layers += [nn.ReLU()]
        layers += [nn.Linear(config.width, config.size)]
        layers += [nn.Tanh()] if config.is_image else []
        self.body = nn.Sequential(*layers)

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, *shape)."""
        x: Tensor = self.body(self.config.concat(inputs))
        return x.reshape(-1, *self.config.shape)


Translator = Generator


def trunk(fan_in: int, config: NetworkConfig) -> nn.Sequential:
    """(Linear, LeakyReLU 0.2) once a hidden layer."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise([fan_in, *[config.width] * Options(**config.options).layers]):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class Discriminator(head.Discriminator):
    """On the trunk; conditions stand beside the flat sample."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, trunk(config.size + config.input_dim, config), config.width)

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """(N, *shape) and conditions to (N, width)."""
        return super().features(x.flatten(1), *conditions)


class Recogniser(head.Recogniser):
    """On the discriminator's ``width`` features."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, config.width)


class Encoder(head.Encoder):
    """On the trunk."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config, trunk(config.input_dim, config), config.width)

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]:
        """(N, *dims) to mean and log-variance of q(z|x), each (N, latent)."""
        return super().posterior(x.flatten(1))
