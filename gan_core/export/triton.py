"""Writes a Triton model repository from a recipe: what the server is told is what the network was built for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gan_core import files, latents
from gan_core.export import onnx
from gan_core.signature import Input, Recipe

DELAY_US = 500
"""How long the first request of a batch waits for others."""

WIRE = {"float32": "TYPE_FP32", "int64": "TYPE_INT64", "uint8": "TYPE_UINT8"}
"""Types as the server calls them."""

BARE = " reshape: { shape: [ ] }"
"""A graph takes its scalar rows without the one element that they are on the wire."""


def write(
    root: Path, name: str, model: bytes, recipe: Recipe, pixels: bool, largest: int, provenance: Mapping[str, str]
) -> None:
    """One model of a repository: version 1, a config for GPUs, and ``configs/cpu.pbtxt`` for machines without one."""
    files.write(root / name / "1" / "model.onnx", model)
    files.write(root / name / "config.pbtxt", config(name, recipe, pixels, largest, provenance, "KIND_GPU").encode())
    files.write(
        root / name / "configs" / "cpu.pbtxt", config(name, recipe, pixels, largest, provenance, "KIND_CPU").encode()
    )


def write_seeded(
    root: Path, name: str, draws: str, recipe: Recipe, pixels: bool, largest: int, provenance: Mapping[str, str]
) -> None:
    """Two more models: ``<name>_seeded``, from seeds to samples of ``draws``, and its first step ``<name>_latents``.

    The step is a copy of ``gan_core/latents.py`` on the server's CPU, so it needs no config of its own for one.
    """
    files.write(root / f"{name}_latents" / "1" / "model.py", Path(latents.__file__).read_bytes())
    for model, text in (
        ("latents", latents_config(f"{name}_latents", recipe, largest)),
        ("seeded", seeded_config(name, draws, recipe, pixels, largest, provenance)),
    ):
        files.write(root / f"{name}_{model}" / "config.pbtxt", text.encode())
    files.write(root / f"{name}_seeded" / "1" / "ensemble", b"")  # a version is a folder, and nobody keeps empty ones


def write_engines(root: Path, name: str, config: str, engines: Mapping[str, bytes], largest: int) -> None:
    """The model of ``config`` once more, as TensorRT engines by compute capability ("9.0"), named ``<name>_tensorrt``.

    A server with another GPU cannot load it, so ``root`` is a repository of its own; the ONNX model runs everywhere.
    Engines of TensorRT-RTX do not belong here: no backend of Triton loads them.
    """
    files_of = {capability: f"sm{capability.replace('.', '')}.plan" for capability in sorted(engines)}
    for capability, file in files_of.items():
        files.write(root / f"{name}_tensorrt" / "1" / file, engines[capability])
    preferred = f"preferred_batch_size: [ {max(1, largest // 4)}, {largest} ]"  # what the engines were tuned for
    text = config.replace(f'name: "{name}"', f'name: "{name}_tensorrt"', 1)
    text = text.replace('backend: "onnxruntime"', 'backend: "tensorrt"')
    text = text.replace("dynamic_batching { ", f"dynamic_batching {{ {preferred} ")
    text += "".join(f'cc_model_filenames {{ key: "{k}" value: "{file}" }}\n' for k, file in files_of.items())
    files.write(root / f"{name}_tensorrt" / "config.pbtxt", text.encode())


def asked(recipe: Recipe) -> Iterator[str]:
    """What a seeded model takes: a seed; labels, and whatever else is to be given and not drawn."""
    yield block("input", "seed", "TYPE_INT64", ())
    for i in recipe.inputs:
        yield block("input", i.name, kind_of(i), i.shape, "" if i.prior == "label" else " optional: true")
    if any(i.prior == "normal" for i in recipe.inputs):
        yield block("input", "truncation", "TYPE_FP32", (), " optional: true")


def latents_config(name: str, recipe: Recipe, largest: int) -> str:
    """The model that turns seeds into latents, in Triton's python backend."""
    parts = [
        f'name: "{name}"\nbackend: "python"\nmax_batch_size: {largest}',
        *asked(recipe),
        *(block("output", i.name, kind_of(i), i.shape) for i in recipe.inputs),
        "instance_group [ { kind: KIND_CPU count: 1 } ]",
        f"dynamic_batching {{ max_queue_delay_microseconds: {DELAY_US} }}",
        parameter("inputs", json.dumps(described(recipe))),
    ]
    return "\n".join(parts) + "\n"


