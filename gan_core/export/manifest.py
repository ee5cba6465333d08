"""What an exported folder says of itself. No torch, for a client reads it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gan_core.core.tiles import Tiles
from gan_core.runtime import files

FORMAT = 4
"""Of the manifests that are written and read."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or the output of a model."""

    name: str
    dtype: str
    """NumPy's word: float32, int64, uint8 or uint16."""
    shape: tuple[int, ...]
    """Of one row; a side of -1 is open."""
    usual: tuple[int, ...] = ()
    """The shape of a row as it was trained on."""
    prior: str = ""
    """Of an input: where its rows come from; "seed" and "central_mass" are of seeded models alone."""
    size: int = 1
    """Of an input: how many numbers a row has, or how many values a whole number."""
    optional: bool = False
    """Of an input: it is drawn where it is not given."""


@dataclass(frozen=True)
class ModelEndpoint:
    """One model as a server offers it."""

    name: str
    role: str
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec
    graph: str
    """The file whose outputs it gives."""
    precision: str
    pixels: bool
    """Images are uint8 or uint16 (H, W, C), not float32 (C, H, W) in [-1, 1]."""
    seeded: bool
    """It draws latents from seeds that it is given."""
    max_batch_size: int
    tiles: Tiles | None = None
    """It takes one picture of any sides, and its graph computes it in these."""

    @property
    def is_graph(self) -> bool:
        """Whether it is its graph alone, and takes what that takes."""
        return not self.seeded and self.tiles is None

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> ModelEndpoint:
        """The inverse of ``asdict``, after JSON."""
        inputs, tiles = tuple(map(tensor_spec, value["inputs"])), value["tiles"] and Tiles(**value["tiles"])
        return ModelEndpoint(**{**value, "inputs": inputs, "output": tensor_spec(value["output"]), "tiles": tiles})


def tensor_spec(value: Mapping[str, Any]) -> TensorSpec:
    """The inverse of ``asdict``, after JSON."""
    return TensorSpec(**{**value, "shape": tuple(value["shape"]), "usual": tuple(value["usual"])})


def manifest_of(folder: Path) -> dict[str, Any]:
    """Its manifest.json.

    Raises:
        DataError: it holds no finished export, or one that another version of this project wrote.
    """
    manifest: dict[str, Any] = files.read_json(folder / "manifest.json", FORMAT)
    return manifest


def endpoints_of(manifest: Mapping[str, Any], role: str | None = None) -> list[ModelEndpoint]:
    """The models that a server offers: all, or those of a role."""
    found = [ModelEndpoint.from_json(value) for value in manifest["endpoints"]]
    return [e for e in found if role in (None, e.role)]


def endpoint_json(endpoint: ModelEndpoint) -> dict[str, Any]:
    """Plain values, for a manifest."""
    return asdict(endpoint)


def main_graph(manifest: Mapping[str, Any], role: str) -> str:
    """The float32 graph that people want first: with pixels, where there is one."""
    graphs: Mapping[str, Any] = manifest["roles"][role]["graphs"]
    return max((f for f, g in graphs.items() if g["precision"] == "fp32"), key=lambda file: graphs[file]["pixels"])
