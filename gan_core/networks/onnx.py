"""A network that is an ONNX graph: it was trained elsewhere, and ONNX Runtime computes it on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import onnxruntime
import torch
from torch import Tensor, nn

from gan_core.config.bounds import NonNegativeInt
from gan_core.core.network_config import NetworkConfig
from gan_core.core.samples import Sample

CAPABILITIES = {"graph": ()}


@dataclass(frozen=True)
class Options:
    """What only this family has."""

    bytes: NonNegativeInt = 0  # of the graph
    size_multiple: NonNegativeInt = (
        0  # height and width may be any multiples of this; 0: they are those of the data set
    )


class Graph(nn.Module):
    """An ONNX graph in a buffer, so that one file holds it as it holds other networks' weights."""

    @staticmethod
    def size_multiple(config: NetworkConfig) -> int:
        """Once built, it takes images whose sides are any multiples of this, from twice it up; 0: of its own only."""
        return Options(**config.options).size_multiple

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("graph", torch.zeros(Options(**config.options).bytes, dtype=torch.uint8))

    @property
    def content(self) -> bytes:
        """The ONNX file."""
        graph: Tensor = self.get_buffer("graph")
        return graph.numpy().tobytes()

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """What computes it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        return onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])

    def forward(self, *inputs: Tensor) -> Sample:
        """One row of each input a sample, to (N, C, H, W) or (N, D)."""
        named = zip((i.name for i in self.config.inputs), inputs, strict=True)
        (made,) = self.session.run(None, {name: value.contiguous().numpy() for name, value in named})
        found: Sample = torch.from_numpy(made)
        return found
