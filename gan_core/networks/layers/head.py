"""What discriminators, encoders and recognisers of every family share: all but the trunk they stand on."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_core.core.inputs import beside, concat_inputs
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score


class Head(nn.Module):
    """Of a discriminator: v = l(h) + <V(y), h>. Miyato & Koyama 2018, eq. 3; without projected conditions, l(h)."""

    def __init__(self, config: NetworkConfig, features: int) -> None:
        super().__init__()
        self.config = config
        self.score = nn.Linear(features, config.outputs)
        size = sum(i.size for i in config.projected)
        self.embed = nn.Linear(size, features, bias=False) if size else None

    def forward(self, h: Tensor, *conditions: Tensor) -> Score:
        """(N, features) to (N,), or to (N, outputs) where more than one is asked for."""
        v: Tensor = self.score(h)
        if self.embed is not None:
            v = v + (self.embed(concat_inputs(self.config.projected, conditions)) * h).sum(1, keepdim=True)
        return v.squeeze(1)


class Discriminator(nn.Module):
    """A trunk, then the head. Conditions stand beside the sample, as columns or as planes."""

    def __init__(self, config: NetworkConfig, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.config = config
        self.body = normalised(trunk, config)
        self.head = normalised(self.head_on(features), config)

    def head_on(self, features: int) -> nn.Module:
        """What judges so many features."""
        return Head(self.config, features)

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """A sample as the trunk reads it, and the conditions beside it, to (N, features)."""
        h: Tensor = self.body(beside(x, self.config.inputs, conditions))
        return h

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, *shape) and conditions to (N,), or to (N, outputs) where more than one is asked for."""
        n = len(self.config.inputs)
        v: Score = self.head(self.features(x, *conditions[:n]), *conditions[n:])
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

    def __init__(self, config: NetworkConfig, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.config = config
        self.body = trunk
        self.head = Posterior(features, config.size)

    def posterior(self, x: Sample) -> tuple[Tensor, Tensor]:
        """(N, *dims) to mean and log-variance of q(z|x), each (N, latent)."""
        mean, log_variance = self.head(self.body(x))
        return mean, log_variance

    def forward(self, x: Sample) -> Tensor:
        """(N, *dims) to the mean of q(z|x), (N, latent)."""
        return self.posterior(x)[0]


class Recogniser(nn.Module):
    """Q of InfoGAN (Chen et al. 2016, appendix C): one hidden layer of 128 on the discriminator's features."""

    def __init__(self, config: NetworkConfig, features: int) -> None:
        super().__init__()
        self.config = config
        self.body = nn.Sequential(nn.Linear(features, 128), nn.LeakyReLU(0.1), nn.Linear(128, config.outputs))

    def forward(self, h: Tensor) -> Tensor:
        """(N, features) to (N, outputs)."""
        out: Tensor = self.body(h)
        return out


def normalised(network: nn.Module, config: NetworkConfig) -> nn.Module:
    """The network with the weights' normalisation its configuration asks for.

    ``spectral``: each weight divided by its largest singular value, by one power iteration a forward pass
    (Miyato et al. 2018, algorithm 1; a convolution's weight as a matrix of its output channels).
    """
    if config.norm == "spectral":
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                spectral_norm(module)
    return network
