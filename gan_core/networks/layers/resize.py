"""Interpolation between two fixed sizes as products with matrices: its gradient is the same at every run on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class Resize(nn.Module):
    """Maps (N, C, *before) to (N, C, *after) as ``interpolate`` does; torch's own has no deterministic gradient there.

    ``bicubic`` is antialiased. ``smoothed``: then filtered by [1, 2, 1] / 4 along both sides.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        before: Sequence[int],
        after: Sequence[int],
        mode: Literal["bilinear", "bicubic"],
        smoothed: bool = False,
    ) -> None:
        super().__init__()
        for name, a, b in zip(("rows", "columns"), before, after, strict=True):
            each = torch.eye(a)[None, None]
            found = interpolate(each, (b, a), mode=mode, align_corners=False, antialias=mode == "bicubic")
            self.register_buffer(name, smooth(b) @ found[0, 0] if smoothed else found[0, 0], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *before) to (N, C, *after)."""
        return self.rows.to(x.dtype) @ (x @ self.columns.to(x.dtype).mT)


def smooth(count: int) -> Tensor:
    """The filter [1, 2, 1] / 4 along a line of so many pixels, its ends repeated: (count, count)."""
    by = torch.diag(torch.full((count,), 0.5))
    for k in range(count):
        for near in (k - 1, k + 1):
            by[k, min(max(near, 0), count - 1)] += 0.25
    return by
