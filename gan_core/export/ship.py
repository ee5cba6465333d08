"""Puts everything a role is deployed as into one folder, each artefact through the gate, and describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import save

from gan_core import files, latents
from gan_core.artifact import Artifact
from gan_core.errors import DataError
from gan_core.export import engine, gate, onnx, triton
from gan_core.export.gate import Array, Finding
from gan_core.export.graph import with_pixels
from gan_core.export.precision import in_precision
from gan_core.pictures import taken, to_uint8
from gan_core.signature import Recipe

if TYPE_CHECKING:
    from gan_core.config import Export, Precision
    from gan_core.types import Samples

BATCH = 256
CALIBRATION, CALIBRATION_SEED = 1024, 20170704
"""Rows that int8 is calibrated on, and the seed of their latents."""
BANK = 16
"""Rows of the bank."""


@dataclass(frozen=True)
class Judge:
    """What an artefact is fed, and how its samples are judged before and after."""

    fid: Mapping[str, Callable[[torch.Tensor], float]]
    """FID of model-space samples, by the space they are to be in; a latent has none."""
    real: Mapping[str, Samples]
    """Held-out samples in model space, for inputs that are data."""
    samples: int
    seed: int
    to_model: Callable[[torch.Tensor], torch.Tensor]
    """From packed samples, the inverse of the unscaling in the graph."""


@dataclass(frozen=True)
class Case:
    """One trained role, and all that its artefacts are judged by."""

    trained: Artifact
    export: Export
    judge: Judge
    threads: int

    def feed(self, n: int, pixels: bool, larger: bool = False) -> Mapping[str, Array]:
        """So many pinned rows, data as pixels for a graph that takes them; ``larger``: of other, unequal sides."""
        inputs = self.trained.recipe.pinned(n, gate.PINNED_SEED, self.judge.real)
        if larger:
            high, wide = larger_sides(self.trained.recipe)
            inputs = {name: np.pad(v, margins(v, high, wide), "wrap") for name, v in inputs.items()}
        return taken(inputs, pixels)

    def network(self, pixels: bool) -> gate.Runner:
        """What all are compared with."""
        return gate.torch_runner(onnx.Pixels(self.trained.network) if pixels else self.trained.network)

    def calibration(self) -> Iterator[Mapping[str, Array]]:
        """What int8 sees of its activations: other latents than the gate looks at, and held-out data."""
        rows = self.trained.recipe.pinned(CALIBRATION, CALIBRATION_SEED, self.judge.real)
        return (gate.rows(rows, slice(k, k + BATCH)) for k in range(0, CALIBRATION, BATCH))

    @cached_property
    def fid(self) -> float | None:
        """Of the network's own samples, where it draws any."""
        return self.fid_of(self.network(False))

    def fid_of(self, runner: gate.Runner, pixels: bool = False) -> float | None:
        """Of a runner's samples, where it draws any."""
        fid = self.judge.fid.get(self.trained.recipe.gives)
        return None if fid is None else fid(samples_of(runner, self.trained, self.judge, pixels))


@dataclass(frozen=True)
class Shipped:
    """One ONNX file: its name, its bytes, what it computes in, and what was found about it."""

    file: str
    model: bytes
    precision: Precision
    pixels: bool
    findings: list[Finding]
    fid: float | None

    @property
    def suffix(self) -> str:
        """What tells its model on a server from the float one."""
        return "_uint8" if self.pixels else ""

    @property
    def reasons(self) -> list[str]:
        """Why it is not shipped; none if it is."""
        return [str(finding) for finding in self.findings if not finding.passed]


