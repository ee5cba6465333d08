"""Builds inference engines from ONNX. One builder for two libraries of one interface: tensorrt_rtx and tensorrt."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from gan_core.errors import DataError, EnvironmentFailure
from gan_core.signature import Recipe

INSTALL = {
    "tensorrt_rtx": "pip install tensorrt-rtx (Linux or Windows, x86-64)",
    "tensorrt": "pip install '.[tensorrt]' on a machine with an NVIDIA GPU",
}


def library(flavour: str) -> ModuleType:
    """The engine library.

    Raises:
        EnvironmentFailure: it is not installed.
    """
    try:
        return importlib.import_module(flavour)
    except (ImportError, OSError) as error:
        raise EnvironmentFailure(
            f"export.engines.flavour is '{flavour}', but that library cannot be loaded ({error}); "
            f"{INSTALL[flavour]}, or set it to 'none'"
        ) from error


def build(trt: ModuleType, onnx: bytes, recipe: Recipe, max_batch_size: int, target: int | None) -> bytes:
    """A serialised engine for batches of 1 to ``max_batch_size``; ``target`` 86 is compute capability 8.6.

    TF32 is off, so that a float32 engine computes in float32. The library must know ahead-of-time targets
    (tensorrt_rtx does) unless ``target`` is None: this machine's GPU.

    Raises:
        DataError: the parser or the builder refuses the graph.
    """
    builder, messages = make_builder(trt)
    network = builder.create_network(strongly_typed(trt))
    parser = trt.OnnxParser(network, messages)
    if not parser.parse(onnx):
        raise DataError(f"{trt.__name__} cannot read the graph: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for i in recipe.inputs:
        low, middle, high = ((n, *i.shape) for n in (1, max(1, max_batch_size // 4), max_batch_size))
        profile.set_shape(i.name, low, middle, high)
    config.add_optimization_profile(profile)
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{target}"), 0)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise DataError(f"{trt.__name__} {trt.__version__} built no engine for SM {target}: {'; '.join(messages.said)}")
    return bytes(engine)


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
