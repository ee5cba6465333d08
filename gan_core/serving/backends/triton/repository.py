"""Writes Triton's model repository of a role."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core.core import latents, tiles
from gan_core.export import naming
from gan_core.export.manifest import ModelEndpoint
from gan_core.runtime import files
from gan_core.serving.backends.triton import configs


def write(
    root: Path,
    endpoints: Sequence[ModelEndpoint],
    graphs: Mapping[str, bytes],
    provenance: Mapping[str, str],
    instances: int = 1,
    cache: bool = False,
) -> None:
    """Every model of a role's endpoints, and what seeded ones are made of.

    A graph has a config for GPUs, and ``configs/`` has others by the name that ``--model-config-name`` takes: ``cpu``
    for machines without one, ``tensorrt`` for a GPU that builds engines of the graph when the server starts.
    ``instances``: batches of a model that are computed at a time; ``cache``: whether answers to seeds are kept.
    """
    models = {endpoint.graph: endpoint.name for endpoint in endpoints if endpoint.is_graph}
    for endpoint in endpoints:
        if endpoint.seeded:
            write_seeded(root, endpoint, models[endpoint.graph], provenance, instances, cache)
            continue
        if endpoint.tiles:
            config = configs.tiled(endpoint, models[endpoint.graph], provenance)
            files.write(root / endpoint.name / "config.pbtxt", configs.text(config))
            files.write(root / endpoint.name / "1" / "model.py", Path(tiles.__file__).read_bytes())
            continue
        folder = root / endpoint.name
        files.write(folder / "1" / "model.onnx", graphs[endpoint.graph])
        files.write(
            folder / "config.pbtxt", configs.text(configs.graph(endpoint, provenance, gpu=True, instances=instances))
        )
        files.write(
            folder / "configs/cpu.pbtxt",
            configs.text(configs.graph(endpoint, provenance, gpu=False, instances=instances)),
        )
        files.write(folder / "configs/tensorrt.pbtxt", configs.text(configs.tensorrt(endpoint, provenance, instances)))
        write_classes(folder, provenance)


def write_seeded(
    root: Path, endpoint: ModelEndpoint, draws: str, provenance: Mapping[str, str], instances: int, cache: bool
) -> None:
    """Two models: one from seeds to samples of the model ``draws``, and its first step, from seeds to latents.

    The step is a copy of ``gan_core/core/latents.py`` on the server's CPU, so it needs no config of its own for one.
    """
    first = naming.latents_model(provenance["run"], endpoint.role)
    files.write(root / first / "1" / "model.py", Path(latents.__file__).read_bytes())
    files.write(root / first / "config.pbtxt", configs.text(configs.latents(endpoint, first, instances)))
    ensemble = configs.text(configs.seeded(endpoint, first, draws, provenance, cache))
    files.write(root / endpoint.name / "config.pbtxt", ensemble)
    write_classes(root / endpoint.name, provenance)
    files.write(root / endpoint.name / "1" / "ensemble", b"")  # a version is a folder, and nobody keeps empty ones


def write_classes(folder: Path, provenance: Mapping[str, str]) -> None:
    """The names of the classes that a label may be, one a line from number 0, as Triton's own label files are."""
    for key, names in provenance.items():
        if key.startswith("classes_"):
            lines = [" ".join(name.split()) for name in json.loads(names)]
            files.write(folder / f"{key}.txt", "".join(f"{line}\n" for line in lines).encode())


def write_engines(
    root: Path, endpoint: ModelEndpoint, precision: str, engines: Mapping[str, bytes], provenance: Mapping[str, str]
) -> None:
    """An endpoint as TensorRT engines by compute capability ("9.0").

    A server with another GPU cannot load it, so ``root`` is a repository of its own; the ONNX model runs everywhere.
    Engines of TensorRT-RTX do not belong here: no backend of Triton loads them.
    """
    name = naming.engine_model(endpoint.name, "tensorrt", precision)
    files_of = {capability: f"sm{capability.replace('.', '')}.plan" for capability in sorted(engines)}
    for capability, file in files_of.items():
        files.write(root / name / "1" / file, engines[capability])
    config = configs.engines(endpoint, provenance, name, files_of)
    files.write(root / name / "config.pbtxt", configs.text(config))
