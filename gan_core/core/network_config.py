"""What a network is built from: all that its file needs beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.core.inputs import Input, concat_inputs
from gan_core.core.samples import Chosen, Samples

Space = Literal["x", "x_b", "latent", "curve"]


@dataclass(frozen=True)
class NetworkConfig:
    """All that is needed to build a network again."""

    network: str
    """``<family>.<role>``: a file in ``gan_core/networks``, and a class of it."""
    shape: tuple[int, ...]
    """Of one row of the output: (C, H, W) for images and for maps of latents, (D,) for points and vectors."""
    width: int
    inputs: tuple[Input, ...] = ()
    projected: tuple[Input, ...] = ()
    """Conditions that meet the features of a discriminator in an inner product (Miyato & Koyama 2018)."""
    outputs: int = 1
    norm: Literal["none", "batch", "spectral"] = "none"
    output_space: Space = "x"
    """What the output is: a sample of the data set or of its second domain, a latent, or a curve to plot."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What only this family knows; see its ``Options``."""
    bits: int = 8
    """Of a number of a pixel, where it ships images as pixels."""

    @property
    def family(self) -> str:
        """The file of the network."""
        return self.network.partition(".")[0]

    @property
    def draws(self) -> bool:
        """Whether the output is a sample."""
        return self.network.endswith((".generator", ".translator", ".decoder"))

    @property
    def role(self) -> str:
        """What it is in its family."""
        return self.network.partition(".")[2]

    @property
    def size(self) -> int:
        """How many numbers one sample has."""
        return prod(self.shape)

    @property
    def input_dim(self) -> int:
        """How many numbers one row of all inputs has, as vectors."""
        return sum(i.size for i in self.inputs)

    @property
    def scale(self) -> int:
        """How many times as high and wide an image comes out as went in."""
        given = [i.dims[1] for i in self.inputs if i.is_data and len(i.dims) == 3]
        return self.shape[1] // given[0] if given and self.is_image else 1

    @property
    def condition_channels(self) -> int:
        """How many planes all inputs are beside an image."""
        return sum(i.channels for i in self.inputs)

    def concat(self, values: tuple[Tensor, ...]) -> Tensor:
        """All inputs side by side: (N, input_dim)."""
        return concat_inputs(self.inputs, values)

    def fixed_inputs(self, n: int, seed: int, real: Mapping[str, Samples] | None = None) -> dict[str, NDArray[Any]]:
        """The inputs that every artefact of this network is compared on, a function of ``seed`` and their names.

        ``real``: under "x", "x_b" and "latent", the rows that stand for the noise, over and over.
        """
        return {name: column[:].numpy() for name, column in self.fixed_columns(n, seed, real).items()}

    def fixed_columns(self, n: int, seed: int, real: Mapping[str, Samples] | None = None) -> dict[str, Samples]:
        """The same, samples converted only when they are asked for: of large pictures, many take too much memory."""
        given = real or {}
        return {
            i.name: Chosen.cycled(given[i.prior], n) if i.prior in given else torch.from_numpy(i.fixed(n, seed))
            for i in self.inputs
        }

    def described_inputs(self) -> list[dict[str, Any]]:
        """The inputs in plain words, as the manifest has them and ``latents.draw`` reads them."""
        return [
            {"name": i.name, "dtype": i.dtype.__name__, "shape": ["batch", *i.shape], "prior": i.prior, "size": i.size}
            for i in self.inputs
        ]

    @property
    def is_image(self) -> bool:
        """Whether the output is an image; a map of latents is none."""
        return len(self.shape) == 3 and self.output_space != "latent"

    @property
    def images(self) -> list[str]:
        """The names of inputs and output that are images."""
        return [*(i.name for i in self.inputs if i.is_image), *([self.output_name] if self.is_image else [])]

    @property
    def output_name(self) -> str:
        """The name of the output, in ONNX and on a server."""
        if self.output_space in ("x", "x_b"):
            return "image" if self.is_image else "point"
        return "z" if self.output_space == "latent" else self.output_space

    @property
    def pixel_type(self) -> str:
        """NumPy's word for its pixels."""
        return f"uint{self.bits}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a header or a manifest; 8 bits go without saying."""
        return {name: value for name, value in asdict(self).items() if name != "bits" or value != 8}

    @staticmethod
    def from_json(value: dict[str, Any]) -> NetworkConfig:
        """The inverse of ``to_json``."""
        named = {
            key: tuple(Input(**{**i, "dims": tuple(i["dims"])}) for i in value[key]) for key in ("inputs", "projected")
        }
        return NetworkConfig(**{**value, "shape": tuple(value["shape"]), **named})
