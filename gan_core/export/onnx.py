"""Writes a network as ONNX: dynamic batch, no paths, the same bytes from any folder."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

import onnx
import torch
from torch import Tensor, nn

from gan_core.errors import DataError
from gan_core.export.gate import IR_VERSION
from gan_core.signature import Recipe


class Pixels(nn.Module):
    """A generator of images with the unscaling inside: uint8 (N, H, W, C), rounded half to even."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.train(generator.training)

    def forward(self, *inputs: Tensor) -> Tensor:
        """One row of each input a sample, to pixels."""
        x = (self.generator(*inputs).clamp(-1, 1) + 1) * 127.5
        pixels: Tensor = x.round().permute(0, 2, 3, 1).to(torch.uint8)  # the cast last: TensorRT takes it nowhere else
        return pixels


def export(network: nn.Module, recipe: Recipe, opset: int) -> bytes:
    """The ONNX file of a network in evaluation mode, inputs and output named by its recipe.

    Raises:
        DataError: the network is in training mode, which the exporter would hide.
    """
    if any(module.training for module in network.modules()):
        raise DataError("the network is in training mode: its graph would not be what was trained; call .eval() first")
    example = tuple(torch.from_numpy(v) for v in recipe.pinned(2, seed=0).values())  # a batch of 1 would be fixed
    each = tuple({0: torch.export.Dim("batch")} for _ in example)
    variadic = inspect.getfullargspec(network.forward).varargs is not None
    with quietly():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            opset_version=opset,
            input_names=[i.name for i in recipe.inputs],
            output_names=[recipe.output],
            dynamic_shapes=(each,) if variadic else each,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return bytes(clean(program.model_proto).SerializeToString(deterministic=True))


@contextmanager
def quietly() -> Iterator[None]:
    """The exporter talks about itself: packages it can do without, calls of its own that are deprecated."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


def clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without what the exporter says about itself: stack traces hold this machine's paths."""
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    graph.name, model.producer_name, model.ir_version = "graph", "gan-foundry", IR_VERSION
    model.ClearField("producer_version")
    return model
