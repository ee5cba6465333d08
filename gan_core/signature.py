"""What a network is fed and how it is built. Sampling, ONNX names, engine profiles and server configs all read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from gan_core.types import Samples

Prior = Literal["normal", "uniform", "label", "category", "sample", "other"]
Space = Literal["sample", "other", "latent", "curve"]


@dataclass(frozen=True)
class Input:
    """One named input, one row a sample.

    ``normal``: N(0, I) and ``uniform``: U(-1, 1), both float32 (N, size). ``label``, a class of the data, and
    ``category``, a code that means what training makes of it: int64 (N,) in [0, size). ``sample`` and ``other``: a
    sample of the data set, or of its second domain, float32 (N, *dims) in model space.
    """

    name: str
    prior: Prior
    size: int
    dims: tuple[int, ...] = ()

    @property
    def is_integer(self) -> bool:
        """Whether a row is one whole number."""
        return self.prior in ("label", "category")

    @property
    def is_data(self) -> bool:
        """Whether rows come from a data set, not from a distribution."""
        return self.prior in ("sample", "other")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return () if self.is_integer else self.dims or (self.size,)

    @property
    def dtype(self) -> type[np.generic]:
        """The NumPy type of the input."""
        return np.int64 if self.is_integer else np.float32

    def sample(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Draw ``n`` rows from the prior with torch's current seed; a data set's samples are not drawn here."""
        if self.prior == "normal":
            return torch.randn(n, self.size, device=device)
        if self.is_integer:
            return torch.randint(self.size, (n,), device=device)
        assert not self.is_data, f"{self.name} is data"
        return torch.rand(n, self.size, device=device) * 2 - 1

    def like(self, x: Tensor) -> Tensor:
        """Draw as many rows as ``x`` has, on its device."""
        return self.sample(len(x), x.device)

    def pinned(self, n: int, seed: int) -> NDArray[Any]:
        """``n`` rows that depend only on ``seed`` and the name, the same on every machine (Philox, NumPy).

        In place of samples: uniform noise of their shape.
        """
        philox = np.random.Generator(np.random.Philox(key=[seed, int.from_bytes(self.name.encode()[:8], "big")]))
        if self.prior == "normal":
            return philox.standard_normal((n, self.size), dtype=np.float32)
        if self.is_integer:
            return philox.integers(self.size, size=n, dtype=np.int64)
        return philox.random((n, *self.shape), dtype=np.float32) * 2 - 1

    def encode(self, value: Tensor) -> Tensor:
        """The (N, size) float rows a network sees: whole numbers become one-hot rows, the rest is flat.

        A label's row is -1 and 1, as it must be heard beside pixels. A code's row is 0 and 1 (Chen et al. 2016): twice
        as loud, it parts the generator's input so far that codes mean something without any information term.

        Raises:
            IndexError: on a CPU, a number is not one of 0 to size - 1; so does a graph. (-1 would be the last class.)
        """
        if self.is_integer:
            one_hot = torch.eye(self.size, device=value.device)[torch.where(value < 0, self.size, value)]
            return one_hot * 2 - 1 if self.prior == "label" else one_hot
        return value.flatten(1)


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
    norm: Literal["none", "batch", "spectral"] = "none"
    gives: Space = "sample"
    """What the output is: a sample of the data set or of its second domain, a latent, or a curve to plot."""

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

    def pinned(self, n: int, seed: int, real: Mapping[str, Samples] | None = None) -> dict[str, NDArray[Any]]:
        """The pinned inputs that every artefact of this network is compared on.

        ``real``: under "sample" and "other", the samples that stand for the noise, over and over.
        """
        given = real or {}

        def rows(i: Input) -> NDArray[Any]:
            x = given.get(i.prior)
            return i.pinned(n, seed) if x is None else x[np.arange(n) % len(x)].numpy()

        return {i.name: rows(i) for i in self.inputs}

    @property
    def is_image(self) -> bool:
        """Whether the output is an image."""
        return len(self.shape) == 3

    @property
    def output(self) -> str:
        """The name of the output, in ONNX and on a server."""
        if self.gives in ("sample", "other"):
            return "image" if self.is_image else "point"
        return "z" if self.gives == "latent" else self.gives

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a header or a manifest."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> Recipe:
        """The inverse of ``to_json``."""
        named = {
            key: tuple(Input(**{**i, "dims": tuple(i["dims"])}) for i in value[key]) for key in ("inputs", "projected")
        }
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

    def data(self, prior: Literal["sample", "other"] = "sample", name: str = "x") -> Input:
        """A sample of the data set, or of its second domain, as an input."""
        return Input(name, prior, prod(self.shape), self.shape)

    def generator(self, *inputs: Input) -> Recipe:
        """A generator of this family: with batch normalisation for images, without any for points."""
        norm: Literal["none", "batch"] = "batch" if len(self.shape) == 3 else "none"
        return Recipe(f"{self.family}.generator", self.shape, self.width, inputs, norm=norm)

    def discriminator(
        self, *inputs: Input, projected: tuple[Input, ...] = (), spectral: bool = False, pack: int = 1
    ) -> Recipe:
        """A discriminator or critic of this family: no batch statistics, so per-sample gradients are per-sample.

        Conditions are ``inputs``, beside the sample, or ``projected`` onto its features. ``spectral``: spectral
        normalisation. ``pack``: it judges that many samples at once, side by side as channels or coordinates.
        """
        shape = (self.shape[0] * pack, *self.shape[1:])
        norm: Literal["none", "spectral"] = "spectral" if spectral else "none"
        return Recipe(f"{self.family}.discriminator", shape, self.width, inputs, projected, norm=norm)

    def encoder(self, z: Input) -> Recipe:
        """From a sample to the mean (and, of its ``posterior``, the log-variance) of the latent ``z``."""
        return Recipe(f"{self.family}.encoder", (z.size,), self.width, (self.data(),), gives="latent")

    def translator(self, source: Literal["sample", "other"], target: Literal["sample", "other"]) -> Recipe:
        """From a sample of one domain to one of the other."""
        return Recipe(f"{self.family}.translator", self.shape, self.width, (self.data(source),), gives=target)

    def recogniser(self, outputs: int) -> Recipe:
        """From the features of this body's discriminator to ``outputs`` numbers."""
        return Recipe(f"{self.family}.recogniser", self.shape, self.width, outputs=outputs)
