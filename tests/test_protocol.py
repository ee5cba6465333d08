"""The server of this Python without a network: what it reads, and how requests are computed together."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.core import latents
from gan_core.export.endpoints import CENTRAL_MASS, SEED
from gan_core.export.manifest import ModelEndpoint, TensorSpec
from gan_core.runtime.errors import InputError
from gan_core.serving.backends.onnxruntime import protocol
from gan_core.serving.backends.onnxruntime.model import Model
from tests import storm

Z = TensorSpec("z", "float32", (3,), (3,), "normal", 3)
Y = TensorSpec("y", "int64", (), (), "label", 10)
X = TensorSpec("x", "uint8", (-1, -1, 3), (8, 8, 3), "x", 192)
IMAGE = TensorSpec("image", "uint8", (2,), (2,))
PLAIN = ModelEndpoint("plain", "g", (Z, Y), IMAGE, "g.onnx", "fp32", True, False, 4)
TAKEN = (SEED, replace(Z, optional=True), Y, CENTRAL_MASS)
SEEDED = ModelEndpoint("seeded", "g", TAKEN, IMAGE, "g.onnx", "fp32", True, True, 4)
OPEN = ModelEndpoint("open", "g", (X,), IMAGE, "g.onnx", "fp32", True, False, 4)
ENDPOINTS = st.sampled_from([PLAIN, SEEDED, OPEN])


def model(endpoint: ModelEndpoint, graph: Any = None) -> Model:
    return Model(endpoint, graph or (lambda rows: rows["z"]), 4, asyncio.Lock())


@st.composite
def requests(draw: st.DrawFn) -> tuple[ModelEndpoint, dict[str, np.ndarray]]:
    """A good request, with any values that its types have."""
    endpoint, n = draw(ENDPOINTS), draw(st.integers(1, 4))
    rows = {}
    for i in endpoint.inputs:
        limits = np.iinfo(i.dtype) if i.dtype != "float32" else None
        value = (
            st.floats(width=32, allow_nan=False, allow_infinity=False)
            if limits is None
            else st.integers(int(limits.min), int(limits.max))
        )
        shape = (n, *(4 * draw(st.integers(1, 2)) if d < 0 else d for d in i.shape))
        few = draw(st.lists(value, min_size=1, max_size=4))
        rows[i.name] = np.resize(np.array(few, i.dtype), shape)
    return endpoint, rows


@settings(deadline=None, max_examples=60)
@given(requests(), st.booleans())
def test_a_request_is_read_as_it_was_sent(request: tuple[ModelEndpoint, dict[str, np.ndarray]], nested: bool) -> None:
    """To the bit, as JSON in one list or one in another, and as raw bytes."""
    endpoint, rows = request
    tensors = {name: storm.tensor(name, value) for name, value in rows.items()}
    if nested:
        tensors = {n: t | {"data": np.reshape(t["data"], t["shape"]).tolist()} for n, t in tensors.items()}
    for body, headers in (storm.text(tensors), storm.raw(rows)):
        found = protocol.asked(endpoint, body, headers.get(protocol.HEAD_LENGTH))
        assert found.rows.keys() == rows.keys()
        for name, value in found.rows.items():
            assert (value.dtype, value.shape) == (rows[name].dtype, rows[name].shape)
            assert value.tobytes() == rows[name].tobytes()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3) | st.just("image"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, max_examples=300)
@given(ENDPOINTS, JSON, st.data())
def test_what_is_not_refused_is_what_the_model_takes(
    endpoint: ModelEndpoint, strange: Any, data: st.DataObject
) -> None:
    """Any value anywhere in a request: one sentence, or finite rows of the right types and shapes in one batch."""
    rows = {i.name: np.ones((1, *i.usual), i.dtype) for i in endpoint.inputs if not i.optional}
    request = {
        "inputs": [storm.tensor(name, value) | {"parameters": {}} for name, value in rows.items()],
        "outputs": [{"name": "image", "parameters": {"binary_data": True}}],
        "parameters": {"binary_data_output": False},
        "id": "7",
    }
    whole = copy.deepcopy(request)
    node: Any = whole
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = strange
    try:
        found = protocol.asked(endpoint, json.dumps(whole).encode(), None)
        checked = model(endpoint).checked(found.rows)
    except InputError as error:
        assert str(error)
        assert "\n" not in str(error)
        return
    assert {len(value) for value in checked.values()} == {1}
    for i in endpoint.inputs:
        if i.name in checked:
            value = checked[i.name]
            assert value.dtype == i.dtype
            assert all(d in (-1, side) for d, side in zip(i.shape, value.shape[1:], strict=True))
            assert np.isfinite(value).all()


def one(name: str = "z", datatype: str = "FP32", **more: Any) -> bytes:
    """A request with one tensor."""
    return json.dumps({"inputs": [{"name": name, "datatype": datatype, "shape": [1, 3], **more}]}).encode()


WRONG = [
    (b"[" * 100_000, "the request: Invalid JSON: recursion limit exceeded"),
    (one(shape=[2**62, 3]), "a batch of 4611686018427387904, the largest is 4"),
    (one(shape=[1, True]), "inputs.0.shape.1: Input should be a valid integer"),
    (one(data=["1", "2", "3"]), "'z' holds something else than finite numbers of type FP32"),
    (one(data=[1, 2, 1e39]), "'z' holds something else than finite numbers"),
    (one("y", "INT64", shape=[1, 1], data=[1.5]), "'y' holds something else than finite numbers of type INT64"),
    (one(parameters={"shared_memory_region": "r"}), "shared_memory_region: Extra inputs are not permitted"),
    (one(parameters={"binary_data_size": 12}), "'z' has 0 raw bytes, not 12"),
    (json.dumps({"inputs": [storm.tensor("z", np.zeros((1, 3), np.float32))] * 2}).encode(), "an input is there twice"),
    (b'{"inputs": [], "outputs": [{"name": "images"}]}', "has no output 'images', only image"),
]


@pytest.mark.parametrize(("sent", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_a_refusal_says(sent: bytes, says: str) -> None:
    with pytest.raises(InputError) as error:
        protocol.asked(PLAIN, sent, None)
    assert says in str(error.value)


def test_what_a_model_refuses() -> None:
    y = np.zeros(1, np.int64)
    for endpoint, rows, says in (
        (
            OPEN,
            {"x": np.zeros((1, 8, 6, 3), np.uint8)},
            r"input 'x' has sides \[8, 6\], and only multiples of 4 are taken",
        ),
        (PLAIN, {"z": np.zeros((1, 3), np.float32), "y": y + 10}, "'y' takes whole numbers from 0 to 9"),
        (PLAIN, {"z": np.full((1, 3), np.nan, np.float32), "y": y}, "'z' takes finite numbers"),
        (PLAIN, {"z": np.zeros((2, 3), np.float32), "y": y}, "the inputs disagree about the batch: 2, 1"),
        (SEEDED, {"seed": y}, "input 'y' is missing"),
    ):
        with pytest.raises(InputError, match=says):
            model(endpoint).checked(rows)


def test_requests_are_computed_together_while_the_loop_goes_on() -> None:
    """The first alone; then what came meanwhile, each kind for itself, as much as a batch holds; each gets its own."""
    entered, go, sizes = threading.Event(), threading.Event(), []

    def graph(rows: dict[str, np.ndarray]) -> np.ndarray:
        entered.set()
        assert go.wait(5), "the loop stands still while this computes"
        sizes.append(len(rows["y"]))
        if (rows["y"] == 9).any():
            raise RuntimeError("out of memory")
        return rows["z"] + rows["y"].astype(np.float32)[:, None]

    async def ask() -> list[Any]:
        asked = model(SEEDED, graph)
        rows = [{"seed": np.array([k]), "y": np.array([k % 5])} for k in range(7)]
        given = [{**rows[k], "z": np.full((1, 3), k, np.float32)} for k in range(2)]
        failing = {"seed": np.array([1, 2, 3, 4]), "y": np.array([0, 0, 0, 9])}
        tasks = [asyncio.create_task(asked(rows[0]))]
        await asyncio.to_thread(entered.wait, 5)
        tasks += [asyncio.create_task(asked(r)) for r in (*rows[1:], failing, *given)]
        await asyncio.sleep(0)
        tasks[1].cancel()  # a client that leaves
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, left, *rest = asyncio.run(ask())
    assert sizes == [1, 4, 2, 4, 2]
    assert isinstance(left, asyncio.CancelledError)
    inputs = [{"name": "z", "prior": "normal", "size": 3, "shape": ["batch", 3]}]
    for k, got in ((0, first), *enumerate(rest[:5], 2)):
        assert (got == latents.draw(inputs, [k])["z"] + k % 5).all()
    assert str(rest[5]) == "out of memory"
    assert all((rest[6 + k] == k + k % 5).all() for k in range(2))
