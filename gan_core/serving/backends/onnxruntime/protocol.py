"""The Open Inference Protocol (KServe v2) over HTTP with its binary tensor data extension: bytes to arrays and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from gan_core.export.manifest import ModelEndpoint, TensorSpec
from gan_core.runtime.errors import InputError
from gan_core.serving.client import WIRE, Array

HEAD_LENGTH = "Inference-Header-Content-Length"
"""The HTTP header that says how many bytes are JSON; tensors as raw bytes follow."""
VERSION = "1"
"""Of every model."""


class Part(BaseModel):
    """A part of a request: no word is read as a number, and no number as a word."""

    model_config = ConfigDict(strict=True)


class InputParameters(Part, extra="forbid"):
    """Of an input; shared memory, an extension of others, is refused here."""

    binary_data_size: NonNegativeInt | None = None


class OutputParameters(Part, extra="forbid"):
    """Of an output."""

    binary_data: bool = False


class RequestParameters(Part):
    """Of a request; others than this one change no numbers."""

    binary_data_output: bool = False


class Input(Part):
    """A tensor that is sent."""

    name: str
    shape: list[PositiveInt]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None


class Output(Part):
    """A tensor that is wanted."""

    name: str
    parameters: OutputParameters = OutputParameters()


class Request(Part):
    """The JSON of a request."""

    inputs: list[Input]
    outputs: list[Output] = []
    parameters: RequestParameters = RequestParameters()
    id: str = ""


@dataclass(frozen=True)
class Asked:
    """A request that is well formed."""

    rows: dict[str, Array]
    """One row a sample, in the types and shapes of the model's inputs; not each of them need be there."""
    binary: bool
    """Whether the output is wanted as raw bytes."""
    id: str


def asked(endpoint: ModelEndpoint, body: bytes, head_length: str | None) -> Asked:
    """What a request to a model holds. ``head_length``: the value of the header ``HEAD_LENGTH``.

    Raises:
        InputError: what is wrong with it, in one sentence.
    """
    if head_length is not None and not (head_length.isdecimal() and int(head_length) <= len(body)):
        raise InputError(f"{HEAD_LENGTH} is {head_length!r}, the request has {len(body)} bytes")
    head = len(body) if head_length is None else int(head_length)
    try:
        request = Request.model_validate_json(body[:head])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{where or 'the request'}: {first['msg']}") from None
    rows = dict(tensors(endpoint, request.inputs, memoryview(body)[head:]))
    if len(rows) < len(request.inputs):
        raise InputError("an input is there twice")
    binary = request.parameters.binary_data_output
    for output in request.outputs:
        if output.name != endpoint.output.name:
            raise InputError(f"{endpoint.name} has no output '{output.name}', only {endpoint.output.name}")
        binary = output.parameters.binary_data
    return Asked(rows, binary, request.id)


def tensors(endpoint: ModelEndpoint, inputs: list[Input], raw: memoryview) -> Iterator[tuple[str, Array]]:
    """The inputs of a request by name; those without ``data`` lie in ``raw``, one behind another.

    Raises:
        InputError: what is wrong with one of them.
    """
    known = {spec.name: spec for spec in endpoint.inputs}
    for tensor in inputs:
        if tensor.name not in known:
            raise InputError(f"{endpoint.name} has no input '{tensor.name}', only {', '.join(known)}")
        spec, size = known[tensor.name], tensor.parameters.binary_data_size
        check(spec, tensor, endpoint.max_batch_size)
        if size is None:
            value = from_json(tensor, np.dtype(spec.dtype))
        else:
            value, raw = from_bytes(tensor, np.dtype(spec.dtype), raw[:size]), raw[size:]
        yield tensor.name, value if spec.shape else value[:, 0]
    if raw:
        raise InputError(f"{len(raw)} bytes are left behind the tensors")


def check(spec: TensorSpec, tensor: Input, largest: int) -> None:
    """Hold what a tensor says of itself against the model.

    Raises:
        InputError: its type, shape or batch are others.
    """
    if tensor.datatype != wire(spec):
        raise InputError(f"input '{spec.name}' is {tensor.datatype}, not {wire(spec)}")
    dims = shape(spec)
    if len(tensor.shape) != len(dims) or any(d not in (-1, side) for d, side in zip(dims, tensor.shape, strict=True)):
        raise InputError(f"input '{spec.name}' has shape {tensor.shape}, not {dims} (-1: any)")
    if tensor.shape[0] > largest:
        raise InputError(f"input '{spec.name}' has a batch of {tensor.shape[0]}, the largest is {largest}")


def from_json(tensor: Input, dtype: np.dtype[Any]) -> Array:
    """The numbers of ``data``, in one list or one in another.

    Raises:
        InputError: they are no such numbers, or not as many as the shape says.
    """
    try:
        found = np.asarray(tensor.data if tensor.data is not None else [])
    except ValueError:  # lists of different lengths
        found = np.asarray([])
    if found.size != prod(tensor.shape):
        raise InputError(f"input '{tensor.name}' has shape {tensor.shape} and {found.size} numbers")
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    if found.dtype.kind not in ("iuf" if dtype.kind == "f" else "iu") or not (
        limits.min <= found.min() and found.max() <= limits.max
    ):
        raise InputError(f"input '{tensor.name}' holds something else than finite numbers of type {tensor.datatype}")
    return found.astype(dtype).reshape(tensor.shape)


def from_bytes(tensor: Input, dtype: np.dtype[Any], raw: memoryview) -> Array:
    """Raw numbers, little-endian.

    Raises:
        InputError: they are not as many as the shape says.
    """
    if tensor.data is not None or len(raw) != (size := prod(tensor.shape) * dtype.itemsize):
        said = "has both data and raw bytes" if tensor.data is not None else f"has {len(raw)} raw bytes, not {size}"
        raise InputError(f"input '{tensor.name}' {said}")
    return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(tensor.shape)


def answer(endpoint: ModelEndpoint, asked: Asked, value: Array) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an answer."""
    output = {"name": endpoint.output.name, "datatype": wire(endpoint.output), "shape": list(value.shape)}
    head = {"model_name": endpoint.name, "model_version": VERSION} | ({"id": asked.id} if asked.id else {})
    if not asked.binary:
        text = json.dumps(head | {"outputs": [output | {"data": value.ravel().tolist()}]})
        return text.encode(), {"Content-Type": "application/json"}
    described = output | {"parameters": {"binary_data_size": value.nbytes}}
    start = json.dumps(head | {"outputs": [described]}).encode()
    raw = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    return start + raw, {"Content-Type": "application/octet-stream", HEAD_LENGTH: str(len(start))}


def metadata(endpoint: ModelEndpoint) -> Mapping[str, Any]:
    """What a model says of itself."""

    def described(spec: TensorSpec) -> dict[str, Any]:
        return {"name": spec.name, "datatype": wire(spec), "shape": shape(spec)}

    return {
        "name": endpoint.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [described(spec) for spec in endpoint.inputs],
        "outputs": [described(endpoint.output)],
    }


def wire(spec: TensorSpec) -> str:
    """Its type, as the protocol calls it."""
    return next(word for word, dtype in WIRE.items() if dtype == np.dtype(spec.dtype))


def shape(spec: TensorSpec) -> list[int]:
    """Of a tensor with its batch; -1 is open. A row of one number has a side of 1."""
    return [-1, *(spec.shape or (1,))]
