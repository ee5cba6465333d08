"""Weights from elsewhere for a network of this project."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
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

    A generator takes labels where the file's does, which its tensors tell.

    Raises:
        InputError: the file holds no tensors by name, or others than the network has.
    """
    given, said = tensors(path), []
    for config in configured(spec):
        network = build_network(config)
        if not (wrong := differences(given, network.state_dict())):
            network.load_state_dict(given)
            return network.eval(), config
        said.append(f"of {config.network}{' with labels' if spec.label() in config.inputs else ''}: it {wrong}")
    raise InputError(f"{path} holds no weights of width {spec.width}, latent {spec.latent}, {'; nor '.join(said)}")


def configured(spec: NetworkSpec) -> Iterator[NetworkConfig]:
    """What the weights may be of: the translator of a family that has one, or a generator without or with labels."""
    if "translator" in papers.capabilities(spec.family):
        yield spec.translator("x", "x_b")
        return
    yield spec.generator(spec.prior())
    if spec.classes:
        yield spec.generator(spec.prior(), spec.label())


def differences(given: Mapping[str, Tensor], asked: Mapping[str, Tensor]) -> str:
    """Why tensors are not those of a network; empty, if they are."""
    wrong = {
        "has no": [name for name in asked if name not in given],
        "has beside it": [name for name in given if name not in asked],
        "has in another shape": [n for n, t in asked.items() if n in given and given[n].shape != t.shape],
    }
    return "; it ".join(f"{what} {listed(names)}" for what, names in wrong.items() if names)


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
