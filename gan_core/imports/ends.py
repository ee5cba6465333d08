"""An ONNX file of any origin: what its inputs and its output are, for a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from gan_core.config.schema import OnnxNetwork
from gan_core.core.inputs import Input
from gan_core.core.network_config import Space
from gan_core.runtime.errors import InputError, first_line

FLOATS, WHOLE, PIXELS = (TensorProto.FLOAT,), (TensorProto.INT64, TensorProto.INT32), (TensorProto.UINT8,)
NAMES = {"normal": "z", "uniform": "z", "label": "y", "x": "x", "x_b": "x"}
"""What an input of a prior is called here."""
PICKLED = (b"\x80", b"PK\x03\x04")
"""How pickles begin, and archives that hold them."""


@dataclass(frozen=True)
class Data:
    """What a network's samples are compared with."""

    name: str
    shape: tuple[int, ...]
    """Of a sample: (C, H, W) or (D,)."""
    classes: int
    spaces: Sequence[str]
    bits: int = 8


@dataclass(frozen=True)
class Port:
    """An input or the output, as the file has it."""

    name: str
    kind: int
    """The type of its elements."""
    dims: tuple[int, ...]
    """Of one row; -1 is open."""
    layout: str = ""
    """Of pictures: ``channels first`` or ``channels last``."""

    @property
    def is_picture(self) -> bool:
        """Whether a row is an image."""
        return bool(self.layout)

    def row(self, sides: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a row (C, H, W) as it lies in the file."""
        return sides if self.layout == "channels first" else (*sides[1:], sides[0])


@dataclass(frozen=True)
class Foreign:
    """A file that was read, its ends, and what they are here."""

    path: Path
    model: ModelProto
    inputs: tuple[tuple[Port, Input], ...]
    output: Port
    space: Space
    range: tuple[float, float]

    def fed(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inputs as they are here, as the file has them."""
        return {port.name: self.outward(port, i, inputs[i.name]) for port, i in self.inputs}

    def outward(self, port: Port, i: Input, value: np.ndarray) -> np.ndarray:
        """One input; the graph does the same in its own operations."""
        kind = helper.tensor_dtype_to_np_dtype(port.kind)
        if i.prior == "label":
            shaped = np.eye(i.size)[value] if port.kind in FLOATS else value.reshape(-1, *([1] * len(port.dims)))
            return shaped.astype(kind)
        if not port.is_picture:
            return value.reshape(-1, *port.dims)
        low, high = self.range
        scaled = (value.astype(np.float64) + 1) * (high - low) / 2 + low
        scaled = np.rint(scaled) if port.kind in PIXELS else scaled
        return (scaled if port.layout == "channels first" else scaled.transpose(0, 2, 3, 1)).astype(kind)

    def inward(self, y: np.ndarray) -> np.ndarray:
        """The output of the file as a sample here."""
        if not self.output.is_picture:
            return y
        low, high = self.range
        scaled = (y.astype(np.float64) - low) * 2 / (high - low) - 1
        return scaled if self.output.layout == "channels first" else scaled.transpose(0, 3, 1, 2)


def read(path: Path) -> ModelProto:
    """A file as a graph.

    Raises:
        InputError: it is none, or a pickle, which is not read; or its weights lie in other files.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(PICKLED):
        raise InputError(
            f"{path} is a pickle, which runs code when it is read, so it is not: write the network with "
            "torch.onnx.export, and name that file"
        )
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise InputError(f"{path} is no ONNX file: {first_line(error)}") from None
    if any(t.external_data for t in model.graph.initializer):
        raise InputError(
            f"{path} keeps weights in other files; write it as one: onnx.save(onnx.load('{path.name}'), 'whole.onnx')"
        )
    if others := sorted({n.domain for n in model.graph.node} - {"", "ai.onnx"} | {f.domain for f in model.functions}):
        raise InputError(
            f"{path} has operations of {', '.join(others)}, which servers do not have; export it with ONNX's own only"
        )
    return model


def understood(path: Path, model: ModelProto, declared: OnnxNetwork, data: Data) -> Foreign:
    """The ends of a graph: which input is what, and what comes out.

    Raises:
        InputError: one of them is of a shape or type that is none here, has a fixed batch, does not fit the data set,
            or cannot be told without a declaration.
    """
    ends = Ends(path, data)
    there = {v.name for v in model.graph.initializer}
    inputs = [ends.port(v) for v in model.graph.input if v.name not in there]
    outputs = [ends.port(v) for v in model.graph.output]
    priors_of = declared.inputs or {}
    asked = [("input", inputs, name) for name in priors_of]
    asked += [("output", outputs, declared.output)] if declared.output else []
    for what, known, name in asked:
        if name not in (there_are := [p.name for p in known]):
            raise InputError(
                f"{path} has no {what} '{name}', only {', '.join(there_are)}; name one of these under network"
            )
    if len(outputs) > 1 and not declared.output:
        names = ", ".join(p.name for p in outputs)
        raise InputError(
            f"{path} has {len(outputs)} outputs: {names}; name the one of samples: network: {{output: ...}}"
        )
    output = next(p for p in outputs if declared.output in (None, p.name))
    found = [(port, ends.prior(port, priors_of.get(port.name))) for port in inputs]
    priors = [prior for _, prior in found]
    if not priors:
        raise InputError(f"{path} has no inputs: it draws one sample only")
    if len(sources := [p for p in priors if p in ("x", "x_b")]) > 1:
        raise InputError(f"{path} takes {len(sources)} pictures; one that takes one can be imported")
    space: Space = "x" if sources != ["x"] else "x_b"
    if sources and not {*sources, space} <= {*data.spaces}:
        raise InputError(
            f"{path} makes pictures of pictures, and data set '{data.name}' has one domain: give it pairs or domains"
        )
    named = [ends.called(port, prior, priors, k) for k, (port, prior) in enumerate(found)]
    of = Foreign(path, model, tuple(zip(inputs, named, strict=True)), output, space, ranged(declared, output))
    if output.kind not in (*FLOATS, *PIXELS):
        raise InputError(f"{path}: output '{output.name}' is {kind_of(output)}; float32 or uint8 are read")
    return of


def ranged(declared: OnnxNetwork, output: Port) -> tuple[float, float]:
    """What black and white are."""
    if declared.range:
        low, high = declared.range
        return low, high
    return (0.0, 255.0) if output.kind in PIXELS else (-1.0, 1.0)


@dataclass(frozen=True)
class Ends:
    """Reads inputs and outputs of a file, for a data set."""

    path: Path
    data: Data

    def port(self, value: ValueInfoProto) -> Port:
        """An input or output; its first side is the batch.

        Raises:
            InputError: the batch is fixed.
        """
        tensor = value.type.tensor_type
        dims = [d.dim_value or -1 for d in tensor.shape.dim]
        if not dims or dims[0] > 0:
            fixed = f"a fixed batch of {dims[0]}" if dims else "no batch"
            raise InputError(
                f"{self.path}: '{value.name}' has {fixed}, and a server is asked for batches of any size; export it "
                "with a dynamic one: torch.onnx.export(..., dynamo=True, dynamic_shapes={0: torch.export.Dim('batch')})"
            )
        port = Port(value.name, tensor.elem_type, tuple(dims[1:]))
        return replace(port, layout=self.layout(port))

    def layout(self, port: Port) -> str:
        """How its pictures lie, told by where their channels are; nothing: a row is no picture."""
        if len(port.dims) != 3 or len(self.data.shape) != 3 or port.dims[1:] == (1, 1):
            return ""
        channels = self.data.shape[0]
        if port.dims[0] == channels or (port.dims[0] == -1 and port.dims[2] != channels):
            return "channels first"
        return "channels last" if port.dims[2] == channels else ""

    def prior(self, port: Port, declared: str | None) -> str:
        """What an input is.

        Raises:
            InputError: it is nothing that is drawn, given, or in the data set.
        """
        picture = "x" if port.is_picture else None
        label = "label" if port.kind in WHOLE and port.dims in ((), (1,)) else None
        found = declared or picture or label
        size = sized(port)
        if found is None:
            what = ", ".join(NAMES)
            raise InputError(
                f"{self.path}: what is input '{port.name}', {kind_of(port)} {list(port.dims)}? Declare it: "
                f"network: {{inputs: {{{port.name}: normal}}}}, or another of {what}"
            )
        fits = {
            "normal": port.kind in FLOATS and size > 0,
            "uniform": port.kind in FLOATS and size > 0,
            "label": label is not None or (port.kind in FLOATS and port.dims == (self.data.classes,)),
        }.get(found, port.is_picture and port.kind in (*FLOATS, *PIXELS))
        if not fits:
            raise InputError(
                f"{self.path}: input '{port.name}' is {kind_of(port)} {list(port.dims)}, which is no {found}"
            )
        if found == "label" and not self.data.classes:
            raise InputError(
                f"{self.path}: input '{port.name}' is a label, and data set '{self.data.name}' has no classes"
            )
        return found

    def called(self, port: Port, prior: str, priors: Sequence[str], k: int) -> Input:
        """An input as it is called here."""
        alike = [NAMES[p] for p in priors]
        name = NAMES[prior] + (f"_{alike[:k].count(NAMES[prior]) + 1}" if alike.count(NAMES[prior]) > 1 else "")
        if prior in ("x", "x_b"):
            return Input(name, prior, int(np.prod(self.data.shape)), self.data.shape)
        return Input(name, prior, self.data.classes if prior == "label" else sized(port))


def sized(port: Port) -> int:
    """How many numbers a row has."""
    return int(np.prod(port.dims)) if all(d > 0 for d in port.dims) else 0


def kind_of(port: Port) -> str:
    """The word for its type."""
    return str(helper.tensor_dtype_to_np_dtype(port.kind))


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's operators."""
    return int(next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")))


def about(foreign: Foreign) -> dict[str, Any]:
    """What an artefact keeps of its origin."""
    return {
        "opset": opset_of(foreign.model),
        "inputs": {i.name: port.name for port, i in foreign.inputs},
        "output": foreign.output.name,
        "layout": foreign.output.layout,
        "range": list(foreign.range),
    }
