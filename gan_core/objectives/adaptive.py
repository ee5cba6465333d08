"""How much a game weighs beside a reconstruction: as their gradients say."""

from __future__ import annotations

import torch
from torch import Tensor

TINY, MOST = 1e-4, 1e4


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: Tensor) -> Tensor:
    """|grad L_rec| / (|grad L_GAN| + 1e-4) at the decoder's last layer, at most 1e4: a scalar without gradient.

    Esser et al. 2021, eq. 7, bounded as the authors' code has it.

    Raises:
        RuntimeError: the last layer takes no gradient, or one of the losses does not depend on it.
    """
    a, b = (torch.autograd.grad(loss, last_layer, retain_graph=True)[0] for loss in (reconstruction, adversarial))
    weight: Tensor = (a.norm() / (b.norm() + TINY)).clamp(max=MOST)
    return weight
