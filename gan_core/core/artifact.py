"""A trained network in one safetensors file: weights, configuration, notes on where it came from, and a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gan_core.core.build_network import build_network
from gan_core.core.network_config import NetworkConfig
from gan_core.runtime import files
from gan_core.runtime.errors import DataError

KEY = "gan_foundry"
FORMAT = 1
"""Of the files that are written and read."""


@dataclass(frozen=True)
class Artifact:
    """A network as it was saved, in evaluation mode, with its configuration, notes and the file's sha256."""

    network: nn.Module
    config: NetworkConfig
    notes: Mapping[str, Any]
    sha256: str


def content_digest(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """The sha256 of all names, shapes, types and values, and of what is said about them."""
    in_order = {name: tensors[name].contiguous() for name in sorted(tensors)}
    return files.digest(safetensors.torch.save(in_order) + json.dumps(about, sort_keys=True).encode())


def save(path: Path, network: nn.Module, config: NetworkConfig, notes: Mapping[str, Any]) -> None:
    """Write a network. The same weights, configuration and notes give the same bytes."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    about = {"format": FORMAT, "network": config.to_json(), "notes": dict(notes)}
    header = json.dumps({"about": about, "content": content_digest(tensors, about)}, sort_keys=True)
    # One metadata key only: safetensors writes several in no fixed order.
    files.write(path, safetensors.torch.save(tensors, {KEY: header}))


def load(path: Path) -> Artifact:
    """Read a network back, verified.

    Raises:
        DataError: the file is missing, no artefact of ours, of another format, or its content is not what was saved.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; `dvc repro` makes it, `dvc pull` fetches it")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        about = header["about"]
        intact, written = content_digest(tensors, about) == header["content"], about.get("format")
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a complete artefact ({error}); remove it and run `dvc checkout`") from error
    if written != FORMAT:
        raise files.other_format(path, written, FORMAT)
    if not intact:
        raise DataError(f"{path} is corrupt: it is not what was saved; remove it and run `dvc checkout`")
    config = NetworkConfig.from_json(about["network"])
    network = build_network(config)
    network.load_state_dict(tensors)
    return Artifact(network.eval().requires_grad_(False), config, about["notes"], files.file_digest(path))


def load_roles(folder: Path) -> dict[str, Artifact]:
    """Every network of a trained run, by role.

    Raises:
        DataError: there is none, or one of them cannot be read.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise DataError(f"{folder} holds no trained network; run `dvc repro train@{folder.name}`")
    return {path.stem: load(path) for path in found}
