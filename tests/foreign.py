"""ONNX files as other people's tools write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

LATENT = 20
NAMES = ("dcgan", "nhwc")
"""Of those that ``write`` declares."""


def model(
    nodes: list[NodeProto], inputs: dict[str, Any], outputs: dict[str, Any], weights: dict[str, np.ndarray], opset: int
) -> ModelProto:
    """A graph; its ends by name, each a type and dimensions."""
    ends = [
        [helper.make_tensor_value_info(k, kind, dims) for k, (kind, dims) in of.items()] for of in (inputs, outputs)
    ]
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "theirs", *ends, initializer=kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def weights(seed: int, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Drawn at random, small enough for a sigmoid."""
    rng = np.random.default_rng(seed)
    return {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def dcgan(batch: str | int = "N", image: str = "image") -> ModelProto:
    """As torch's examples: noise (N, 20, 1, 1) to pictures (N, 1, 8, 8) in [0, 1]; one of its values is called z."""
    nodes = [
        helper.make_node("ConvTranspose", ["input.1", "first"], ["z"], kernel_shape=[4, 4]),
        helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("ConvTranspose", ["h", "last"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["y"], [image]),
    ]
    ends = {"input.1": (TensorProto.FLOAT, [batch, LATENT, 1, 1])}, {image: (TensorProto.FLOAT, [batch, 1, 8, 8])}
    return model(nodes, *ends, weights(0, first=(LATENT, 8, 4, 4), last=(8, 1, 4, 4)), 13)


def nhwc(kind: int = TensorProto.UINT8, sides: tuple[Any, ...] = ("H", "W")) -> ModelProto:
    """As exporters of TensorFlow write: grey levels (N, H, W, 3) in and out, with constants among the nodes."""
    constant = numpy_helper.from_array(np.array(255, np.float32))
    nodes = [
        helper.make_node("Constant", [], ["most"], value=constant),
        helper.make_node("Cast", ["in:0"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["x", "most"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["first_channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first_channels", "first"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["h"]),
        helper.make_node("Conv", ["h", "last"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["d"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["t", "most"], ["levels"]),
        helper.make_node("Cast", ["levels"], ["out:0"], to=kind),
    ]
    ends = {"in:0": (kind, ["N", *sides, 3])}, {"out:0": (kind, ["N", *sides, 3])}
    return model(nodes, *ends, weights(1, first=(8, 3, 3, 3), last=(3, 8, 3, 3)), 17)


def conditional(kind: int, dims: list[Any]) -> ModelProto:
    """A class, one-hot or as a number, and noise in U(-1, 1), to pictures (N, 1, 8, 8) in [-1, 1]."""
    table = weights(2, table=(10, 16))["table"]
    one_hot = kind == TensorProto.FLOAT
    number = [] if one_hot else [helper.make_node("Reshape", ["class", "flat"], ["k"])]
    chosen = helper.make_node("MatMul", ["class", "table"], ["e"]) if one_hot else helper.make_node(
        "Gather", ["table", "k"], ["e"]
    )  # fmt: skip
    nodes = [
        *number,
        chosen,
        helper.make_node("Concat", ["noise", "e"], ["h"], axis=1),
        helper.make_node("MatMul", ["h", "w"], ["v"]),
        helper.make_node("Tanh", ["v"], ["t"]),
        helper.make_node("Reshape", ["t", "sides"], ["picture"]),
    ]
    kept = weights(3, w=(20, 64)) | {"table": table, "sides": np.array([-1, 1, 8, 8], np.int64)}
    kept |= {} if one_hot else {"flat": np.array([-1], np.int64)}
    ends = {"noise": (TensorProto.FLOAT, ["N", 4]), "class": (kind, dims)}
    return model(nodes, ends, {"picture": (TensorProto.FLOAT, ["N", 1, 8, 8])}, kept, 20)


def write(folder: Path) -> dict[str, Any]:
    """Two of them in a folder, and what a user declares of them."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(dcgan(), folder / "dcgan.onnx")
    onnx.save(nhwc(), folder / "nhwc.onnx")
    declared = {"family": "onnx", "inputs": {"input.1": "normal"}, "range": [0, 1]}
    return {
        "dcgan": {"file": f"{folder.name}/dcgan.onnx", "dataset": "digits", "network": declared},
        "nhwc": {"file": f"{folder.name}/nhwc.onnx", "dataset": "recolour", "network": {"family": "onnx"}},
    }
