"""An exponential moving average of a network's weights, which is what is evaluated and shipped."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_core.core.inputs import Input
from gan_core.runtime.seeds import fold

RAMP = 0.077
"""The half-life is at most this share of the images seen: the average forgets what the first steps were like."""


def decay(half_life: float, images: float, batch_size: int) -> float:
    """What remains of the average after a step of ``batch_size`` images that made them ``images`` in all.

    A weight of ``half_life`` images ago counts half, whatever the batch size. 0: no average, the weights themselves.
    Infinitely many images: it goes on from an average, of which nothing is to be forgotten sooner.
    """
    length = min(half_life, RAMP * images)
    return 0.5 ** (batch_size / length) if length else 0.0


class Average:
    """Weights are averaged, buffers are copied."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._pairs = self._of(network)

    def _of(self, network: nn.Module) -> tuple[nn.Module, list[list[Tensor]]]:
        """Our weights and its, our buffers and its: asked for once, as walking a network costs more than averaging."""
        lists = [list(part()) for n in (self.network, network) for part in (n.parameters, n.buffers)]
        return network, lists

    @torch.no_grad()
    def update(self, network: nn.Module, kept: float) -> None:
        """Move towards ``network``; ``kept``: what remains of the average (``decay``)."""
        if network is not self._pairs[0]:
            self._pairs = self._of(network)
        weights, buffers, its_weights, its_buffers = self._pairs[1]
        torch._foreach_lerp_(weights, its_weights, 1 - kept)
        for mine, its in zip(buffers, its_buffers, strict=True):
            mine.copy_(its)


@torch.no_grad()
def recalibrate(network: nn.Module, inputs: Sequence[Input], seed: int, batch_size: int, batches: int = 50) -> None:
    """Measure batch-normalisation statistics afresh for the averaged weights, over latents of a fixed seed."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    device = next(network.parameters()).device
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
    network.train()
    for k in range(batches):
        torch.manual_seed(fold(seed, "recalibrate", k))
        network(*[i.sample(batch_size, device) for i in inputs])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
