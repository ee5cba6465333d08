"""A discriminator that is shown augmented samples while it is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample, Score
from gan_core.networks.layers.augment import augmented, numbers


class Augmented(nn.Module):
    """A discriminator, its samples augmented in training mode, each on its own.

    Images beside a sample change as it does, pixel for pixel; other conditions stay.

    Its parts are the discriminator's own, so all weights keep their names. ``channels``: of one sample, of which a pack
    has several. Scores of different samples are changed independently. Features are compared, of a sample and its
    reconstruction, so between two seeds all of them are of the same changes, row by row.
    """

    p: Tensor
    """The probability of each change: a buffer, so that it is in every checkpoint and a captured step reads it anew."""

    def __init__(self, network: nn.Module, policy: Sequence[str], channels: int, p: float = 0.0) -> None:
        super().__init__()
        assert next(network.parameters(recurse=False), None) is None, "its weights are those of its parts"
        for name, part in network.named_children():
            self.add_module(name, part)
        self.config: NetworkConfig = network.config  # type: ignore[assignment]
        self.policy, self.channels = frozenset(policy), channels
        self._network = (network,)  # in a tuple: no part of its own
        self._seed, self._drawn = -1, torch.empty(0)
        self.register_buffer("p", torch.tensor(p))

    def forward(self, x: Sample, *conditions: Tensor) -> Score:
        """(N, m C, H, W) in packs of m, and conditions, to scores as of the discriminator."""
        v: Score = self._network[0](*self.shown(self.draw(x), x, *conditions) if self.training else (x, *conditions))
        return v

    def features(self, x: Sample, *conditions: Tensor) -> Tensor:
        """The discriminator's features, under the changes that all its features of this seed have."""
        h: Tensor = self._network[0].features(*self.held(x, *conditions))  # type: ignore[operator]
        return h

    def stages(self, x: Sample, *conditions: Tensor) -> list[list[Tensor]]:
        """The discriminator's maps, under the same changes as its features."""
        found: list[list[Tensor]] = self._network[0].stages(*self.held(x, *conditions))  # type: ignore[operator]
        return found

    def held(self, x: Sample, *conditions: Tensor) -> tuple[Tensor, ...]:
        """Samples and conditions, in training under the changes of this seed."""
        if not self.training:
            return x, *conditions
        u, seed = self.draw(x), torch.initial_seed()  # drawn each time, so that what follows draws the same
        if seed != self._seed or u.shape != self._drawn.shape or u.device != self._drawn.device:
            self._seed, self._drawn = seed, u
        return self.shown(self._drawn, x, *conditions)

    def train(self, mode: bool = True) -> Augmented:
        """Mode of the discriminator too, which is no part of its own."""
        self._network[0].train(mode)
        super().train(mode)
        return self

    def draw(self, x: Sample) -> Tensor:
        """Numbers of U[0, 1) for the changes of every sample."""
        return torch.rand(x.shape[0] * x.shape[1] // self.channels, numbers(self.policy), device=x.device)

    def shown(self, u: Tensor, x: Sample, *conditions: Tensor) -> tuple[Tensor, ...]:
        """Samples, and the images among their conditions, as they are shown."""
        return self.changed(x, u), *(self.changed(c, u) if c.dim() == 4 else c for c in conditions)

    def changed(self, x: Sample, u: Tensor) -> Sample:
        """The samples as they are shown, in the same packs."""
        each = x.reshape(-1, self.channels, *x.shape[2:])
        return augmented(each, self.policy, self.p, u).reshape(x.shape)


def plain(network: nn.Module) -> nn.Module:
    """A network without augmentation, of the same weights under the same names."""
    return network._network[0] if isinstance(network, Augmented) else network
