"""Triton's model configurations, as messages of its own schema, from the endpoints of a role."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from gan_core.export.manifest import ModelEndpoint, TensorSpec

CACHE = "/tmp/tensorrt"
"""Where a server keeps the engines that it builds: the one folder of its container that can be written to."""
WIRE = {"float32": pb.TYPE_FP32, "int64": pb.TYPE_INT64, "uint8": pb.TYPE_UINT8, "uint16": pb.TYPE_UINT16}
"""Types as the server calls them."""


def text(config: Any) -> bytes:
    """A configuration as ``config.pbtxt``."""
    return str(text_format.MessageToString(config)).encode()


def tensor(spec: TensorSpec, scalar_rows: bool = False) -> dict[str, Any]:
    """A tensor; a row of one number is one element on the wire, ``scalar_rows``: not to the model."""
    made: dict[str, Any] = {"name": spec.name, "data_type": WIRE[spec.dtype], "dims": spec.shape or (1,)}
    return made | ({"reshape": pb.ModelTensorReshape()} if scalar_rows and not spec.shape else {})


def common(name: str, endpoint: ModelEndpoint, **more: Any) -> Any:
    """What every model says: its name, inputs, and how large a batch may be."""
    return pb.ModelConfig(name=name, max_batch_size=endpoint.max_batch_size, **more)


def batching() -> Any:
    """Requests that wait while others are computed are computed together; none waits for others to come."""
    return pb.ModelDynamicBatching()


def provenance_of(values: Mapping[str, str]) -> dict[str, Any]:
    """Words of ours that the server keeps and tells."""
    return {key: pb.ModelParameter(string_value=value) for key, value in values.items()}


def warmup(endpoint: ModelEndpoint, batch: int) -> Any:
    """A request the server makes to itself before it says it is ready."""
    zeros = {
        i.name: pb.ModelWarmup.Input(data_type=WIRE[i.dtype], dims=i.usual or (1,), zero_data=True)
        for i in endpoint.inputs
    }
    return pb.ModelWarmup(name=f"batch {batch}", batch_size=batch, inputs=zeros)


def graph(endpoint: ModelEndpoint, provenance: Mapping[str, str], gpu: bool, instances: int = 1) -> Any:
    """The model of an ONNX graph; ``instances``: batches computed at a time."""
    kind = pb.ModelInstanceGroup.KIND_GPU if gpu else pb.ModelInstanceGroup.KIND_CPU
    return common(
        endpoint.name,
        endpoint,
        backend="onnxruntime",
        input=[pb.ModelInput(**tensor(i, scalar_rows=True)) for i in endpoint.inputs],
        output=[pb.ModelOutput(**tensor(endpoint.output))],
        instance_group=[pb.ModelInstanceGroup(kind=kind, count=instances)],
        dynamic_batching=batching(),
        version_policy=pb.ModelVersionPolicy(latest=pb.ModelVersionPolicy.Latest(num_versions=1)),
        model_warmup=[warmup(endpoint, n) for n in (1, endpoint.max_batch_size)],
        parameters=provenance_of(provenance),
    )


def tensorrt(endpoint: ModelEndpoint, provenance: Mapping[str, str], instances: int = 1) -> Any:
    """The same on a GPU, computed by ONNX Runtime's TensorRT provider, which builds engines when the server starts.

    Their shapes go from one sample to the largest batch. Where sides are open no shapes are named: an engine is then
    built anew for a size that it has not met.
    """
    made = graph(endpoint, provenance, gpu=True, instances=instances)
    options = {
        "precision_mode": endpoint.precision.upper(),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": f"{CACHE}/{endpoint.name}",
    }
    if not any(side < 0 for i in endpoint.inputs for side in i.shape):
        for which, n in (("min", 1), ("opt", endpoint.max_batch_size), ("max", endpoint.max_batch_size)):
            shapes = (f"{i.name}:{'x'.join(map(str, (n, *i.shape)))}" for i in endpoint.inputs)
            options[f"trt_profile_{which}_shapes"] = ",".join(shapes)
    accelerator = pb.ModelOptimizationPolicy.ExecutionAccelerators.Accelerator(name="tensorrt", parameters=options)
    made.optimization.execution_accelerators.gpu_execution_accelerator.append(accelerator)
    return made


def engines(endpoint: ModelEndpoint, provenance: Mapping[str, str], name: str, files_of: Mapping[str, str]) -> Any:
    """The model of engines for that graph, a file for each compute capability ("9.0")."""
    made = graph(endpoint, provenance, gpu=True)
    made.name, made.backend = name, "tensorrt"
    largest = endpoint.max_batch_size
    made.dynamic_batching.preferred_batch_size.extend([max(1, largest // 4), largest])  # what engines are tuned for
    made.cc_model_filenames.update(files_of)
    return made


def drawn(endpoint: ModelEndpoint) -> list[TensorSpec]:
    """Of the inputs of a seeded model, those of the graph that it draws for."""
    return [i for i in endpoint.inputs if i.prior not in ("seed", "central_mass")]


def asked(endpoint: ModelEndpoint) -> list[Any]:
    """What a seeded model takes: a seed; labels, and whatever else is to be given and not drawn."""
    return [pb.ModelInput(**tensor(i), optional=i.optional) for i in endpoint.inputs]


def latents(endpoint: ModelEndpoint, name: str, instances: int = 1) -> Any:
    """The model that turns seeds into latents, in Triton's python backend."""
    described = [
        {"name": i.name, "dtype": i.dtype, "shape": ["batch", *i.shape], "prior": i.prior, "size": i.size}
        for i in drawn(endpoint)
    ]
    return common(
        name,
        endpoint,
        backend="python",
        input=asked(endpoint),
        output=[pb.ModelOutput(**tensor(i)) for i in drawn(endpoint)],
        instance_group=[pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.KIND_CPU, count=instances)],
        dynamic_batching=batching(),
        parameters=provenance_of({"inputs": json.dumps(described)}),
    )


def tiled(endpoint: ModelEndpoint, computes: str, provenance: Mapping[str, str]) -> Any:
    """The model, in Triton's python backend, that cuts a picture of any sides into tiles for the model ``computes``."""
    assert endpoint.tiles
    return common(
        endpoint.name,
        endpoint,
        backend="python",
        input=[pb.ModelInput(**tensor(i)) for i in endpoint.inputs],
        output=[pb.ModelOutput(**tensor(endpoint.output))],
        instance_group=[pb.ModelInstanceGroup(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)],
        parameters=provenance_of({**provenance, "of": computes, "tiles": json.dumps(asdict(endpoint.tiles))}),
    )


def seeded(endpoint: ModelEndpoint, first: str, draws: str, provenance: Mapping[str, str], cache: bool = False) -> Any:
    """The ensemble of that model (``first``) and the one that draws; ``cache``: whether its answers are kept."""
    takes = [i.name for i in endpoint.inputs]
    between = {i.name: f"{i.name}_drawn" for i in drawn(endpoint)}
    output = endpoint.output.name
    step = pb.ModelEnsembling.Step
    steps = [
        step(model_name=first, model_version=-1, input_map={n: n for n in takes}, output_map=between),
        step(model_name=draws, model_version=-1, input_map=between, output_map={output: output}),
    ]
    return common(
        endpoint.name,
        endpoint,
        platform="ensemble",
        input=asked(endpoint),
        output=[pb.ModelOutput(**tensor(endpoint.output))],
        ensemble_scheduling=pb.ModelEnsembling(step=steps),
        parameters=provenance_of(provenance),
        **({"response_cache": pb.ModelResponseCache(enable=True)} if cache else {}),
    )