def ship(
    run: str, role: str, trained: Artifact, folder: Path, export: Export, judge: Judge, threads: int
) -> dict[str, Any]:
    """Write ONNX files, engines and a model repository of one role into ``folder``; returns its manifest entry.

    A precision that does not pass the gate is left out, and the entry says why.

    Raises:
        DataError: float32, or the precision that is to be served, did not pass; every reason is in the message.
    """
    found = list(graphs(role, Case(trained, export, judge, threads)))
    failed = {a.precision for a in found if a.reasons}
    for needed in ("fp32", export.served):
        if needed in failed:
            asked = "" if needed == "fp32" else f" in {needed}, which export.served asks for"
            why = "; ".join(f"{a.file}: {reason}" for a in found if a.precision == needed for reason in a.reasons)
            raise DataError(f"the gate refuses {run}{asked}: {why}")
    artefacts = [a for a in found if a.precision not in failed]
    provenance = {
        "run": run,
        "role": role,
        "weights_sha256": trained.sha256,
        "data_sha256": str(trained.notes["data"]),
    }
    for artefact in artefacts:
        files.write(folder / artefact.file, artefact.model)
    served = [a for a in artefacts if a.precision == export.served]
    repository = folder / "model_repository"
    for artefact in served:
        name = f"{run}_{role}{artefact.suffix}"
        triton.write(
            repository, name, artefact.model, trained.recipe, artefact.pixels, export.max_batch_size, provenance
        )
    if not any(i.is_data for i in trained.recipe.inputs):
        drawing = served[-1]
        triton.write_seeded(
            repository,
            f"{run}_{role}",
            f"{run}_{role}{drawing.suffix}",
            trained.recipe,
            drawing.pixels,
            export.max_batch_size,
            provenance,
        )
    files.write(folder / "bank" / f"{role}.safetensors", bank(trained, artefacts, export, judge, threads))
    return {
        "provenance": provenance | {"recipe": trained.recipe.to_json(), "notes": dict(trained.notes)},
        "versions": versions(),
        "inputs": triton.described(trained.recipe),
        "output": {"name": trained.recipe.output, "shape": ["batch", *trained.recipe.shape]},
        "sides": onnx.sides(trained.recipe),
        "max_batch_size": export.max_batch_size,
        "opset": export.opset,
        "gate": {
            a.file: {
                **({} if a.fid is None else {"fid": a.fid}),
                "precision": a.precision,
                "pixels": a.pixels,
                "tolerance": asdict(export.precisions[a.precision]),
                "checks": {f.check: {"measured": f.measured, "allowed": f.allowed} for f in a.findings},
            }
            for a in artefacts
        },
        "served": [a.file for a in served],
        "refused": {a.file: a.reasons or [f"{a.precision} is refused"] for a in found if a.precision in failed},
        "engines": list(engines(role, artefacts, trained, folder, export)),
    }


def graphs(role: str, case: Case) -> Iterator[Shipped]:
    """In every precision the float graph and, for images, the one with uint8 pixels, each with all its findings."""
    network, recipe = case.trained.network, case.trained.recipe
    whole = onnx.export(network, recipe, case.export.opset)
    for precision in case.export.precisions:
        model = in_precision(whole, precision, case.calibration())
        name = role if precision == "fp32" else f"{role}.{precision}"
        forms = {f"{name}.onnx": model} | ({f"{name}.uint8.onnx": with_pixels(model)} if recipe.is_image else {})
        for file, content in forms.items():
            pixels = content is not model
            yield Shipped(file, content, precision, pixels, *judged(content, case, precision, pixels))


def judged(
    model: bytes, case: Case, precision: Precision = "fp32", pixels: bool = False
) -> tuple[list[Finding], float | None]:
    """Every finding about one graph against the network it came from, and the FID of its samples if it draws any."""
    recipe, limit, largest = case.trained.recipe, case.export.precisions[precision], case.export.max_batch_size
    names, network = [*(i.name for i in recipe.inputs), recipe.output], case.network(pixels)
    lint, ends = list(gate.lint(model, names, case.export.opset)), list(gate.ends(model, onnx.ports(recipe, pixels)))
    findings = [*lint, *ends, *gate.computes(model, precision)]
    if not all(finding.passed for finding in (lint[0], *ends)):
        return findings, None  # no valid graph, or not to be fed like this one: it cannot be run

    def feed(n: int) -> Mapping[str, Array]:
        return case.feed(n, pixels)

    try:
        artefact = gate.honest_runner(model, precision, case.threads)
    except DataError as error:
        return [*findings, Finding("ONNX Runtime", str(error), "loads it", False)], None
    findings += gate.parity(network, artefact, feed, limit, gate.batch_sizes(largest))
    if onnx.sides(recipe):
        of = " of {} x {} pixels".format(*larger_sides(recipe))
        findings += gate.parity(network, artefact, lambda n: case.feed(n, pixels, True), limit, [2], of)
    findings += gate.batch_invariance(artefact, feed, limit, largest)
    if precision == "fp16":
        as_it_stands = gate.onnx_runner(model, case.threads)
        findings += gate.parity(network, as_it_stands, feed, limit, [2], ", as ONNX Runtime computes it")
    if case.fid is None or not all(finding.passed for finding in findings):
        return findings, None  # refused already, an FID of broken samples may not even exist
    after = case.fid_of(artefact, pixels)
    assert after is not None
    return [*findings, *gate.metric_parity(case.fid, after, limit)], after


