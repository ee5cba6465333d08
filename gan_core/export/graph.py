"""ONNX graphs as data, without torch: the types in them, what of them is kept, and their ends in pixels."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from gan_core.core.pixels import half

IR_VERSION = 10
"""The newest that ONNX Runtime, TensorRT and Triton of the last years all read."""


def written(model: ModelProto) -> bytes:
    """The bytes of a graph without what its writers say about themselves: stack traces hold this machine's paths."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    graph.name, model.producer_name, model.ir_version = "graph", "gan-foundry", IR_VERSION
    model.ClearField("producer_version")
    return bytes(model.SerializeToString(deterministic=True))


def types(model: ModelProto) -> dict[str, int]:
    """The element type of every value of a graph."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    return values | {t.name: t.data_type for t in graph.initializer}


def with_nodes(model: ModelProto, nodes: list[NodeProto]) -> ModelProto:
    """The same graph with other nodes; what was known about its values is forgotten."""
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    del model.graph.value_info[:]
    model.graph.node.extend(kept)
    return model


def rename(model: ModelProto, names: dict[str, str]) -> None:
    """Values of a graph under other names, wherever a node reads or writes them."""
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def with_pixels(content: bytes, images: Collection[str], bits: int = 8) -> bytes:
    """The same graph with pixels, uint8 or uint16 (N, H, W, C), for inputs and outputs that are ``images``.

    Scaled as the packed data is scaled and as pictures are drawn; rounded half to even. TensorRT takes the cast first
    on the way in and last on the way out, and nowhere else.
    """
    model, kind = onnx.load_from_string(content), {8: TensorProto.UINT8, 16: TensorProto.UINT16}[bits]
    graph, constants = model.graph, {"pixel_half": half(bits), "pixel_one": 1.0, "pixel_low": -1.0}
    inside = {name: f"{name}_scaled" for name in images}
    rename(model, inside)
    before, after = [], []
    for value in (*graph.input, *graph.output):
        if value.name not in inside:
            continue
        outer, inner = value.name, inside[value.name]
        if value in graph.input:
            before += chain(
                outer,
                inner,
                ("Cast", [], {"to": TensorProto.FLOAT}),
                ("Div", ["pixel_half"], {}),
                ("Sub", ["pixel_one"], {}),
                ("Transpose", [], {"perm": [0, 3, 1, 2]}),
            )
        else:
            after += chain(
                inner,
                outer,
                ("Clip", ["pixel_low", "pixel_one"], {}),
                ("Add", ["pixel_one"], {}),
                ("Mul", ["pixel_half"], {}),
                ("Round", [], {}),
                ("Transpose", [], {"perm": [0, 2, 3, 1]}),
                ("Cast", [], {"to": kind}),
            )
        as_pixels(value, kind)
    with_nodes(model, [*before, *graph.node, *after])
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.float32), name) for name, v in constants.items())
    return written(model)


def chain(start: str, end: str, *steps: tuple[str, list[str], dict[str, Any]]) -> list[NodeProto]:
    """Operations one after another, from the value ``start`` to the value ``end``."""
    names = [start, *(f"{start}_{op.lower()}" for op, _, _ in steps[:-1]), end]
    return [
        helper.make_node(op, [names[k], *constants], [names[k + 1]], **attributes)
        for k, (op, constants, attributes) in enumerate(steps)
    ]


def as_pixels(value: ValueInfoProto, kind: int) -> None:
    """Declare an image to be pixels of a type, height x width x channels."""
    shape = value.type.tensor_type.shape
    dims = [type(d).FromString(d.SerializeToString()) for d in shape.dim]
    del shape.dim[:]
    shape.dim.extend(dims[k] for k in (0, 2, 3, 1))
    value.type.tensor_type.elem_type = kind
