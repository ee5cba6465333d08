"""An ONNX graph of any origin as one of this project's: its ends by name, layout, range and type.

The graph itself stays as it is; what stands around it translates. Its answers are then compared with those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import nn

from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.export import gate
from gan_core.export.graph import chain, rename, with_nodes, written
from gan_core.imports.ends import FLOATS, PIXELS, Data, Foreign, Port, opset_of
from gan_core.runtime.errors import DataError, InputError, first_line

PREFIX = "file."
"""Of what the file calls its values, so that none is called as one of ours."""
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""What the sides of a picture may have to be multiples of."""
COMPARED, ALLOWED = 8, 1e-4
"""Rows on which the graph is compared with the file, and the largest difference, of samples in [-1, 1]."""


def imported(foreign: Foreign, data: Data, opset: int, threads: int) -> tuple[nn.Module, NetworkConfig]:
    """A network of this project's that computes what the file does, and its configuration.

    Raises:
        InputError: the file cannot be run, draws other samples than the data set has, draws its own noise, or needs
            what its opset has and the declared one has not.
    """
    theirs = gate.onnx_runner(foreign.model.SerializeToString(), threads)
    multiple = size_multiple(foreign, theirs, data)
    content = framed(foreign, data, multiple, opset)
    options = {"bytes": len(content), "size_multiple": multiple}
    inputs = tuple(i for _, i in foreign.inputs)
    config = NetworkConfig(
        "onnx.graph", data.shape, 0, inputs, output_space=foreign.space, options=options, bits=data.bits
    )
    names = [*(i.name for i in inputs), config.output_name]
    if wrong := [str(finding) for finding in gate.lint(content, names, opset) if not finding.passed]:
        raise InputError(f"{foreign.path} cannot be shipped: {'; '.join(wrong)}")
    compare(foreign, theirs, gate.onnx_runner(content, threads), config)
    network = build_network(config)
    network.load_state_dict({"graph": torch.frombuffer(bytearray(content), dtype=torch.uint8)})
    return network.eval(), config


def compare(foreign: Foreign, theirs: gate.Runner, mine: gate.Runner, config: NetworkConfig) -> None:
    """Whether the graph computes what the file does.

    Raises:
        InputError: it does not.
    """
    rows = rounded(foreign, config.fixed_inputs(COMPARED, gate.FIXED_SEED))
    got, expected = mine(rows), foreign.inward(answer(foreign, theirs, rows))
    off = gate.max_abs(got, expected)
    if not off <= ALLOWED:
        raise InputError(
            f"{foreign.path}: brought to the opset that export.opset declares, its samples differ by {off:.2g} from "
            f"the file's, allowed are {ALLOWED}; export it with that opset"
        )


def rounded(foreign: Foreign, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows that the file can be given exactly: pictures of whole grey levels."""
    pictures = {i.name for port, i in foreign.inputs if port.kind in PIXELS}
    return {k: (np.rint((v + 1) * 127.5) / 127.5 - 1).astype(v.dtype) if k in pictures else v for k, v in rows.items()}


def answer(foreign: Foreign, theirs: gate.Runner, rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the file gives.

    Raises:
        InputError: it cannot be run.
    """
    try:
        return theirs(foreign.fed(rows))
    except DataError as error:
        raise InputError(f"{foreign.path}: {first_line(error)}") from None


def size_multiple(foreign: Foreign, theirs: gate.Runner, data: Data) -> int:
    """What the sides of a translator's pictures must be multiples of, found by trying; 0: they are fixed.

    Raises:
        InputError: it does not draw samples of the data set's shape.
    """

    def made(shape: tuple[int, ...]) -> tuple[int, ...]:
        rows = {
            i.name: replace(i, dims=shape, size=int(np.prod(shape))).fixed(2, 0) if i.is_data else i.fixed(2, 0)
            for _, i in foreign.inputs
        }
        return foreign.inward(answer(foreign, theirs, rounded(foreign, rows))).shape[1:]

    closed = next((p.row(data.shape) for p, i in foreign.inputs if i.is_data and -1 not in p.dims), None)
    for port, i in foreign.inputs:
        if i.is_data and closed and port.dims != closed:
            raise InputError(mismatch(foreign, f"takes {sides_of(port)}", data))
    if (drawn := made(data.shape)) != data.shape:
        raise InputError(mismatch(foreign, f"draws samples of {'x'.join(map(str, drawn))}", data))
    source = next((p for p, i in foreign.inputs if i.is_data), None)
    if source is None or closed:
        return 0
    high, wide = data.shape[1:]
    for multiple in MULTIPLES:
        if not high % multiple and not wide % multiple:
            shape = (data.shape[0], 2 * high, wide + multiple)
            try:
                if made(shape) == shape:
                    return multiple
            except InputError:
                continue
    return 0


def sides_of(port: Port) -> str:
    """The shape of a row in words."""
    return "x".join("any" if d < 0 else str(d) for d in port.dims)


def mismatch(foreign: Foreign, what: str, data: Data) -> str:
    """That file and data set have other shapes."""
    here = "x".join(map(str, data.shape))
    return f"{foreign.path} {what}, and those of data set '{data.name}' are {here} (channels, height, width)"


def framed(foreign: Foreign, data: Data, multiple: int, opset: int) -> bytes:
    """The graph between operations that translate its inputs and its output.

    Raises:
        InputError: its operations have no form in the declared opset.
    """
    model = onnx.compose.add_prefix(in_opset(foreign, opset), PREFIX)
    graph, ends = model.graph, foreign.range
    constants_kept(model)
    in_floats(model)
    before, constants, inputs = list[NodeProto](), dict[str, np.ndarray](), list[ValueInfoProto]()
    for port, i in foreign.inputs:
        before += chain(i.name, PREFIX + port.name, *(list(entering(port, i, ends, constants)) or [AS_IT_IS]))
        dims = ["rows", "columns"] if multiple and i.is_data else [*data.shape[1:]] if i.is_data else []
        shape = [data.shape[0], *dims] if i.is_data else list(i.shape)
        inputs.append(helper.make_tensor_value_info(i.name, onnx_type(i), ["batch", *shape]))
    image = len(data.shape) == 3
    name = "image" if image else "point"
    rename(model, {PREFIX + foreign.output.name: f"{name}_of_file"})
    after = chain(f"{name}_of_file", name, *(list(leaving(foreign.output, ends, constants)) or [AS_IT_IS]))
    shape = [data.shape[0], "rows", "columns"] if multiple else list(data.shape)
    del graph.input[:], graph.output[:]
    graph.input.extend(inputs)
    graph.output.extend([helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])])
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    return written(with_nodes(model, [*before, *graph.node, *after]))


