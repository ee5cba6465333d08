"""Where in a network each layer works, found by one pass: so layers of networks for other pictures can be paired."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig

WITHIN = ".parametrizations"
"""Of names: modules inside a layer, which compute its weights."""


@dataclass(frozen=True)
class Layer:
    """A module with weights or buffers of its own."""

    name: str
    kind: str
    """Its class."""
    sides: tuple[int, ...]
    """Height and width of the maps that it gives; of one that gives none, of the nearest layer that does."""
    maps: bool
    """It reads maps (N, C, H, W), not rows (N, D)."""
    columns: int
    """Channels or numbers that it reads; 0 of whole numbers."""
    whole: Input | None
    """The input of whole numbers that it reads, as an embedding does."""
    first: bool
    """It reads what the network is given: no weights came before it."""
    last: bool
    """What it gives is what the network gives."""

    @property
    def place(self) -> Hashable:
        """What layers of two networks must share to do the same work; numbers in a sequence go by the size."""
        called = self.name.rpartition(".")[2]
        return self.kind, "" if called.isdecimal() else called, self.sides, self.first, self.last


def reads(config: NetworkConfig) -> tuple[Input, ...]:
    """What the first layers of a network read, side by side: a discriminator reads the sample before its conditions."""
    if config.network.endswith(".discriminator"):
        dims = config.shape if len(config.shape) == 3 else ()
        return Input("x", "x", config.size, dims), *config.inputs
    return config.inputs


def layers(network: nn.Module, config: NetworkConfig) -> list[Layer]:
    """The layers of a network in the order in which they compute; none of one that is called on another's features."""
    inputs = (*reads(config), *config.projected)
    if not inputs:
        return []
    traced = copy.deepcopy(network).cpu().float().eval().requires_grad_(True)
    found: list[Layer] = []
    sides: list[tuple[int, ...]] = []
    weighty: list[bool] = []

    def called(name: str, module: nn.Module, given: tuple[Tensor, ...], output: Any) -> None:
        read, made = given[0], output if isinstance(output, Tensor) else output[0]
        whole = next((i for i, row in zip(inputs, rows, strict=True) if row is read and i.is_integer), None)
        columns = 0 if whole else read.shape[1]
        first = not any(tensor.requires_grad for tensor in given)
        sides.append(tuple(made.shape[2:]))
        found.append(Layer(name, type(module).__name__, (), read.dim() == 4, columns, whole, first, False))
        weighty.append(isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d))

    for name, module in traced.named_modules():
        if WITHIN not in name and own(module):
            module.register_forward_hook(partial(called, name))
    rows = [torch.from_numpy(i.fixed(1, 0)) for i in inputs]
    with torch.enable_grad():
        traced(*rows)
    last = max((k for k, dense in enumerate(weighty) if dense), default=-1)
    return [replace(layer, sides=nearest(sides, k), last=k == last) for k, layer in enumerate(found)]


def own(module: nn.Module) -> bool:
    """Whether weights or buffers belong to a module itself."""
    return bool(module._parameters or module._buffers or hasattr(module, "parametrizations"))


def nearest(sides: list[tuple[int, ...]], k: int) -> tuple[int, ...]:
    """The first that is not empty from ``k`` on, or else the last before it."""
    return next((s for s in (*sides[k:], *sides[k::-1]) if s), ())


def pairs(a: list[Layer], b: list[Layer]) -> Iterator[tuple[Layer, Layer]]:
    """Layers of two networks that do the same work: of the same place, in order."""
    there = dict(numbered(a))
    return ((there[key], layer) for key, layer in numbered(b) if key in there)


def numbered(found: list[Layer]) -> Iterator[tuple[Hashable, Layer]]:
    """Each layer under its place and its number among those of the same place."""
    counts: Counter[Hashable] = Counter()
    for layer in found:
        yield (layer.place, counts[layer.place]), layer
        counts[layer.place] += 1
