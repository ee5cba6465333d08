"""What a network is fed. Sampling, ONNX names, engine profiles and server configurations all read this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.core import latents
from gan_core.core.samples import alike

Field = Literal["x", "x_b"]
"""A field of a batch that holds samples: the data set's, or those of its second domain."""

Device: TypeAlias = torch.device | str


@dataclass(frozen=True)
class Prior:
    """Where the rows of an input come from, and how a network sees them."""

    draw: Callable[[int, int, Device], Tensor] | None = None
    """From (N, size, device) to rows, with torch's current seed; None: they come from a data set."""
    off: float | None = None
    """Of whole numbers: what a one-hot row holds where it is not 1. None: the rows are floats."""
    field: str | None = None
    """The field of a batch that holds such rows of real data."""


def integers(n: int, size: int, device: Device) -> Tensor:
    """Whole numbers of [0, size), each as likely."""
    return torch.randint(size, (n,), device=device)


LATENT = "latent"
"""Not drawn: what the encoder of the same run makes of samples."""
PRIORS = {
    "normal": Prior(lambda n, size, device: torch.randn(n, size, device=device)),
    "uniform": Prior(lambda n, size, device: torch.rand(n, size, device=device) * 2 - 1),
    "label": Prior(integers, off=-1.0, field="y"),
    "category": Prior(integers, off=0.0),
    "x": Prior(field="x"),
    "x_b": Prior(field="x_b"),
    LATENT: Prior(),
}
"""``normal``: N(0, I), and ``uniform``: U(-1, 1), float32 (N, size). ``label``, a class of the data, and ``category``,
a code that means what training makes of it: int64 (N,) in [0, size). ``x`` and ``x_b``: samples of the data set and of
its second domain, and ``latent``, what an encoder makes of ``x``: float32 (N, *dims).

A label's one-hot row is -1 and 1, on the scale of pixels. A code's row is 0 and 1 (Chen et al. 2016): at twice the
scale the generator's inputs lie so far apart that codes mean something without any information term.
"""


@dataclass(frozen=True)
class Input:
    """One named input, one row a sample."""

    name: str
    prior: str
    """A row of ``PRIORS``."""
    size: int
    dims: tuple[int, ...] = ()
    """The shape of a row that is more than ``size`` numbers side by side: (C, H, W) of an image or of a latent map."""

    @property
    def is_integer(self) -> bool:
        """Whether a row is one whole number."""
        return PRIORS[self.prior].off is not None

    @property
    def is_image(self) -> bool:
        """Whether a row is an image of the data; a map of latents is none."""
        return len(self.dims) == 3 and self.field is not None

    @property
    def is_data(self) -> bool:
        """Whether rows come from a data set, as they are or through an encoder, not from a distribution."""
        return PRIORS[self.prior].draw is None

    @property
    def field(self) -> str | None:
        """The field of a batch that holds such rows of real data; a prior has none."""
        return PRIORS[self.prior].field

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return () if self.is_integer else self.dims or (self.size,)

    @property
    def dtype(self) -> type[np.generic]:
        """The NumPy type of the input."""
        return np.int64 if self.is_integer else np.float32

    @property
    def channels(self) -> int:
        """How many planes it is beside an image."""
        return self.dims[0] if len(self.dims) == 3 else self.size

    def sample(self, n: int, device: Device = "cpu") -> Tensor:
        """Draw ``n`` rows from the prior with torch's current seed; a data set's samples are not drawn here."""
        draw = PRIORS[self.prior].draw
        assert draw is not None, f"{self.name} is data"
        return draw(n, self.size, device)

    def like(self, x: Tensor) -> Tensor:
        """Draw as many rows as ``x`` has, on its device."""
        return self.sample(len(x), x.device)

    def fixed(self, n: int, seed: int) -> NDArray[Any]:
        """``n`` rows, the same on every machine: what ``latents.draw`` gives for the seeds 2^32 ``seed`` + 0, 1, ...

        Labels are drawn as categories are; in place of samples it is uniform noise of their shape.
        """
        prior = "category" if self.is_integer else "normal" if self.prior == "normal" else "uniform"
        described = {"name": self.name, "prior": prior, "size": self.size}
        seeds = np.uint64(seed % 2**32 << 32) + np.arange(n, dtype=np.uint64)
        return latents.draw([described], seeds.view(np.int64))[self.name].reshape(n, *self.shape)

    def embed(self, value: Tensor) -> Tensor:
        """As vectors, (N, size) floats: whole numbers become one-hot rows, the rest is flat.

        Raises:
            IndexError: on a CPU, a number is not one of 0 to size - 1; so does a graph. (-1 would be the last class.)
        """
        off = PRIORS[self.prior].off
        if off is None:
            return value.flatten(1)
        one_hot = self.one_hot(value)
        return one_hot if off == 0 else one_hot * (1 - off) + off

    def one_hot(self, value: Tensor) -> Tensor:
        """Whole numbers (N,) as rows of 0 and 1, (N, size); raises as ``embed``."""
        return torch.eye(self.size, device=value.device)[torch.where(value < 0, self.size, value)]

    def planes(self, value: Tensor, sides: Sequence[int]) -> Tensor:
        """As maps, (N, channels, *sides) floats: an image (smaller ones enlarged), else planes of one value."""
        if len(self.dims) == 3:
            return alike(value, sides)
        return self.embed(value)[:, :, None, None].expand(-1, -1, *sides)


def concat_inputs(inputs: tuple[Input, ...], values: tuple[Tensor, ...]) -> Tensor:
    """Values of inputs as columns of one matrix, (N, sum of sizes)."""
    return torch.cat([i.embed(v) for i, v in zip(inputs, values, strict=True)], dim=1)


def beside(x: Tensor, inputs: tuple[Input, ...], values: tuple[Tensor, ...]) -> Tensor:
    """A sample with its conditions beside it: planes beside an image (N, C, H, W), columns beside a vector (N, D)."""
    if not inputs:
        return x
    if x.dim() == 2:
        return torch.cat([x, concat_inputs(inputs, values)], 1)
    return torch.cat([x, *(i.planes(v, x.shape[2:]) for i, v in zip(inputs, values, strict=True))], 1)
