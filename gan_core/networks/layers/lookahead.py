"""A network as it would be after one step, differentiable in whatever the step depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.func import functional_call

Call: TypeAlias = Callable[..., Tensor]
"""A network, or what a network would be with other weights."""


def after_a_step(network: Any, objective: Callable[[Call], Tensor], rate: float) -> Call:
    """The network after one plain gradient step of an objective of it; its own weights stay and get no gradient."""

    def having(weights: dict[str, Tensor]) -> Call:
        return lambda *inputs: functional_call(network, weights, inputs)

    here = {name: w.detach().requires_grad_() for name, w in network.named_parameters()}
    step = torch.autograd.grad(objective(having(here)), list(here.values()), create_graph=True)
    return having({name: w - rate * g for (name, w), g in zip(here.items(), step, strict=True)})
