"""What a network is fed and how it is built. Sampling, ONNX names, engine profiles and server configs all read this."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Prior = Literal["normal", "uniform", "label"]


@dataclass(frozen=True)
class Input:
    """One named input, one row a sample.

    ``normal``: N(0, I) and ``uniform``: U(-1, 1), both float32 (N, size); ``label``: int64 (N,) in [0, size).
    """

    name: str
    prior: Prior
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return () if self.prior == "label" else (self.size,)

    @property
    def dtype(self) -> type[np.generic]:
        """The NumPy type of the input."""
        return np.int64 if self.prior == "label" else np.float32

    def sample(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw ``n`` rows from the prior with torch's current seed."""
        if self.prior == "normal":
            return torch.randn(n, self.size, device=device)
        if self.prior == "uniform":
            return torch.rand(n, self.size, device=device) * 2 - 1
        return torch.randint(self.size, (n,), device=device)

    def pinned(self, n: int, seed: int) -> NDArray[Any]:
        """``n`` rows that depend only on ``seed`` and the name, the same on every machine (Philox, NumPy)."""
        philox = np.random.Generator(np.random.Philox(key=[seed, int.from_bytes(self.name.encode()[:8], "big")]))
        if self.prior == "normal":
            return philox.standard_normal((n, self.size), dtype=np.float32)
        if self.prior == "uniform":
            return philox.random((n, self.size), dtype=np.float32) * 2 - 1
        return philox.integers(self.size, size=n, dtype=np.int64)

    def encode(self, value: Tensor) -> Tensor:
        """The (N, size) float rows a network sees: labels become one-hot rows in {-1, 1}, the rest stay."""
        if self.prior == "label":
            return torch.eye(self.size, device=value.device)[value] * 2 - 1
        return value


@dataclass(frozen=True)
class Recipe:
    """All that is needed to build a network again: its row in NETWORKS and what it is built for."""

    network: str
    shape: tuple[int, ...]
    """Of one sample: (C, H, W) for images, (D,) for points."""
    width: int
    inputs: tuple[Input, ...] = ()
    projected: tuple[Input, ...] = ()
    """Conditions that meet the features of a discriminator in an inner product (Miyato & Koyama 2018)."""
    outputs: int = 1
    norm: Literal["none", "batch"] = "none"

    @property
    def size(self) -> int:
        """How many numbers one sample has."""
        return prod(self.shape)

    @property
    def fed(self) -> int:
        """How many numbers one row of all inputs has, once encoded."""
        return sum(i.size for i in self.inputs)

    def encode(self, values: tuple[Tensor, ...]) -> Tensor:
        """All inputs side by side: (N, fed)."""
        return side_by_side(self.inputs, values)

    def pinned(self, n: int, seed: int) -> dict[str, NDArray[Any]]:
        """The pinned latents that every artefact of this network is compared on."""
        return {i.name: i.pinned(n, seed) for i in self.inputs}

    @property
    def is_image(self) -> bool:
        """Whether the samples are images."""
        return len(self.shape) == 3

    @property
    def output(self) -> str:
        """The name of the output, in ONNX and on a server."""
        return "image" if self.is_image else "point"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a header or a manifest."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Recipe:
        """The inverse of ``to_json``."""
        named = {key: tuple(Input(**i) for i in value[key]) for key in ("inputs", "projected")}
        return Recipe(**{**value, "shape": tuple(value["shape"]), **named})


def side_by_side(inputs: tuple[Input, ...], values: tuple[Tensor, ...]) -> Tensor:
    """Values of inputs, encoded, as columns of one matrix."""
    return torch.cat([i.encode(v) for i, v in zip(inputs, values, strict=True)], dim=1)


@dataclass(frozen=True)
class Body:
    """The family and size of network a run asks for, and the shape of its data: the user's half of a recipe."""

    family: str
    width: int
    latent: int
    shape: tuple[int, ...]
    classes: int = 0

    def prior(self, name: str = "z") -> Input:
        """The usual latent: N(0, I) of the declared size."""
        return Input(name, "normal", self.latent)

    def label(self, name: str = "y") -> Input:
        """The label of a sample, one of the data set's classes."""
        return Input(name, "label", self.classes)

    def generator(self, *inputs: Input) -> Recipe:
        """A generator of this family: with batch normalisation for images, without any for points."""
        norm: Literal["none", "batch"] = "batch" if len(self.shape) == 3 else "none"
        return Recipe(f"{self.family}.generator", self.shape, self.width, inputs, norm=norm)

    def discriminator(self, *inputs: Input, projected: tuple[Input, ...] = (), outputs: int = 1) -> Recipe:
        """A discriminator or critic of this family: no normalisation, so per-sample gradients are per-sample.

        Conditions are ``inputs``, beside the sample, or ``projected`` onto its features.
        """
        name = f"{self.family}.discriminator"
        return Recipe(name, self.shape, self.width, inputs, projected, outputs)
