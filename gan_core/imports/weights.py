"""Weights from elsewhere for a network of this project."""

from __future__ import annotations

import warnings
from pathlib import Path
from pickle import UnpicklingError

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gan_core.config import papers
from gan_core.core.build_network import build_network
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.runtime.errors import InputError, first_line

SHOWN = 3
"""So many names of tensors are said."""


def imported(path: Path, spec: NetworkSpec) -> tuple[nn.Module, NetworkConfig]:
    """The generator of a family, or its translator from the first domain to the second, with the weights of a file.

    Raises:
        InputError: the file holds no tensors by name, or others than the network has.
    """
    config = configured(spec)
    network = build_network(config)
    given, asked = tensors(path), network.state_dict()
    wrong = {
        "has no": [name for name in asked if name not in given],
        "has beside it": [name for name in given if name not in asked],
        "has in another shape": [n for n, t in asked.items() if n in given and given[n].shape != t.shape],
    }
    if said := [f"{what} {listed(names)}" for what, names in wrong.items() if names]:
        raise InputError(
            f"{path} holds no weights of {config.network}, width {spec.width}, latent {spec.latent}: it "
            f"{'; it '.join(said)}"
        )
    network.load_state_dict(given)
    return network.eval(), config


def configured(spec: NetworkSpec) -> NetworkConfig:
    """A translator, of a family that has one; else a generator."""
    if "translator" in papers.capabilities(spec.family):
        return spec.translator("x", "x_b")
    return spec.generator(spec.prior())


def tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name; of a pickle nothing is run.

    Raises:
        InputError: the file is missing, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused anyway
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        said = first_line(error).rstrip(".")
        raise InputError(f"{path} holds no tensors by name ({said}); save network.state_dict()") from None
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
        raise InputError(f"{path} holds no tensors by name; save network.state_dict()")
    return dict(found)


def listed(names: list[str]) -> str:
    """A few of many."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