def constants_kept(model: ModelProto) -> None:
    """Constants among the nodes as initializers, which is where other precisions look for weights."""
    graph, left = model.graph, list[NodeProto]()
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None) if node.op_type == "Constant" else None
        if value is None:
            left.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
    with_nodes(model, left)


def in_floats(model: ModelProto) -> None:
    """Grey levels as floats inside the graph too: TensorRT has bytes at its ends only."""
    for node in model.graph.node:
        if node.op_type == "Cast" and node.attribute[0].i in PIXELS:
            node.op_type = "Floor"  # as the cast of what is not negative
            del node.attribute[:]


def onnx_type(i: Input) -> int:
    """The type of an input here."""
    return int(TensorProto.INT64 if i.is_integer else TensorProto.FLOAT)


def in_opset(foreign: Foreign, opset: int) -> ModelProto:
    """A copy of the graph with the operators of a version.

    Raises:
        InputError: there is no way there.
    """
    model: ModelProto = ModelProto.FromString(foreign.model.SerializeToString())
    if opset_of(model) != opset:
        try:
            model = onnx.version_converter.convert_version(model, opset)
        except Exception as error:  # a C++ exception without a class of its own
            raise InputError(
                f"{foreign.path} is of opset {opset_of(foreign.model)}, and cannot be brought to {opset}, which "
                f"export.opset declares ({first_line(error)}); export it with that one"
            ) from None
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", opset)])
    return model


Step = tuple[str, list[str], dict[str, Any]]
"""An operation, its inputs after the first, its attributes."""
AS_IT_IS: Step = ("Identity", [], {})


def entering(port: Port, i: Input, ends: tuple[float, float], constants: dict[str, np.ndarray]) -> Iterator[Step]:
    """From an input as it is here to one as the file has it."""
    low, high = ends

    def constant(name: str, value: np.ndarray) -> str:
        constants[f"{i.name}_{name}"] = value
        return f"{i.name}_{name}"

    if i.prior == "label" and port.kind in FLOATS:
        off_on = constant("off_on", np.array([0, 1], np.float32))
        yield "OneHot", [constant("classes", np.array([i.size], np.int64)), off_on], {"axis": -1}
    elif i.prior == "label":
        if port.dims:
            yield "Unsqueeze", [constant("axis", np.array([1], np.int64))], {}
        if port.kind != TensorProto.INT64:
            yield "Cast", [], {"to": port.kind}
    elif not port.is_picture:
        if len(port.dims) > 1:
            yield "Reshape", [constant("shape", np.array([-1, *port.dims], np.int64))], {}
    else:
        if ends != (-1.0, 1.0):
            yield "Mul", [constant("half_range", np.array((high - low) / 2, np.float32))], {}
            yield "Add", [constant("middle", np.array((high + low) / 2, np.float32))], {}
        if port.kind in PIXELS:
            yield "Round", [], {}
        if port.layout == "channels last":
            yield "Transpose", [], {"perm": [0, 2, 3, 1]}


def leaving(port: Port, ends: tuple[float, float], constants: dict[str, np.ndarray]) -> Iterator[Step]:
    """From the output of the file to a sample."""
    low, high = ends

    def constant(name: str, value: float) -> str:
        constants[f"output_{name}"] = np.array(value, np.float32)
        return f"output_{name}"

    if port.layout == "channels last":
        yield "Transpose", [], {"perm": [0, 3, 1, 2]}
    if port.is_picture and ends != (-1.0, 1.0):
        yield "Sub", [constant("middle", (high + low) / 2)], {}
        yield "Div", [constant("half_range", (high - low) / 2)], {}
