"""Whether a network can be given a picture in tiles: how far it sees, and what the seams cost."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gan_core.core.network_config import NetworkConfig
from gan_core.core.pixels import in_shades
from gan_core.core.tiles import Tiles
from gan_core.export import onnx
from gan_core.export.gate import Runner
from gan_core.networks.onnx import Graph

MOST = 512
"""A network that sees farther than so many pixels is taken to see all."""
OF_A_PICTURE = (nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)
"""Layers that take means over a whole picture."""
WHOLE, FAR = "its normalisation takes means over the whole picture", f"it sees farther than {MOST} pixels"
GRAPH = "how far a graph sees that was trained elsewhere is not known"
"""Why a network is given no tiles."""


def reach(network: nn.Module, config: NetworkConfig) -> int | None:
    """How many pixels away from a pixel of the output lies what it depends on, at most; None: it sees all.

    A property of the architecture: every weight becomes the same positive number and every bias 0, so that nothing
    cancels and no unit is dead; then it is seen how far a stripe of light spreads on black, in double precision.
    """
    if sees_all(network):
        return None
    probe = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        for p in probe.parameters():
            p.fill_(1 / p[0].numel()) if p.dim() > 1 else p.zero_()
        multiple, found = onnx.size_multiple(config), 0
        channels = config.inputs[0].dims[0]
        half = -(-MOST // multiple) * multiple
        for transposed in (False, True):
            x = torch.zeros(1, channels, 2 * multiple, 2 * half + multiple, dtype=torch.float64)
            x[..., half : half + multiple] = 1e-3  # every phase of the strides is in it
            x = x.mT.contiguous() if transposed else x
            y = probe(x).mT if transposed else probe(x)
            lit = torch.nonzero((y != 0).any(2).any(1)[0]).flatten() // config.scale
            found = max(found, half - int(lit.min()), int(lit.max()) - (half + multiple - 1))
    return found if found < half else None


def sees_all(network: nn.Module) -> bool:
    """Whether a layer takes means over a whole picture."""
    return any(isinstance(module, OF_A_PICTURE) for module in network.modules())


def tiles(
    network: nn.Module, config: NetworkConfig, artefact: Runner, real: Mapping[str, Any], allowed: float
) -> dict[str, Any]:
    """What the manifest says of tiles: how far each must see beyond what is kept of it, and how many pixels differ.

    ``artefact``: the graph with pixels; ``real``: held-out pictures as pixels, for its input; ``allowed``: the share
    of pixels that may differ from the whole picture's.
    """
    if isinstance(network, Graph):
        return {"reach": None, "why": GRAPH}
    if (far := reach(network, config)) is None:
        return {"reach": None, "why": WHOLE if sees_all(network) else FAR}
    multiple = onnx.size_multiple(config)
    ((name, rows),) = real.items()
    core = (far // multiple + 2) * multiple
    high, wide = 2 * multiple, 3 * core  # a strip: what holds along it holds across
    picture = np.tile(rows[0], (-(-high // rows.shape[1]), -(-wide // rows.shape[2]), 1))[:high, :wide]

    def compute(some: NDArray[Any]) -> NDArray[Any]:
        (out,) = artefact({name: np.ascontiguousarray(some)[None]})
        return np.asarray(out)

    whole, parts = compute(picture), Tiles(far, multiple, config.scale, core)(compute, picture)
    off = np.abs(in_shades(whole) - in_shades(parts))
    share = float((off > 0).mean())
    if share > allowed:
        return {
            "reach": None,
            "why": f"{share:.2%} of pixels differ from those of the whole picture",
            "pixels_off": share,
        }
    return {"reach": far, "pixels_off": share, "allowed": allowed, "compared": list(picture.shape)}
