"""The models that a role is served as, from its network's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gan_core.core.network_config import NetworkConfig
from gan_core.core.tiles import Tiles
from gan_core.export import naming, onnx
from gan_core.export.manifest import ModelEndpoint, TensorSpec

SEED = TensorSpec("seed", "int64", (), (), "seed")
CENTRAL_MASS = TensorSpec("central_mass", "float32", (), (), "central_mass", optional=True)


def tensors(config: NetworkConfig, pixels: bool) -> tuple[tuple[TensorSpec, ...], TensorSpec]:
    """Inputs and output of a graph."""
    open_, usual = onnx.ports(config, pixels), onnx.ports(config, pixels, trained=True)
    inputs = tuple(TensorSpec(i.name, *open_[i.name], usual[i.name][1], i.prior, i.size) for i in config.inputs)
    name = config.output_name
    return inputs, TensorSpec(name, *open_[name], usual[name][1])


def served(
    run: str,
    role: str,
    config: NetworkConfig,
    graphs: dict[str, bool],
    precision: str,
    largest: int,
    tiles: Tiles | None = None,
) -> Iterator[ModelEndpoint]:
    """A model for each graph (file -> whether it is one of pixels), and one more of the last.

    That is a seeded one, if the role takes no data; or, where it makes pictures of pictures and may be given
    ``tiles``, one that takes pictures of any sides.
    """
    for file, pixels in graphs.items():
        inputs, output = tensors(config, pixels)
        name = naming.model(run, role, config.pixel_type if pixels else "")
        yield ModelEndpoint(name, role, inputs, output, file, precision, pixels, False, largest)
    file, pixels = list(graphs.items())[-1]
    inputs, output = tensors(config, pixels)
    if tiles and pixels and len(inputs) == 1 and config.images == [config.inputs[0].name, "image"]:
        yield ModelEndpoint(
            naming.tiled_model(run, role), role, inputs, output, file, precision, pixels, False, 1, tiles
        )
    if any(i.is_data for i in config.inputs):
        return
    given = [replace(i, optional=i.prior != "label") for i in inputs]
    mass = [CENTRAL_MASS] if any(i.prior == "normal" for i in inputs) else []
    name = naming.seeded_model(run, role)
    yield ModelEndpoint(name, role, (SEED, *given, *mass), output, file, precision, pixels, True, largest)
