"""Puts everything a role is deployed as into one folder, each artefact through the gate, and describes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from gan_core.core import latents
from gan_core.core.artifact import Artifact
from gan_core.core.network_config import NetworkConfig
from gan_core.core.pixels import as_pixels
from gan_core.core.tiles import Tiles
from gan_core.export import endpoints, engine, gate, golden, naming, onnx, tiles
from gan_core.export.gate import Array, Finding
from gan_core.export.graph import with_pixels
from gan_core.export.manifest import ModelEndpoint
from gan_core.export.precision import in_precision
from gan_core.metrics.drawn import Drawn
from gan_core.networks import onnx as onnx_graph
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, first_line

if TYPE_CHECKING:
    from gan_core.config.schema import Export, Precision
    from gan_core.core.samples import Samples

GATED, GATED_LEAST, GATED_BYTES = 1_000, 100, 1 << 30
"""Samples that every graph draws to be compared with the network's, or bytes of them, but at least a hundred: few tell,
as they are of the same inputs."""
CALIBRATION, CALIBRATION_SEED = 1024, 20170704
"""Rows that int8 is calibrated on, and the seed of their latents."""
WITHOUT = "TensorRT has no uint16 inputs and outputs; its engines are those of the float graph"
CALIBRATION_LEAST, CALIBRATION_BYTES = 32, 64 << 20
"""Of large images fewer rows calibrate: so many bytes of them, but at least so many rows."""


class WriteRepository(Protocol):
    """Writes what a server loads for a role's endpoints."""

    def __call__(
        self,
        root: Path,
        endpoints: Sequence[ModelEndpoint],
        graphs: Mapping[str, bytes],
        provenance: Mapping[str, str],
    ) -> None: ...


@dataclass(frozen=True)
class AcceptanceReference:
    """What an artefact is fed, and what its samples are compared with before and after."""

    fd: Mapping[str, Callable[[Samples], float]]
    """FD of model-space samples, by the space they are to be in; a latent has none."""
    real: Mapping[str, Samples]
    """Held-out samples in model space, and what the encoder makes of them, for inputs that are data."""
    samples: int
    seed: int


