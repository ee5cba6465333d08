"""The gate: an artefact is shipped only if it computes what the trained network computes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from gan_core.core.pixels import half, in_shades
from gan_core.export.graph import IR_VERSION
from gan_core.export.precision import NARROW, computed_in, kept_types, rounded
from gan_core.runtime.errors import DataError, first_line

if TYPE_CHECKING:
    from torch import nn

    from gan_core.config.schema import Tolerance

Array = NDArray[Any]
Runner = Callable[[Mapping[str, Array]], Array]
"""From named inputs, one row a sample, to the output."""

Feed = Callable[[int], Mapping[str, Array]]
"""So many rows of every input, always the same."""

BATCH_MARGIN_DB = 25
"""How far, in dB, what depends on the batch must lie below what a graph may err."""

FIXED_SEED = 20140610
"""Of the inputs that every artefact is compared on."""


@dataclass(frozen=True)
class Finding:
    """One check of one artefact: what was measured, and what was allowed."""

    check: str
    measured: float | str
    allowed: float | str
    passed: bool

    def __str__(self) -> str:
        """As a reason."""
        return f"{self.check} is {self.measured}, allowed {self.allowed}"


def rounded_reference(model: bytes, precision: str, threads: int) -> Runner:
    """What the types of a graph promise, whatever ONNX Runtime makes of them on the CPU: see ``rounded``.

    Raises:
        DataError: ONNX Runtime refuses the file.
    """
    if precision in NARROW:
        model = rounded(onnx.load_from_string(model)).SerializeToString()
    return onnx_runner(model, threads)


def onnx_runner(model: bytes, threads: int) -> Runner:
    """The artefact itself, run by ONNX Runtime on the CPU; a bfloat16 graph, for which it has no kernels, rounded.

    Raises:
        DataError: ONNX Runtime refuses the file, or later the inputs.
    """
    import onnxruntime as ort  # not needed to check or to build

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        if "bf16" in kept_types(onnx.load_from_string(model)):
            model = rounded(onnx.load_from_string(model)).SerializeToString()
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no public base
        raise DataError(f"ONNX Runtime cannot load the graph: {error}") from error

    def run(inputs: Mapping[str, Array]) -> Array:
        try:
            return np.asarray(session.run(None, dict(inputs))[0])
        except Exception as error:
            raise DataError(f"ONNX Runtime cannot run the graph: {error}") from error

    return run


def torch_runner(network: nn.Module) -> Runner:
    """The trained network, as it was handed to the exporter.

    Raises:
        DataError: it is in training mode, so it does not compute what was trained.
    """
    import torch  # not needed to check what was exported

    if any(module.training for module in network.modules()):
        raise DataError("the network to compare with is in training mode; call .eval() first")

    def run(inputs: Mapping[str, Array]) -> Array:
        with torch.no_grad():
            out: Array = network(*(torch.from_numpy(v) for v in inputs.values())).numpy()
        return out

    return run


COMPARED_LEAST, COMPARED_BYTES = 8, 64 << 20
"""The largest batch that is compared has so many bytes of samples at most, but at least so many rows."""


def largest_compared(declared: int, size: int) -> int:
    """Rows of the largest batch that is compared, of samples of ``size`` numbers; all that may be served, if small."""
    return min(declared, max(COMPARED_LEAST, COMPARED_BYTES // (4 * size)))


def batch_sizes(largest: int) -> list[int]:
    """One, two, an odd one, the largest."""
    return sorted({1, 2, 7, largest})


def rows(inputs: Mapping[str, Array], part: slice) -> dict[str, Array]:
    """Some rows of every input."""
    return {name: v[part] for name, v in inputs.items()}


def parity(
    network: Runner, artefact: Runner, feed: Feed, limit: Tolerance, batches: list[int], of: str = ""
) -> Iterator[Finding]:
    """The artefact against the trained network on fixed inputs, at several batch sizes; ``of`` says which inputs."""
    for n in batches:
        inputs, at = feed(n), f"at batch {n}{of}"
        expected, got = network(inputs), artefact(inputs)
        if got.shape != expected.shape or got.dtype != expected.dtype:
            yield Finding(f"output {at}", f"{got.dtype}{got.shape}", f"{expected.dtype}{expected.shape}", False)
        elif got.dtype.kind == "u":
            off = np.abs(in_shades(got) - in_shades(expected))
            one = 1 / off.size  # between two shades, which may fall either way
            yield at_most(f"share of pixels that differ {at}", float((off > 0).mean()), limit.pixels_off + one)
            yield at_most(f"share of pixels that differ by more than 1 {at}", float((off > 1).mean()), limit.pixels_far)
            if got.dtype == np.uint16:  # which tells a smaller error than shades do
                step = 1 / half(16)
                yield at_most(f"max abs error {at}", max_abs(got * step, expected * step), limit.max_abs + step)
        else:
            yield at_most(f"max abs error {at}", max_abs(got, expected), limit.max_abs)
            yield at_least(f"PSNR {at}", psnr(got, expected), limit.psnr)


def batch_invariance(artefact: Runner, feed: Feed, limit: Tolerance, largest: int) -> Iterator[Finding]:
    """Row i of a batch equals the same row alone, for every row of the largest batch."""
    inputs = feed(largest)
    together = artefact(inputs)
    alone = np.concatenate([artefact(rows(inputs, slice(k, k + 1))) for k in range(largest)])
    if together.shape != alone.shape:
        yield Finding("batch of single rows", str(alone.shape), str(together.shape), False)
    elif together.dtype.kind == "u":
        off = float((in_shades(together) != in_shades(alone)).mean())
        yield at_most("share of pixels that depend on the batch", off, limit.pixels_off)
    else:
        yield at_most("max abs dependence on the batch", max_abs(together, alone), limit.max_abs)
        yield at_least("PSNR of rows in a batch", psnr(together, alone), limit.psnr + BATCH_MARGIN_DB)


def metric_parity(before: float, after: float, limit: Tolerance) -> Iterator[Finding]:
    """FD of the artefact's samples against that of the network's, on the same latents."""
    yield at_most("relative FD change", abs(after - before) / max(abs(before), 1e-6), limit.fd_share)


def computes(content: bytes, precision: str) -> Iterator[Finding]:
    """Whether every heavy operation is computed in the precision that was asked for, and the weights kept in it."""
    model = onnx.load_from_string(content)
    found = computed_in(model)
    right = found == "nothing heavy" or re.fullmatch(rf"\d+ x {precision}", found) is not None
    yield Finding("heavy operations", found, f"all {precision}", right)
    kept, allowed = kept_types(model), {"int8": "fp32, int8"}.get(precision, precision)
    yield Finding("weights", ", ".join(sorted(kept)), allowed, kept <= set(allowed.split(", ")))


def io_signature(content: bytes, ports: Mapping[str, tuple[str, tuple[int, ...]]]) -> Iterator[Finding]:
    """Types and shapes of inputs and outputs, whatever the graph computes in; a side of -1 may be any."""
    graph = onnx.load_from_string(content).graph
    for value in (*graph.input, *graph.output):
        tensor = value.type.tensor_type
        dims = [-1 if d.dim_param else d.dim_value for d in tensor.shape.dim][1:]
        name = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        dtype, shape = ports.get(value.name, ("none", ()))
        yield equal(f"type of '{value.name}'", f"{name}{dims}", f"{dtype}{list(shape)}")


def lint(content: bytes, expected: list[str], opset: int) -> Iterator[Finding]:
    """What must not be in a graph, and what must: among it, inputs and an output of the ``expected`` names."""
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf's own
        yield Finding("ONNX file", str(error), "a graph", False)
        return
    try:
        onnx.checker.check_model(model, full_check=True)
        verdict = "valid"
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        verdict = first_line(error)
    yield Finding("ONNX checker", verdict, "valid", verdict == "valid")
    nodes = list(model.graph.node)
    random = sorted(
        {n.op_type for n in nodes if n.op_type.startswith("Random") or n.op_type in ("Multinomial", "Bernoulli")}
    )
    yield none_of("nodes that draw their own noise", random)
    training = [
        n.op_type
        for n in nodes
        if n.op_type == "Dropout" or any(a.name == "training_mode" and a.i for a in n.attribute)
    ]
    yield none_of("nodes in training mode", training)
    found = {f.group().decode(errors="replace") for f in re.finditer(rb"(?:/[\w.-]+){2,}\.py|site-packages", content)}
    yield none_of("paths of the exporting machine", sorted(found))
    external = [t.name for t in model.graph.initializer if t.external_data]
    yield none_of("weights outside the file", external)
    versions = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    yield Finding("opsets", str(versions), str({"ai.onnx": opset}), versions == {"ai.onnx": opset})
    yield at_most("IR version", model.ir_version, IR_VERSION)
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        yield Finding(f"batch of '{value.name}'", first.dim_param or first.dim_value, "dynamic", bool(first.dim_param))
    names = [v.name for v in (*model.graph.input, *model.graph.output)]
    yield Finding("names", ", ".join(names), ", ".join(expected), names == expected)


def guarded(check: str, findings: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; whatever it raises is one more, as an artefact that cannot be checked must not ship."""
    try:
        yield from findings()
    except Exception as error:  # the libraries' exceptions share no base
        yield Finding(check, f"an error ({first_line(error)})", "no error", False)


def at_most(check: str, measured: float, allowed: float) -> Finding:
    """Passed if not above; NaN does not pass."""
    return Finding(check, measured, allowed, measured <= allowed)


def at_least(check: str, measured: float, allowed: float) -> Finding:
    """Passed if not below; NaN does not pass."""
    return Finding(check, measured, allowed, measured >= allowed)


def equal(check: str, measured: str, allowed: str) -> Finding:
    """Passed if the same."""
    return Finding(check, measured, allowed, measured == allowed)


def none_of(check: str, found: list[str]) -> Finding:
    """Passed if there are none."""
    return Finding(check, ", ".join(found) or "none", "none", not found)


def max_abs(a: Array, b: Array) -> float:
    """The largest absolute difference; NaN if there is one."""
    return float(np.max([np.abs(x.astype(np.float64) - y).max() for x, y in zip(a, b, strict=True)]))


def psnr(a: Array, b: Array) -> float:
    """Peak signal-to-noise ratio in dB for a range of 2; 200 stands for identical."""
    error = float(np.mean([np.square(x.astype(np.float64) - y).mean() for x, y in zip(a, b, strict=True)]))
    return 200.0 if error == 0 else 10 * log10(4 / error)
