"""What files and models are called. Only this file writes such names; who reads asks the manifest."""

from __future__ import annotations


def graph(role: str, precision: str, pixels: str = "") -> str:
    """An ONNX file of an exported folder; ``pixels``: their type."""
    return ".".join([role, *([] if precision == "fp32" else [precision]), *([pixels] if pixels else []), "onnx"])


def engine(role: str, pixels: bool, library: str, hardware: str, precision: str) -> str:
    """An engine, built by a library for some hardware: a compute capability, or a GPU with a driver."""
    return f"{role}-{'uint8' if pixels else 'float'}-{library}-{hardware}-{precision}.engine"


def golden_outputs(role: str) -> str:
    """The file of inputs and outputs that every copy of a role's graphs is compared with."""
    return f"golden_outputs/{role}.safetensors"


def model(run: str, role: str, pixels: str = "") -> str:
    """A model on a server."""
    return f"{run}_{role}" + (f"_{pixels}" if pixels else "")


def seeded_model(run: str, role: str) -> str:
    """The one that takes seeds; it has the same name whatever it gives."""
    return f"{run}_{role}_seeded"


def tiled_model(run: str, role: str) -> str:
    """The one that takes a picture of any sides and computes it in tiles."""
    return f"{run}_{role}_tiled"


def latents_model(run: str, role: str) -> str:
    """The first step of a seeded model on a server."""
    return f"{run}_{role}_latents"


def engine_model(name: str, library: str, precision: str) -> str:
    """The model of a server that runs engines in place of a graph."""
    return f"{name}_{library}_{precision}"
