"""What tells a patch's own counterpart from the other patches of the same picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def patch_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each place's own key among those of all places of its picture. CUT, Park et al. 2020, eq. 3.

    ``queries`` and ``keys``: vectors of length 1, (N, P, D), place by place. A mean over N and P: log P where all are
    alike, and 0 where each is like its own alone.
    """
    logits = queries @ keys.detach().mT / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return cross_entropy(logits.flatten(0, 1), own.flatten())
