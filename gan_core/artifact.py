"""A trained network in one safetensors file: weights, recipe, notes on where it came from, and a checksum of it all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gan_core import files
from gan_core.errors import DataError
from gan_core.networks.build import build
from gan_core.signature import Recipe

KEY = "gan_foundry"


@dataclass(frozen=True)
class Artifact:
    """A network as it was saved, in evaluation mode, with its recipe, notes and the file's sha256."""

    network: nn.Module
    recipe: Recipe
    notes: Mapping[str, Any]
    sha256: str


def content_digest(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """The sha256 of all names, shapes, types and values, and of what is said about them."""
    return files.digest(
        safetensors.torch.save(dict(sorted(tensors.items()))) + json.dumps(about, sort_keys=True).encode()
    )


def save(path: Path, network: nn.Module, recipe: Recipe, notes: Mapping[str, Any]) -> None:
    """Write a network. The same weights, recipe and notes give the same bytes."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    about = {"recipe": recipe.to_json(), "notes": dict(notes)}
    header = json.dumps({"about": about, "content": content_digest(tensors, about)}, sort_keys=True)
    # One metadata key only: safetensors writes several in no fixed order.
    files.write(path, safetensors.torch.save(tensors, {KEY: header}))


def load(path: Path) -> Artifact:
    """Read a network back, verified.

    Raises:
        DataError: the file is missing, no artefact of ours, or its content is not what was saved.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; `dvc repro` makes it, `dvc pull` fetches it")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        intact = content_digest(tensors, header["about"]) == header["content"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a complete artefact ({error}); remove it and run `dvc checkout`") from error
    if not intact:
        raise DataError(f"{path} is corrupt: it is not what was saved; remove it and run `dvc checkout`")
    recipe, notes = Recipe.from_json(header["about"]["recipe"]), header["about"]["notes"]
    network = build(recipe)
    network.load_state_dict(tensors)
    return Artifact(network.eval().requires_grad_(False), recipe, notes, files.file_digest(path))


def load_roles(folder: Path) -> dict[str, Artifact]:
    """Every network of a trained run, by role.

    Raises:
        DataError: there is none, or one of them cannot be read.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise DataError(f"{folder} holds no trained network; run `dvc repro train@{folder.name}`")
    return {path.stem: load(path) for path in found}
