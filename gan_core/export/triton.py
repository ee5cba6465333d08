"""Writes a Triton model repository from a recipe: what the server is told is what the network was built for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gan_core import files
from gan_core.signature import Input, Recipe

DELAY_US = 500
"""How long the first request of a batch waits for others."""


def write(
    root: Path, name: str, model: bytes, recipe: Recipe, pixels: bool, largest: int, provenance: Mapping[str, str]
) -> None:
    """One model of a repository: version 1, a config for GPUs, and ``configs/cpu.pbtxt`` for machines without one."""
    files.write(root / name / "1" / "model.onnx", model)
    files.write(root / name / "config.pbtxt", config(name, recipe, pixels, largest, provenance, "KIND_GPU").encode())
    files.write(
        root / name / "configs" / "cpu.pbtxt", config(name, recipe, pixels, largest, provenance, "KIND_CPU").encode()
    )


def config(name: str, recipe: Recipe, pixels: bool, largest: int, provenance: Mapping[str, str], kind: str) -> str:
    """The model configuration (protobuf text) of one model."""
    c_h_w = recipe.shape
    dims = (c_h_w[1], c_h_w[2], c_h_w[0]) if pixels else c_h_w
    output = block("output", recipe.output, "TYPE_UINT8" if pixels else "TYPE_FP32", dims)
    parts = [
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: {largest}',
        *(block("input", i.name, kind_of(i), i.shape) for i in recipe.inputs),
        output,
        f"instance_group [ {{ kind: {kind} count: 1 }} ]",
        f"dynamic_batching {{ max_queue_delay_microseconds: {DELAY_US} }}",
        "version_policy: { latest { num_versions: 1 } }",
        *(warmup(recipe, n) for n in (1, largest)),
        *(f'parameters {{ key: "{k}" value: {{ string_value: "{v}" }} }}' for k, v in sorted(provenance.items())),
    ]
    return "\n".join(parts) + "\n"


def kind_of(i: Input) -> str:
    """Its type as the server calls it."""
    return "TYPE_INT64" if i.is_integer else "TYPE_FP32"


def block(role: str, name: str, kind: str, dims: tuple[int, ...]) -> str:
    """One tensor. A scalar row is one element on the wire, reshaped to none."""
    reshape = "" if dims else " reshape: { shape: [ ] }"
    return f'{role} [ {{ name: "{name}" data_type: {kind} dims: [ {", ".join(map(str, dims or (1,)))} ]{reshape} }} ]'


def warmup(recipe: Recipe, batch: int) -> str:
    """A request the server makes to itself before it says it is ready."""

    def one(i: Input) -> str:
        dims = ", ".join(map(str, i.shape or (1,)))
        return f'inputs {{ key: "{i.name}" value: {{ data_type: {kind_of(i)} dims: [ {dims} ] zero_data: true }} }}'

    return f'model_warmup [ {{ name: "batch {batch}" batch_size: {batch} {" ".join(map(one, recipe.inputs))} }} ]'
