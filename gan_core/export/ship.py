"""Puts everything a role is deployed as into one folder, each artefact through the gate, and describes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
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
from gan_core.pictures import to_uint8

if TYPE_CHECKING:
    from gan_core.config import Export

BATCH = 256
BANK = 16
"""Rows of the bank."""


@dataclass(frozen=True)
class Judge:
    """What an artefact is fed, and how its samples are judged before and after."""

    fid: Mapping[str, Callable[[torch.Tensor], float]]
    """FID of model-space samples, by the space they are to be in; a latent has none."""
    real: Mapping[str, Array]
    """Held-out samples in model space, for inputs that are data."""
    samples: int
    seed: int
    to_model: Callable[[torch.Tensor], torch.Tensor]
    """From packed samples, the inverse of the unscaling in the graph."""


@dataclass(frozen=True)
class Shipped:
    """One ONNX file that passed: its name, its bytes, and what was found."""

    file: str
    model: bytes
    pixels: bool
    findings: list[Finding]
    fid: float | None

    @property
    def suffix(self) -> str:
        """What tells its model on a server from the float one."""
        return "_uint8" if self.pixels else ""


def ship(
    run: str, role: str, trained: Artifact, folder: Path, export: Export, judge: Judge, threads: int
) -> dict[str, Any]:
    """Write ONNX files, engines and a model repository of one role into ``folder``; returns its manifest entry.

    Raises:
        DataError: an artefact did not pass the gate; every reason is in the message.
    """
    artefacts = list(graphs(role, trained, export, judge, threads))
    refused = [f"{a.file}: {finding}" for a in artefacts for finding in a.findings if not finding.passed]
    if refused:
        raise DataError(f"the gate refuses {run}: {'; '.join(refused)}")
    provenance = {
        "run": run,
        "role": role,
        "weights_sha256": trained.sha256,
        "data_sha256": str(trained.notes["data"]),
    }
    for artefact in artefacts:
        files.write(folder / artefact.file, artefact.model)
        name = f"{run}_{role}{artefact.suffix}"
        repository = folder / "model_repository"
        triton.write(
            repository, name, artefact.model, trained.recipe, artefact.pixels, export.max_batch_size, provenance
        )
    if not any(i.is_data for i in trained.recipe.inputs):
        drawing = artefacts[-1]
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
        "max_batch_size": export.max_batch_size,
        "opset": export.opset,
        "tolerance": asdict(export.tolerance),
        "gate": {
            a.file: {
                **({} if a.fid is None else {"fid": a.fid}),
                "checks": {f.check: {"measured": f.measured, "allowed": f.allowed} for f in a.findings},
            }
            for a in artefacts
        },
        "engines": list(engines(role, artefacts, trained, folder, export)),
    }


def graphs(role: str, trained: Artifact, export: Export, judge: Judge, threads: int) -> Iterator[Shipped]:
    """The float graph and, for images, the one with uint8 pixels out, each with all its findings."""
    forms = {f"{role}.onnx": trained.network}
    if trained.recipe.is_image:
        forms[f"{role}.uint8.onnx"] = onnx.Pixels(trained.network)
    for file, network in forms.items():
        pixels = network is not trained.network
        model = onnx.export(network, trained.recipe, export.opset)
        findings, fid = judged(model, gate.torch_runner(network), trained, export, judge, threads)
        yield Shipped(file, model, pixels, findings, fid)


def judged(
    model: bytes, network: gate.Runner, trained: Artifact, export: Export, judge: Judge, threads: int
) -> tuple[list[Finding], float | None]:
    """Every finding about one graph against the network it came from, and the FID of its samples if it draws any."""
    recipe, limit, largest = trained.recipe, export.tolerance, export.max_batch_size
    artefact = gate.onnx_runner(model, threads)

    def feed(n: int) -> Mapping[str, Array]:
        return recipe.pinned(n, gate.PINNED_SEED, judge.real)

    findings = [
        *gate.lint(model, [*(i.name for i in recipe.inputs), recipe.output], export.opset),
        *gate.parity(network, artefact, feed, limit, largest),
        *gate.batch_invariance(artefact, feed, limit, largest),
    ]
    fid = judge.fid.get(recipe.gives)
    if fid is None or not all(finding.passed for finding in findings):
        return findings, None  # refused already, an FID of broken samples may not even exist
    before, after = (fid(samples_of(runner, trained, judge)) for runner in (network, artefact))
    return [*findings, *gate.metric_parity(before, after, limit)], after


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
    answers = {a.file: gate.onnx_runner(a.model, threads)(rows) for a in artefacts}
    named = {f"{kind}/{name}": v for kind, of in (("input", rows), ("output", answers)) for name, v in of.items()}
    return save({name: np.ascontiguousarray(value) for name, value in named.items()})


def samples_of(runner: gate.Runner, trained: Artifact, judge: Judge) -> torch.Tensor:
    """Many samples of a runner on pinned inputs, as 8-bit images where they are images, in model space."""
    latents = trained.recipe.pinned(judge.samples, judge.seed, judge.real)
    pieces = [runner(gate.rows(latents, slice(k, k + BATCH))) for k in range(0, judge.samples, BATCH)]
    out: Array = np.concatenate(pieces)
    if trained.recipe.is_image and out.dtype != np.uint8:
        out = to_uint8(out)
    return judge.to_model(torch.from_numpy(out))


def engines(
    role: str, artefacts: list[Shipped], trained: Artifact, folder: Path, export: Export
) -> Iterator[Mapping[str, Any]]:
    """An engine for every graph and declared compute capability, and what it was built with."""
    flavour = export.engines.flavour
    if flavour == "none":
        return
    trt = engine.library(flavour)
    capabilities: list[int | None] = (
        [None] if flavour == "tensorrt" else list(engine.targets(trt, export.engines.targets))
    )
    for artefact in artefacts:
        for target in capabilities:
            built = engine.build(trt, artefact.model, trained.recipe, export.max_batch_size, target)
            where = f"sm{target}" if target else "this-gpu"
            form = "uint8" if artefact.pixels else "float"
            file = f"engines/{role}-{form}-{flavour}-{where}-fp32.engine"
            files.write(folder / file, built)
            yield {
                "file": file,
                "library": f"{flavour} {trt.__version__}",
                "compute_capability": target,
                "precision": "fp32",
                "run_here": False,
            }


def versions() -> dict[str, str]:
    """Of the libraries that wrote the artefacts."""
    return {name: metadata.version(name).split("+")[0] for name in ("torch", "onnx", "onnxscript", "onnxruntime-gpu")}


def checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """The sha256 and size of every file of a folder."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): {"sha256": files.file_digest(p), "bytes": p.stat().st_size} for p in found}
