"""A network that only computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Frozen(nn.Module):
    """A network that only computes: in evaluation mode, without weights to train, in no checkpoint and no artefact.

    A field of a game, or a part of a network. Its digest is part of what a run's result depends on.
    """

    network: nn.Module

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.__dict__["network"] = network.eval().requires_grad_(False)  # no submodule: its weights are not listed

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Frozen:
        """Moved and converted with what it is part of."""
        self.network._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(self, *inputs: Tensor) -> Any:
        """What the network gives; gradients flow to the inputs."""
        return self.network(*inputs)