def larger_sides(recipe: Recipe) -> tuple[int, int]:
    """Sides that a network was not trained on, and not the same."""
    return 2 * recipe.shape[1], recipe.shape[2] + onnx.sides(recipe)


def margins(images: Array, high: int, wide: int) -> list[tuple[int, int]]:
    """What to add to images (N, C, H, W) on each side of each axis."""
    return [(0, 0), (0, 0), (0, high - images.shape[2]), (0, wide - images.shape[3])]


def bank(trained: Artifact, artefacts: list[Shipped], export: Export, judge: Judge, threads: int) -> bytes:
    """A few inputs and what every graph answers to them, for whoever gets the folder to compare with.

    Latents are those of the seeds from 0 on, under labels in turn, so a server can be asked for the same by seed.
    """
    recipe, n = trained.recipe, min(BANK, export.max_batch_size)
    if any(i.is_data for i in recipe.inputs):
        rows = recipe.pinned(n, gate.PINNED_SEED, judge.real)
    else:
        labels = {i.name: np.arange(n) % i.size for i in recipe.inputs if i.prior == "label"}
        rows = latents.draw(triton.described(recipe), np.arange(n), labels)
    answers = {a.file: gate.onnx_runner(a.model, threads)(taken(rows, a.pixels)) for a in artefacts}
    named = {f"{kind}/{name}": v for kind, of in (("input", rows), ("output", answers)) for name, v in of.items()}
    return save({name: np.ascontiguousarray(value) for name, value in named.items()})


def samples_of(runner: gate.Runner, trained: Artifact, judge: Judge, pixels: bool) -> torch.Tensor:
    """Many samples of a runner on pinned inputs, as 8-bit images where they are images, in model space."""
    inputs = taken(trained.recipe.pinned(judge.samples, judge.seed, judge.real), pixels)
    pieces = [runner(gate.rows(inputs, slice(k, k + BATCH))) for k in range(0, judge.samples, BATCH)]
    out: Array = np.concatenate(pieces)
    if trained.recipe.is_image and out.dtype != np.uint8:
        out = to_uint8(out)
    return judge.to_model(torch.from_numpy(out))


def engines(
    role: str, artefacts: list[Shipped], trained: Artifact, folder: Path, export: Export
) -> Iterator[Mapping[str, Any]]:
    """An engine for every graph of a declared precision and every declared compute capability."""
    flavour = export.engines.flavour
    if flavour == "none":
        return
    trt = engine.library(flavour)
    for target in engine.targets(trt, export.engines.targets):
        for a in (a for a in artefacts if a.precision in export.engines.precisions):
            wanted = engine.Wanted(trained.recipe, a.precision, a.pixels, export.max_batch_size)
            file = f"engines/{role}-{wanted.form}-{flavour}-sm{target}-{a.precision}.engine"
            files.write(folder / file, engine.build(trt, a.model, wanted, target))
            yield {
                "file": file,
                "graph": a.file,
                "graph_sha256": files.digest(a.model),
                "library": f"{flavour} {trt.__version__}",
                "compute_capability": target,
                "precision": a.precision,
                "run_here": False,
            }


def versions() -> dict[str, str]:
    """Of the libraries that wrote the artefacts."""
    return {name: metadata.version(name).split("+")[0] for name in ("torch", "onnx", "onnxscript", "onnxruntime-gpu")}


def checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """The sha256 and size of every file of a folder."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): {"sha256": files.file_digest(p), "bytes": p.stat().st_size} for p in found}