def seeded_config(
    name: str, draws: str, recipe: Recipe, pixels: bool, largest: int, provenance: Mapping[str, str]
) -> str:
    """The ensemble of that model and the one that draws."""
    takes = ["seed", *(i.name for i in recipe.inputs)]
    takes += ["truncation"] if any(i.prior == "normal" for i in recipe.inputs) else []
    drawn = {i.name: f"{i.name}_drawn" for i in recipe.inputs}
    steps = [
        step(f"{name}_latents", {n: n for n in takes}, drawn),
        step(draws, drawn, {recipe.output: recipe.output}),
    ]
    parts = [
        f'name: "{name}_seeded"\nplatform: "ensemble"\nmax_batch_size: {largest}',
        *asked(recipe),
        answer(recipe, pixels),
        "ensemble_scheduling { step [ " + ", ".join(steps) + " ] }",
        *(parameter(k, v) for k, v in sorted(provenance.items())),
    ]
    return "\n".join(parts) + "\n"


def step(model: str, takes: Mapping[str, str], gives: Mapping[str, str]) -> str:
    """One model of an ensemble: which of the ensemble's tensors its inputs and outputs are."""
    maps = [
        f'{kind}_map {{ key: "{own}" value: "{shared}" }}'
        for kind, names in (("input", takes), ("output", gives))
        for own, shared in names.items()
    ]
    return f'{{ model_name: "{model}" model_version: -1 {" ".join(maps)} }}'


def described(recipe: Recipe) -> list[dict[str, Any]]:
    """The inputs, as the manifest and a client see them."""
    return [
        {"name": i.name, "dtype": i.dtype.__name__, "shape": ["batch", *i.shape], "prior": i.prior, "size": i.size}
        for i in recipe.inputs
    ]


def config(name: str, recipe: Recipe, pixels: bool, largest: int, provenance: Mapping[str, str], kind: str) -> str:
    """The model configuration (protobuf text) of one model."""
    parts = [
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: {largest}',
        *(tensor("input", i.name, recipe, pixels) for i in recipe.inputs),
        answer(recipe, pixels),
        f"instance_group [ {{ kind: {kind} count: 1 }} ]",
        f"dynamic_batching {{ max_queue_delay_microseconds: {DELAY_US} }}",
        "version_policy: { latest { num_versions: 1 } }",
        *(warmup(recipe, pixels, n) for n in (1, largest)),
        *(parameter(k, v) for k, v in sorted(provenance.items())),
    ]
    return "\n".join(parts) + "\n"


def kind_of(i: Input) -> str:
    """Its type as the server calls it."""
    return WIRE[i.dtype.__name__]


def answer(recipe: Recipe, pixels: bool) -> str:
    """The output; pixels are height x width x channels."""
    return tensor("output", recipe.output, recipe, pixels)


def tensor(role: str, name: str, recipe: Recipe, pixels: bool) -> str:
    """An input or the output of a graph; a side of -1 may be any."""
    dtype, dims = onnx.ports(recipe, pixels)[name]
    return block(role, name, WIRE[dtype], dims, "" if dims else BARE)


def block(role: str, name: str, kind: str, dims: tuple[int, ...], more: str = "") -> str:
    """One tensor. A scalar row is one element on the wire."""
    return f'{role} [ {{ name: "{name}" data_type: {kind} dims: [ {", ".join(map(str, dims or (1,)))} ]{more} }} ]'


def parameter(key: str, value: str) -> str:
    """A word of ours that the server keeps and tells."""
    return f'parameters {{ key: "{key}" value: {{ string_value: {json.dumps(value)} }} }}'


def warmup(recipe: Recipe, pixels: bool, batch: int) -> str:
    """A request the server makes to itself before it says it is ready."""
    ports = onnx.ports(recipe, pixels, trained=True)

    def one(name: str) -> str:
        dtype, dims = ports[name]
        shape = ", ".join(map(str, dims or (1,)))
        return f'inputs {{ key: "{name}" value: {{ data_type: {WIRE[dtype]} dims: [ {shape} ] zero_data: true }} }}'

    rows = " ".join(one(i.name) for i in recipe.inputs)
    return f'model_warmup [ {{ name: "batch {batch}" batch_size: {batch} {rows} }} ]'
