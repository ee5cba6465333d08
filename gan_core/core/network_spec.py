"""The user's half of a network's configuration: a family, its size and its options; a paper adds the other half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

from gan_core.core.inputs import LATENT, Field, Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.sides import divides
from gan_core.runtime.errors import InputError


@dataclass(frozen=True)
class NetworkSpec:
    """The family and size of network a run asks for, and the shape of its data.

    ``latent``: numbers of a latent, or channels of a map of latents.
    """

    family: str
    width: int
    latent: int
    shape: tuple[int, ...]
    classes: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    bits: int = 8
    scale: int = 1
    """How many times as high and wide the samples of the second domain are as those of the first."""

    def with_family(self, family: str, **options: Any) -> NetworkSpec:
        """Of another family, with its options."""
        return replace(self, family=family, options=options)

    def prior(self, name: str = "z") -> Input:
        """The usual latent: N(0, I) of the declared size."""
        return Input(name, "normal", self.latent)

    def latent_map(self, factor: int, name: str = "z") -> Input:
        """A latent with places: the declared channels at 1/``factor`` of the height and width of images.

        Raises:
            InputError: the samples are no images whose sides are multiples of the factor, from twice it up.
        """
        if len(self.shape) != 3 or not divides(factor, self.shape[1:]):
            raise InputError(
                f"a latent of 1/{factor} of each side is asked for, of samples of shape {self.shape}: use images whose "
                f"sides are multiples of {factor}, from {2 * factor} up"
            )
        _, high, wide = self.shape
        dims = (self.latent, high // factor, wide // factor)
        return Input(name, LATENT, prod(dims), dims)

    def label(self, name: str = "y") -> Input:
        """The label of a sample, one of the data set's classes."""
        return Input(name, "label", self.classes)

    def data(self, field: Field = "x", name: str = "x") -> Input:
        """A sample of the data set, or of its second domain, as an input."""
        smaller = self.scale if field == "x" else 1
        shape = (self.shape[0], *(side // smaller for side in self.shape[1:]))
        return Input(name, field, prod(shape), shape)

    def _config(self, role: str, shape: tuple[int, ...], *inputs: Input, **more: Any) -> NetworkConfig:
        more |= {"options": dict(self.options), "bits": self.bits}
        return NetworkConfig(f"{self.family}.{role}", shape, self.width, inputs, **more)

    def generator(self, *inputs: Input) -> NetworkConfig:
        """A generator of this family: with batch normalisation for images, without any for points."""
        return self._config("generator", self.shape, *inputs, norm="batch" if len(self.shape) == 3 else "none")

    def discriminator(
        self, *inputs: Input, projected: tuple[Input, ...] = (), spectral: bool = False, pack: int = 1
    ) -> NetworkConfig:
        """A discriminator or critic of this family: no batch statistics, so per-sample gradients are per-sample.

        Conditions are ``inputs``, beside the sample, or ``projected`` onto its features. ``spectral``: spectral
        normalisation. ``pack``: it scores that many samples at once, side by side as channels or coordinates.
        """
        shape = (self.shape[0] * pack, *self.shape[1:])
        norm: Literal["none", "spectral"] = "spectral" if spectral else "none"
        return self._config("discriminator", shape, *inputs, projected=projected, norm=norm)

    def encoder(self, z: Input) -> NetworkConfig:
        """From a sample to the mean (and, of its ``posterior``, the log-variance) of the latent ``z``."""
        return self._config("encoder", z.shape, self.data(), output_space="latent")

    def decoder(self, z: Input) -> NetworkConfig:
        """From a map of latents to a sample."""
        return self._config("decoder", self.shape, z)

    def translator(self, source: Field, target: Field) -> NetworkConfig:
        """From a sample of one domain to one of the other."""
        return self._config("translator", self.shape, self.data(source), output_space=target)

    def heads(self) -> NetworkConfig:
        """From the maps of a translator to vectors, layer by layer."""
        return self._config("heads", self.shape)

    def recogniser(self, outputs: int) -> NetworkConfig:
        """From the features of this family's discriminator to ``outputs`` numbers."""
        return self._config("recogniser", self.shape, outputs=outputs)
