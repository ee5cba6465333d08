"""What a game remembers from step to step. Buffers, so that it is part of every checkpoint; no weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.types import Sample, Terms


class Pool(nn.Module):
    """A history of generated samples (Shrivastava et al. 2017, section 2.3), as CycleGAN's discriminators are shown.

    The first ``size`` samples are kept and returned. Then each new one is, at even odds, returned as it is, or takes
    the place of an old one chosen at random, which is returned.
    """

    images: Tensor
    held: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, new: Sample) -> Sample:
        """(N, ...) to as many, each new or old."""
        shown, held, size = new.detach().clone(), int(self.held), len(self.images)
        for k, image in enumerate(shown.clone()):
            if held < size:
                self.images[held] = image
                held += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(size, ()))
                shown[k] = self.images[place]
                self.images[place] = image
        self.held.fill_(held)
        return shown


class Costs(nn.Module):
    """The latest costs of a discriminator on real and on generated samples, by which a game rests one side.

    Larsen et al. 2016, the authors' code. The judge rests while a cost is below 0.68 - margin: it wins. The decoder
    rests while one is above 0.68 + margin. If both should rest, both move. Without a margin none rests.
    """

    latest: Tensor

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.register_buffer("latest", torch.full((2,), 0.5))

    @torch.no_grad()
    def note(self, costs: Terms) -> None:
        """Remember the ``real`` and the ``fake`` term."""
        self.latest.copy_(torch.stack([costs["real"], costs["fake"]]))

    @property
    def low(self) -> bool:
        """Whether the judge wins."""
        return bool(self.margin and self.latest.min() < 0.68 - self.margin)

    @property
    def high(self) -> bool:
        """Whether the judge loses."""
        return bool(self.margin and self.latest.max() > 0.68 + self.margin)

    def decoder_times(self, _step: int) -> int:
        """1 if the decoder moves now, 0 if it rests."""
        return int(self.low or not self.high)

    def judge_times(self, _step: int) -> int:
        """1 if the judge moves now, 0 if it rests."""
        return int(self.high or not self.low)
