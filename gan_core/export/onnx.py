"""Writes a network as ONNX: dynamic batch, no paths, the same bytes from any folder."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn

from gan_core.core.build_network import network_class
from gan_core.core.network_config import NetworkConfig
from gan_core.core.pixels import half
from gan_core.export.graph import written
from gan_core.networks.onnx import Graph
from gan_core.runtime.errors import DataError

TYPES = {8: torch.uint8, 16: torch.uint16}


class Pixels(nn.Module):
    """A generator of images with the scaling inside: pixels (N, H, W, C) out, rounded half to even, and in."""

    def __init__(self, generator: nn.Module, bits: int = 8) -> None:
        super().__init__()
        self.generator, self.scale, self.kind = generator, half(bits), TYPES[bits]
        self.train(generator.training)

    def forward(self, *inputs: Tensor) -> Tensor:
        """One row of each input a sample, to pixels."""
        scaled = (x.float().permute(0, 3, 1, 2) / self.scale - 1 if x.dtype == self.kind else x for x in inputs)
        x = (self.generator(*scaled).clamp(-1, 1) + 1) * self.scale
        pixels: Tensor = x.round().permute(0, 2, 3, 1).to(self.kind)  # the cast last: TensorRT takes it nowhere else
        return pixels


def size_multiple(config: NetworkConfig) -> int:
    """Height and width may be any multiples of this, from twice it up; 0: they are those that it was trained on."""
    found = getattr(network_class(config.network), "size_multiple", None)
    return int(found(config)) if found else 0


Port = tuple[str, tuple[int, ...]]
"""The type of a tensor, and the shape of one row."""


def ports(config: NetworkConfig, pixels: bool, trained: bool = False) -> dict[str, Port]:
    """Inputs and output as a graph has them; a side of -1 is open, unless it is to be the one ``trained`` on."""
    floats: dict[str, Port] = {i.name: (i.dtype.__name__, i.shape) for i in config.inputs}
    floats[config.output_name] = ("float32", config.shape)
    if not (trained or not size_multiple(config)):
        floats = {
            n: (dtype, (dims[0], -1, -1)) if len(dims) == 3 else (dtype, dims) for n, (dtype, dims) in floats.items()
        }
    return floats | ({n: as_pixels(floats[n], config.pixel_type) for n in config.images} if pixels else {})


def as_pixels(image: Port, kind: str) -> Port:
    """An image (C, H, W) as pixels (H, W, C) of a type."""
    _, (channels, *sides) = image
    return kind, (*sides, channels)


def export(network: nn.Module, config: NetworkConfig, opset: int) -> bytes:
    """The ONNX file of a network in evaluation mode, inputs and output named by its configuration.

    Raises:
        DataError: the network is in training mode, which the exporter would hide.
    """
    if isinstance(network, Graph):
        return network.content
    if any(module.training for module in network.modules()):
        raise DataError("the network is in training mode: its graph would not be what was trained; call .eval() first")
    example = tuple(torch.from_numpy(v) for v in config.fixed_inputs(2, seed=0).values())  # a batch of 1 would be fixed
    dynamic: dict[int, Any] = {0: torch.export.Dim("batch")}
    if multiple := size_multiple(config):
        dynamic |= {2: multiple * torch.export.Dim("rows"), 3: multiple * torch.export.Dim("columns")}
    each = tuple(dynamic for _ in example)
    variadic = inspect.getfullargspec(network.forward).varargs is not None
    with quietly():
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            opset_version=opset,
            input_names=[i.name for i in config.inputs],
            output_names=[config.output_name],
            dynamic_shapes=(each,) if variadic else each,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return written(program.model_proto)


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
