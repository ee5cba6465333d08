"""What a graph computes in, as a property of the graph itself: inference builders of today obey its types and no flag.

Inputs and outputs stay what they are; only what lies between is narrowed or quantised. From the same graph come the
same bytes.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from gan_core.export.graph import rename, types, with_nodes, written

HEAVY = ("MatMul", "Gemm", "Conv", "ConvTranspose")
"""The operations that cost; what they compute in is what a graph computes in."""

NARROW = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
"""Floating-point types narrower than float32."""

NAMES: dict[int, str] = {TensorProto.FLOAT: "fp32", **{kind: name for name, kind in NARROW.items()}}

STORED: dict[int, str] = {**NAMES, TensorProto.INT8: "int8"}

STAYS_FLOAT = {"Resize": (1, 2)}
"""Inputs that are float32 by the operator's definition, whatever its data is."""

Feed = Mapping[str, NDArray[Any]]


def in_precision(model: bytes, precision: str, calibration: Iterable[Feed]) -> bytes:
    """A float32 graph, computing in another precision; ``calibration`` shows int8 the ranges of its activations."""
    if precision == "fp32":
        return model
    graph = onnx.load_from_string(model)
    return written(narrowed(graph, NARROW[precision]) if precision in NARROW else quantised(graph, calibration))


def narrowed(model: ModelProto, kind: int) -> ModelProto:
    """Weights and activations in a narrower type, between a cast of each float input and one of each float output.

    An operation this does not know leaves two types at odds, which the ONNX checker of the gate refuses.
    """
    graph = model.graph
    keeps = {node.input[k] for node in graph.node for k in STAYS_FLOAT.get(node.op_type, ()) if k < len(node.input)}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in keeps:
            tensor.CopyFrom(cast(tensor, kind))
    for node in graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT:
            node.attribute[0].i = kind
    inside = {v.name: f"{v.name}_narrow" for v in (*graph.input, *graph.output) if is_float(v)}
    rename(model, inside)
    nodes = [
        *(helper.make_node("Cast", [v.name], [inside[v.name]], to=kind) for v in graph.input if v.name in inside),
        *graph.node,
        *(
            helper.make_node("Cast", [inside[v.name]], [v.name], to=TensorProto.FLOAT)
            for v in graph.output
            if v.name in inside
        ),
    ]
    return with_nodes(model, nodes)


def quantised(model: ModelProto, calibration: Iterable[Feed]) -> ModelProto:
    """Every heavy operation between Q and DQ: its activations symmetric int8 a tensor, its weights a channel.

    Biases and outputs stay float32. The range of an activation is the widest that the calibration shows.
    """
    from onnxruntime import quantization as q  # the rest of a graph needs no ONNX Runtime

    class Shown(q.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[Feed] = iter(calibration)

        def get_next(self) -> Feed | None:
            return next(self.left, None)

    root, opsets = logging.getLogger(), list(model.opset_import)
    level = root.level
    root.setLevel(logging.ERROR)  # it recommends a preparation that these graphs have had
    try:
        with TemporaryDirectory() as folder:
            q.quantize_static(
                model,
                Path(folder) / "int8.onnx",
                Shown(),
                op_types_to_quantize=list(HEAVY),
                per_channel=True,
                extra_options={
                    "ActivationSymmetric": True,
                    "QuantizeBias": False,
                    "OpTypesToExcludeOutputQuantization": list(HEAVY),
                },
            )
            made = onnx.load(Path(folder) / "int8.onnx")
    finally:
        root.setLevel(level)
    del made.opset_import[:]
    made.opset_import.extend(opsets)  # it adds its own, and uses none of them
    return made


def rounded(model: ModelProto) -> ModelProto:
    """A narrow graph as float32 arithmetic whose every result is rounded to the narrow type.

    This is what a tensor core does: it sums in float32 and keeps the type. ONNX Runtime has no bfloat16 kernels on the
    CPU and computes long parts of a float16 graph in float32, so an overflow shows here and not there.
    """
    kinds = types(model)
    narrow = {name: kind for name, kind in kinds.items() if kind in NARROW.values()}
    nodes: list[NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.name in narrow:
            tensor.CopyFrom(cast(tensor, TensorProto.FLOAT))
    for node in model.graph.node:
        rounds = [name for name in node.output if name in narrow]
        if node.op_type == "Cast" and rounds:
            node.attribute[0].i = TensorProto.FLOAT
        node.output[:] = [f"{name}_wide" if name in narrow else name for name in node.output]
        nodes.append(node)
        for name in rounds:
            nodes.append(helper.make_node("Cast", [f"{name}_wide"], [f"{name}_kept"], to=narrow[name]))
            nodes.append(helper.make_node("Cast", [f"{name}_kept"], [name], to=TensorProto.FLOAT))
    return with_nodes(model, nodes)


def computed_in(model: ModelProto) -> str:
    """What the heavy operations of a graph compute in: "4 x fp16", or "1 x fp32, 3 x fp16"."""
    kinds, weights = types(model), {t.name: t for t in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}

    def of(node: NodeProto) -> str:
        sources = [made_by.get(name) for name in node.input[:2]]
        if all(source is not None and source.op_type == "DequantizeLinear" for source in sources):
            return int8(node, sources, weights, made_by)
        found = sorted({NAMES.get(kinds.get(name, 0), "unknown") for name in node.input[:2]})
        return " and ".join(found)

    counted = Counter(of(node) for node in model.graph.node if node.op_type in HEAVY)
    return ", ".join(f"{n} x {what}" for what, n in sorted(counted.items())) or "nothing heavy"


def kept_types(model: ModelProto) -> set[str]:
    """In which types a graph keeps its weights, the tensors of at least two axes."""
    return {STORED[t.data_type] for t in model.graph.initializer if len(t.dims) > 1 and t.data_type in STORED}


def int8(
    node: NodeProto, sources: list[Any], weights: Mapping[str, TensorProto], made_by: Mapping[str, NodeProto]
) -> str:
    """Whether both inputs of a heavy operation are int8 as declared, or what is wrong."""
    activation, weight = sources
    quantiser = made_by.get(activation.input[0])
    if quantiser is None or quantiser.op_type != "QuantizeLinear" or quantiser.input[1:] != activation.input[1:]:
        return "int8 without its own QuantizeLinear"
    scales = [weights.get(source.input[1]) for source in (activation, weight)]
    zeros = [weights.get(source.input[2]) if len(source.input) > 2 else None for source in (activation, weight)]
    values = weights.get(weight.input[0])
    if values is None or values.data_type != TensorProto.INT8:
        return "int8 without int8 weights"
    if any(z is None or z.data_type != TensorProto.INT8 or numpy_helper.to_array(z).any() for z in zeros):
        return "int8 that is not symmetric"
    if any(s is None or not (numpy_helper.to_array(s) > 0).all() for s in scales):
        return "int8 with a scale that is not positive"
    by_channel = [list(s.dims) for s in scales if s is not None]
    if by_channel != [[], [values.dims[channel_axis(node)]]]:
        return "int8 that is not by tensor and channel"
    return "int8"


def channel_axis(node: NodeProto) -> int:
    """Along which axis the weights of a heavy operation have its output channels."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1


def is_float(value: ValueInfoProto) -> bool:
    """Whether an input or output is float32."""
    return bool(value.type.tensor_type.elem_type == TensorProto.FLOAT)


def cast(tensor: TensorProto, kind: int) -> TensorProto:
    """A tensor in another floating-point type; beyond its range it is infinite, which no gate passes."""
    with np.errstate(over="ignore"):
        values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(kind))
    return numpy_helper.from_array(values, tensor.name)
