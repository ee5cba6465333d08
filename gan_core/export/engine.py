"""Builds inference engines from ONNX. One builder for two libraries of one interface: tensorrt_rtx and tensorrt."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from gan_core.export import hardware, naming
from gan_core.export.hardware import Machine
from gan_core.export.manifest import ModelEndpoint, TensorSpec, endpoints_of, manifest_of
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure

INSTALL = {
    "tensorrt_rtx": "pip install tensorrt-rtx (Linux or Windows, x86-64), or set export.engines.flavour to 'none'",
    "tensorrt": "pip install '.[tensorrt]' on a machine with an NVIDIA GPU, or leave export.engines.here empty",
}
PROVENANCE = ("run", "role", "weights_sha256", "data_sha256")
"""What a server is told of where a model comes from."""
LARGER = 2
"""So many times the sides that a network was trained on is the most that its engines take, where sides are open."""
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""The smallest, usual and largest that an input may have."""


class WriteEngines(Protocol):
    """Writes what a server loads in place of an endpoint's graph."""

    def __call__(
        self,
        root: Path,
        endpoint: ModelEndpoint,
        precision: str,
        engines: Mapping[str, bytes],
        provenance: Mapping[str, str],
    ) -> None: ...


@dataclass(frozen=True)
class Wanted:
    """What an engine is built for."""

    inputs: Sequence[TensorSpec]
    precision: str = "fp32"
    max_batch_size: int = 64
    size_multiple: int = 0
    """Open sides are multiples of this, from twice it up."""

    @property
    def batch_sizes(self) -> list[int]:
        """Of an engine of fixed shapes: one sample, and the largest batch."""
        return sorted({1, self.max_batch_size})

    def profiles(self, fixed: bool) -> Iterator[dict[str, Shapes]]:
        """The smallest, usual and largest shape of every input, of each profile.

        ``fixed``: a profile for each of ``batch_sizes`` at the sides that were trained on. Where a shape may vary, the
        builder of TensorRT-RTX lets the order of addresses in memory decide on names, and no two engines are the same;
        of fixed shapes all are.
        """
        if fixed:
            for n in self.batch_sizes:
                yield {i.name: ((n, *i.usual),) * 3 for i in self.inputs}
            return
        most, spans = self.max_batch_size, {}
        for i in self.inputs:
            low = [2 * self.size_multiple if d < 0 else d for d in i.shape]
            high = [LARGER * m if d < 0 else d for d, m in zip(i.shape, i.usual, strict=True)]
            spans[i.name] = (1, *low), (max(1, most // 4), *i.usual), (most, *high)
        yield spans


def library(flavour: str) -> ModuleType:
    """The engine library.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    try:
        return importlib.import_module(flavour)
    except (ImportError, OSError) as error:
        raise EnvironmentFailure(
            f"params.yaml asks for engines of '{flavour}', but that library cannot be loaded ({error}); "
            f"{INSTALL[flavour]}"
        ) from error


def build(trt: ModuleType, graph: bytes, wanted: Wanted, target: int | None, timings: Path | None = None) -> bytes:
    """A serialised engine; ``target`` 86 is compute capability 8.6, None this machine's GPU.

    For a target it is of fixed shapes (``Wanted.profiles``), and the same bytes on any machine. TF32 is off, so that a
    float32 engine computes in float32. ``timings``: a file in which the library keeps what it has timed, so that the
    next engine is built sooner; by its own account, only where it times at all.

    Raises:
        DataError: the parser or the builder refuses the graph, or the network is not in the precision asked for.
    """
    builder, messages = make_builder(trt)
    network = builder.create_network(strongly_typed(trt))
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(graph):
        raise DataError(f"{trt.__name__} cannot read the graph: {parser.get_error(0).desc()}")
    found = computed_in(trt, network)
    if found - {wanted.precision}:
        raise DataError(f"{trt.__name__} reads the graph as {', '.join(sorted(found))}, not as {wanted.precision}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    for spans in wanted.profiles(fixed=target is not None):
        profile = builder.create_optimization_profile()
        for name, shapes in spans.items():
            profile.set_shape(name, *shapes)
        config.add_optimization_profile(profile)
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{target}"), 0)
    if timings:
        cache = config.create_timing_cache(timings.read_bytes() if timings.is_file() else b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        where = f"SM {target}" if target else "this GPU"
        raise DataError(f"{trt.__name__} {trt.__version__} built no engine for {where}: {'; '.join(messages.said)}")
    if timings:
        files.write(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(engine)


def build_here(
    exported: Path,
    folder: Path,
    precisions: Sequence[str],
    machine: Machine,
    timings: Path,
    write_engines: WriteEngines,
) -> list[dict[str, Any]]:
    """Engines by TensorRT for the GPU of this machine, of every shipped graph of the named precisions.

    Each once by itself, and once as a model of ``folder/model_repository``, which Triton loads on such a GPU.

    Raises:
        EnvironmentFailure: TensorRT is not installed.
        DataError: the export is incomplete, or an engine cannot be built.
    """
    trt, manifest, built = library("tensorrt"), manifest_of(exported), []
    for role, about in manifest["roles"].items():
        provenance = {name: about["provenance"][name] for name in PROVENANCE}
        plain = {e.pixels: e for e in endpoints_of(manifest, role) if e.is_graph}
        for name, graph in about["graphs"].items():
            pixels, precision = graph["pixels"], graph["precision"]
            if precision in precisions and name not in about.get("without_engines", {}):
                wanted = Wanted(plain[pixels].inputs, precision, about["max_batch_size"], about["size_multiple"])
                engine = build(trt, (exported / name).read_bytes(), wanted, None, timings)
                library_name, gpu = f"tensorrt_{machine['tensorrt']}", hardware.gpu_slug(machine)
                file = naming.engine(role, pixels, library_name, gpu, precision)
                files.write(folder / file, engine)
                engines = {str(machine["compute_cap"]): engine}
                repository = folder / "model_repository"
                write_engines(repository, plain[pixels], precision, engines, provenance)
                facts = {"file": file, "sha256": files.digest(engine), "precision": precision}
                built.append(facts | {"graph": name, "graph_sha256": manifest["files"][name]["sha256"]})
    return built


def computed_in(trt: ModuleType, network: Any) -> set[str]:
    """What the heavy layers of a parsed network compute in: types are binding, so this is what the engine does."""
    kinds = {trt.DataType.FLOAT: "fp32", trt.DataType.HALF: "fp16", trt.DataType.BF16: "bf16"}
    layers = [network.get_layer(k) for k in range(network.num_layers)]
    made_by = {layer.get_output(k).name: layer for layer in layers for k in range(layer.num_outputs)}
    heavy = (trt.LayerType.MATRIX_MULTIPLY, trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION)

    def of(layer: Any) -> str:
        tensors = [t for t in (layer.get_input(k) for k in range(min(2, layer.num_inputs))) if t is not None]
        makers = [made_by.get(t.name) for t in tensors]
        if len(makers) == 2 and all(m is not None and m.type == trt.LayerType.DEQUANTIZE for m in makers):
            return "int8"
        return " and ".join(sorted({kinds.get(t.dtype, str(t.dtype)) for t in tensors}))

    return {of(layer) for layer in layers if layer.type in heavy}


def make_builder(trt: ModuleType) -> tuple[Any, Any]:
    """A builder, and the logger that keeps its warnings and errors."""

    class Messages(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.said.append(message)

    messages = Messages()
    return trt.Builder(messages), messages


def strongly_typed(trt: ModuleType) -> int:
    """The creation flag that makes the graph's types binding, where the library still has a choice."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def targets(trt: ModuleType, wanted: list[int]) -> list[int]:
    """The wanted compute capabilities, checked.

    Raises:
        EnvironmentFailure: the library does not know one of them.
    """
    known = sorted(int(name[2:]) for name in dir(trt.ComputeCapability) if name.startswith("SM"))
    if missing := [t for t in wanted if t not in known]:
        raise EnvironmentFailure(
            f"export.engines.targets: {trt.__name__} {trt.__version__} does not know {missing}; it builds for {known}"
        )
    return wanted