def gated(samples: int, size: int) -> int:
    """How many samples of so many numbers every graph draws, where ``samples`` are measured."""
    return min(samples, max(GATED_LEAST, min(GATED, GATED_BYTES // (4 * size))))


@dataclass(frozen=True)
class Case:
    """One trained role, and all that its artefacts are checked with."""

    trained: Artifact
    export: Export
    reference: AcceptanceReference
    threads: int

    @property
    def config(self) -> NetworkConfig:
        """Of the network."""
        return self.trained.config

    def feed(self, n: int, pixels: bool, larger: bool = False) -> Mapping[str, Array]:
        """So many fixed rows, data as pixels for a graph that takes them; ``larger``: of other, unequal sides."""
        inputs = self.config.fixed_inputs(n, gate.FIXED_SEED, self.reference.real)
        if larger:
            high, wide = larger_sides(self.config)
            inputs = {name: np.pad(v, margins(v, high, wide), "wrap") for name, v in inputs.items()}
        return as_pixels(inputs, self.config.images if pixels else (), self.config.bits)

    def network(self, pixels: bool) -> gate.Runner:
        """What all are compared with."""
        network = self.trained.network
        return gate.torch_runner(onnx.Pixels(network, self.config.bits) if pixels else network)

    def calibration(self) -> Iterator[Mapping[str, Array]]:
        """What int8 sees of its activations: other latents than the gate uses, and held-out data."""
        most = max(CALIBRATION_LEAST, min(CALIBRATION, CALIBRATION_BYTES // (4 * self.config.size)))
        rows = self.config.fixed_inputs(most, CALIBRATION_SEED, self.reference.real)
        each = max(1, most // 4)
        return (gate.rows(rows, slice(k, k + each)) for k in range(0, most, each))

    @property
    def imported(self) -> bool:
        """Whether it was trained elsewhere: then what its graph cannot become is left out, and the entry says why."""
        return isinstance(self.trained.network, onnx_graph.Graph)

    @cached_property
    def fd(self) -> float | None:
        """Of the network's own samples, where it draws any."""
        return self.fd_of(self.network(False))

    def fd_of(self, runner: gate.Runner, pixels: bool = False) -> float | None:
        """Of a runner's samples, where it draws any."""
        fd = self.reference.fd.get(self.config.output_space)
        return None if fd is None else fd(samples_of(runner, self.config, self.reference, pixels))


@dataclass(frozen=True)
class Graph:
    """One ONNX file: its name, its bytes, what it computes in, and what was found about it."""

    file: str
    model: bytes
    precision: Precision
    pixels: bool
    findings: list[Finding]
    fd: float | None

    @property
    def reasons(self) -> list[str]:
        """Why it is not shipped; none if it is."""
        return [str(finding) for finding in self.findings if not finding.passed]


def ship(
    run: str,
    role: str,
    trained: Artifact,
    folder: Path,
    export: Export,
    reference: AcceptanceReference,
    threads: int,
    write_repository: WriteRepository,
) -> tuple[dict[str, Any], list[ModelEndpoint]]:
    """Write ONNX files, engines and a model repository of one role into ``folder``.

    Returns its entry in the manifest, and the endpoints that a server offers. A precision that does not pass the gate
    is left out, and the entry says why.

    Raises:
        DataError: float32, or the precision that is to be served, did not pass; every reason is in the message.
    """
    case = Case(trained, export, reference, threads)
    found = list(graphs(role, case))
    failed = {g.precision for g in found if g.reasons}
    for needed in ("fp32", export.served):
        if needed in failed:
            asked = "" if needed == "fp32" else f" in {needed}, which export.served asks for"
            why = "; ".join(f"{g.file}: {reason}" for g in found if g.precision == needed for reason in g.reasons)
            raise DataError(f"the gate refuses {run}{asked}: {why}")
    passed = [g for g in found if g.precision not in failed]
    provenance = {
        "run": run,
        "role": role,
        "weights_sha256": trained.sha256,
        "data_sha256": str(trained.notes["data"]),
    }
    contents = {g.file: g.model for g in passed}
    for file, content in contents.items():
        files.write(folder / file, content)
    serving = {g.file: g.pixels for g in passed if g.precision == export.served}
    said = in_tiles(case, passed)
    able = tiles_of(case.config, said.get("tiles"))
    offered = list(endpoints.served(run, role, case.config, serving, export.served, export.max_batch_size, able))
    inputs = named_inputs(case.config.described_inputs(), trained.notes)
    named = {f"classes_{i['name']}": json.dumps(i["classes"]) for i in inputs if "classes" in i}
    write_repository(folder / "model_repository", offered, contents, provenance | named)
    files.write(folder / naming.golden_outputs(role), golden_outputs(case, passed))
    unbuilt = {g.file: WITHOUT for g in passed if g not in built(passed, case.config)}
    entry = {
        "provenance": provenance | {"network": case.config.to_json(), "notes": dict(trained.notes)},
        "versions": versions(),
        "inputs": inputs,
        "output": {"name": case.config.output_name, "shape": ["batch", *case.config.shape]},
        "size_multiple": onnx.size_multiple(case.config),
        **said,
        "max_batch_size": export.max_batch_size,
        "opset": export.opset,
        "graphs": {
            g.file: {
                **({} if g.fd is None else {"fd": g.fd}),
                "precision": g.precision,
                "pixels": g.pixels,
                "tolerance": asdict(export.precisions[g.precision]),
                "checks": {f.check: {"measured": f.measured, "allowed": f.allowed} for f in g.findings},
            }
            for g in passed
        },
        "golden_outputs": naming.golden_outputs(role),
        "refused": {g.file: g.reasons or [f"{g.precision} is refused"] for g in found if g.precision in failed},
        "engines": list(engines(role, passed, case, folder, unbuilt)),
        **({"without_engines": unbuilt} if unbuilt else {}),
    }
    return entry, offered


def in_tiles(case: Case, passed: Sequence[Graph]) -> dict[str, Any]:
    """What an entry says of tiles; of what takes no other sides than it was trained on, nothing."""
    if not onnx.size_multiple(case.config):
        return {}
    model = max((g for g in passed if g.precision == "fp32"), key=lambda g: g.pixels).model
    artefact, allowed = gate.onnx_runner(model, case.threads), case.export.precisions["fp32"].pixels_off
    return {"tiles": tiles.tiles(case.trained.network, case.config, artefact, case.feed(1, True), allowed)}


def tiles_of(config: NetworkConfig, about: Mapping[str, Any] | None) -> Tiles | None:
    """The tiles that a role may be given, by its entry; none, if it sees all."""
    if about is None or about["reach"] is None:
        return None
    return Tiles(about["reach"], onnx.size_multiple(config), config.scale)


def named_inputs(inputs: list[dict[str, Any]], notes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Inputs as the manifest has them: with the names of the classes that a label may be, where they have any."""
    names = json.loads(notes["class_names"]) if "class_names" in notes else []
    return [i | ({"classes": names} if names and i["prior"] == "label" else {}) for i in inputs]


def graphs(role: str, case: Case) -> Iterator[Graph]:
    """In every precision the float graph and, for images, the one with pixels, each with all its findings."""
    whole = onnx.export(case.trained.network, case.config, case.export.opset)
    for precision in case.export.precisions:
        try:
            model = in_precision(whole, precision, case.calibration())
        except Exception as error:  # the quantiser's exceptions share no base
            if not case.imported:
                raise
            said = Finding(f"conversion to {precision}", first_line(error), "a graph", False)
            yield Graph(naming.graph(role, precision), b"", precision, False, [said], None)
            continue
        for pixels in (False, True) if case.config.is_image else (False,):
            content = with_pixels(model, case.config.images, case.config.bits) if pixels else model
            file = naming.graph(role, precision, case.config.pixel_type if pixels else "")
            yield Graph(file, content, precision, pixels, *checked(content, case, precision, pixels))


def checked(
    model: bytes, case: Case, precision: Precision = "fp32", pixels: bool = False
) -> tuple[list[Finding], float | None]:
    """Every finding about one graph against the network it came from, and the FD of its samples if it draws any."""
    config, opset = case.config, case.export.opset
    names = [*(i.name for i in config.inputs), config.output_name]
    lint = list(gate.guarded("lint", lambda: gate.lint(model, names, opset)))
    ends = list(gate.guarded("inputs and output", lambda: gate.io_signature(model, onnx.ports(config, pixels))))
    found = [*lint, *ends, *gate.guarded("precision", lambda: gate.computes(model, precision))]
    if not all(finding.passed for finding in (lint[0], *ends)):
        return found, None  # no valid graph, or not to be fed like this one: it cannot be run
    fd: list[float] = []

    def quality() -> Iterator[Finding]:
        if case.fd is not None:
            after = case.fd_of(gate.rounded_reference(model, precision, case.threads), pixels)
            assert after is not None
            fd.append(after)
            yield from gate.metric_parity(case.fd, after, case.export.precisions[precision])

    found += gate.guarded("outputs", lambda: computed(model, case, precision, pixels))
    if all(finding.passed for finding in found):  # else refused already, and FD of broken samples may not even exist
        found += gate.guarded("FD", quality)
    return found, fd[0] if fd else None


def computed(model: bytes, case: Case, precision: Precision, pixels: bool) -> Iterator[Finding]:
    """What a graph computes, against the network."""
    config, limit = case.config, case.export.precisions[precision]
    largest = gate.largest_compared(case.export.max_batch_size, case.config.size)
    network, artefact = case.network(pixels), gate.rounded_reference(model, precision, case.threads)

    def feed(n: int) -> Mapping[str, Array]:
        return case.feed(n, pixels)

    yield from gate.parity(network, artefact, feed, limit, gate.batch_sizes(largest))
    if onnx.size_multiple(case.config):
        high, wide = larger_sides(config)
        of = f" of {high} x {wide} {'pixels' if config.inputs[0].is_image else 'latents'}"
        yield from gate.parity(network, artefact, lambda n: case.feed(n, pixels, True), limit, [2], of)
    yield from gate.batch_invariance(artefact, feed, limit, largest)
    if precision == "fp16":
        as_it_stands = gate.onnx_runner(model, case.threads)
        yield from gate.parity(network, as_it_stands, feed, limit, [2], ", as ONNX Runtime computes it")


def larger_sides(config: NetworkConfig) -> tuple[int, int]:
    """Sides of its input that a network was not trained on, and not the same."""
    _, high, wide = config.inputs[0].dims
    return 2 * high, wide + onnx.size_multiple(config)


def margins(images: Array, high: int, wide: int) -> list[tuple[int, int]]:
    """What to add to images (N, C, H, W) on each side of each axis."""
    return [(0, 0), (0, 0), (0, high - images.shape[2]), (0, wide - images.shape[3])]


def golden_outputs(case: Case, passed: Sequence[Graph]) -> bytes:
    """A few inputs and what every graph gives for them, for whoever gets the folder to compare with.

    Latents are those of the seeds from 0 on, under labels in turn, so a server can be asked for the same by seed.
    """
    config, n = case.config, min(golden.rows(case.config.size), case.export.max_batch_size)
    if any(i.is_data for i in config.inputs):
        rows = config.fixed_inputs(n, gate.FIXED_SEED, case.reference.real)
    else:
        labels = {i.name: np.arange(n) % i.size for i in config.inputs if i.prior == "label"}
        rows = latents.draw(config.described_inputs(), np.arange(n), labels)
    outputs = {
        g.file: golden.thinned(
            gate.onnx_runner(g.model, case.threads)(as_pixels(rows, config.images if g.pixels else (), config.bits))
        )
        for g in passed
    }
    return golden.to_bytes(rows, outputs)


def samples_of(runner: gate.Runner, config: NetworkConfig, reference: AcceptanceReference, pixels: bool) -> Samples:
    """Many samples of a runner on fixed inputs, as pixels where they are images, in model space."""
    columns = config.fixed_columns(reference.samples, reference.seed, reference.real)

    def draw(*rows: torch.Tensor) -> torch.Tensor:
        inputs = {name: np.ascontiguousarray(value.numpy()) for name, value in zip(columns, rows, strict=True)}
        return torch.from_numpy(runner(as_pixels(inputs, config.images if pixels else (), config.bits)))

    return Drawn(draw, list(columns.values()), config.shape, config.bits if config.is_image else None)


def engines(
    role: str, passed: Sequence[Graph], case: Case, folder: Path, unbuilt: dict[str, str]
) -> Iterator[Mapping[str, Any]]:
    """An engine for every graph of a declared precision and every declared compute capability.

    ``unbuilt``: takes the files of imported graphs that the library refuses, each with its reason.

    Raises:
        DataError: the library refuses a graph of a network of this project.
    """
    declared = case.export.engines
    if declared.flavour == "none":
        return
    trt = engine.library(declared.flavour)
    for target in engine.targets(trt, declared.targets):
        for g in (g for g in built(passed, case.config) if g.precision in declared.precisions):
            wanted = wanted_engine(case.config, g.precision, g.pixels, case.export.max_batch_size)
            file = f"engines/{naming.engine(role, g.pixels, declared.flavour, f'sm{target}', g.precision)}"
            try:
                files.write(folder / file, engine.build(trt, g.model, wanted, target))
            except DataError as error:
                if not case.imported:
                    raise
                unbuilt[g.file] = str(error)
                continue
            yield {
                "file": file,
                "graph": g.file,
                "graph_sha256": files.digest(g.model),
                "library": f"{declared.flavour} {trt.__version__}",
                "compute_capability": target,
                "batch_sizes": wanted.batch_sizes,
                "precision": g.precision,
                "run_here": False,
            }


def built(passed: Sequence[Graph], config: NetworkConfig) -> list[Graph]:
    """The graphs that engines are built from: TensorRT has no inputs and outputs of 16 bits that are whole numbers."""
    return [g for g in passed if not g.pixels or config.bits == 8]


def wanted_engine(config: NetworkConfig, precision: str, pixels: bool, largest: int) -> engine.Wanted:
    """What the engine of a network's graph is built for."""
    return engine.Wanted(endpoints.tensors(config, pixels)[0], precision, largest, onnx.size_multiple(config))


def versions() -> dict[str, str]:
    """Of the libraries that wrote the artefacts."""
    return {name: metadata.version(name).split("+")[0] for name in ("torch", "onnx", "onnxscript", "onnxruntime-gpu")}


def checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """The sha256 and size of every file of a folder."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): {"sha256": files.file_digest(p), "bytes": p.stat().st_size} for p in found}
