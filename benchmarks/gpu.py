"""The ways to call that need an NVIDIA GPU. Each call ends when its result is there: the stream is waited for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import onnxruntime as ort
import torch

from gan_core.export import engine
from gan_core.export.ship import wanted_engine
from gan_core.runtime.errors import EnvironmentFailure

if TYPE_CHECKING:
    from benchmarks.serve import Subject

Prepare = Callable[[int], Callable[[], Any]]


def ways(subject: Subject) -> Iterator[tuple[str, Prepare]]:
    """Names and preparations; TensorRT where it is installed."""
    network = copy.deepcopy(subject.network).cuda()
    yield "torch eager, CUDA", on_tensors(subject, network)
    yield "torch eager, CUDA, copies both ways", copied(subject, network)
    yield "torch.compile, CUDA", on_tensors(subject, torch.compile(network, dynamic=False))
    yield "torch, CUDA graph", graphed(subject, network)
    yield "ONNX Runtime, CUDA", in_runtime(subject)
    try:
        trt = engine.library("tensorrt")
    except EnvironmentFailure as absent:
        print(f"no TensorRT row: {absent}")
    else:
        yield "TensorRT", in_tensorrt(subject, trt)


def inputs(subject: Subject, n: int) -> list[torch.Tensor]:
    """The fixed inputs on the GPU."""
    return [torch.from_numpy(v).cuda() for v in subject.config.fixed_inputs(n, 1).values()]


def finished(out: torch.Tensor) -> Any:
    """The result, when it is there. Its copy to the host is made outside the timed call."""
    torch.cuda.synchronize()
    return out


def on_tensors(subject: Subject, network: Callable[..., torch.Tensor]) -> Prepare:
    """Compute only."""

    def prepare(n: int) -> Callable[[], Any]:
        given = inputs(subject, n)

        def call() -> Any:
            with torch.inference_mode():
                return finished(network(*given))

        return call

    return prepare


def copied(subject: Subject, network: Callable[..., torch.Tensor]) -> Prepare:
    """From host memory to host memory."""

    def prepare(n: int) -> Callable[[], Any]:
        given = [torch.from_numpy(v).pin_memory() for v in subject.config.fixed_inputs(n, 1).values()]

        def call() -> Any:
            with torch.inference_mode():
                return network(*(g.cuda(non_blocking=True) for g in given)).cpu()

        return call

    return prepare


def graphed(subject: Subject, network: Callable[..., torch.Tensor]) -> Prepare:
    """All launches recorded once and replayed as one."""

    def prepare(n: int) -> Callable[[], Any]:
        given, graph = inputs(subject, n), torch.cuda.CUDAGraph()
        with torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    network(*given)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(graph):
                out = network(*given)

        def call() -> Any:
            graph.replay()
            return finished(out)

        return call

    return prepare


def in_runtime(subject: Subject) -> Prepare:
    """ONNX Runtime with inputs and output bound to the GPU's memory."""
    (path, *_) = subject.graphs()
    run = ort.InferenceSession(str(path), providers=["CUDAExecutionProvider"])

    def prepare(n: int) -> Callable[[], Any]:
        binding = run.io_binding()
        for name, value in subject.config.fixed_inputs(n, 1).items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value, "cuda", 0))
        binding.bind_output(subject.config.output_name, "cuda", 0)

        def call() -> Any:
            run.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return binding.get_outputs()[0]

        return call

    return prepare


def in_tensorrt(subject: Subject, trt: Any) -> Prepare:
    """An engine built for this GPU from the same graph."""
    (path, *_) = subject.graphs()
    logger = trt.Logger(trt.Logger.ERROR)
    wanted = wanted_engine(subject.config, "fp32", False, subject.largest)
    serialised = engine.build(trt, path.read_bytes(), wanted, None)
    loaded = trt.Runtime(logger).deserialize_cuda_engine(serialised)

    def prepare(n: int) -> Callable[[], Any]:
        context, given = loaded.create_execution_context(), inputs(subject, n)
        out = torch.empty((n, *subject.config.shape), device="cuda")
        for i, value in zip(subject.config.inputs, given, strict=True):
            context.set_input_shape(i.name, tuple(value.shape))
            context.set_tensor_address(i.name, value.data_ptr())
        context.set_tensor_address(subject.config.output_name, out.data_ptr())
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

        def call() -> Any:
            context.execute_async_v3(stream.cuda_stream)
            stream.synchronize()
            return out

        return call

    return prepare
