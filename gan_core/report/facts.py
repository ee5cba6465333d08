"""What is known about a finished run, read from its folders. What an optional file would say is simply missing."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_core.core.lineage import IMPORTED, NOTE, of_import
from gan_core.export.manifest import manifest_of
from gan_core.metrics.record import read_figures
from gan_core.runtime import files
from gan_core.runtime.errors import DataError
from gan_core.training.history import HEALTH_FORMAT

Row = Mapping[str, float]


@dataclass(frozen=True)
class Check:
    """One check of the gate: of which file, what was measured, and what was allowed."""

    file: str
    check: str
    measured: Any
    allowed: Any


@dataclass(frozen=True)
class Graph:
    """One shipped graph: of which role, what it computes in, what its samples score, and its checks."""

    role: str
    file: str
    precision: str
    fd: float | None
    checks: Sequence[Check]

    @property
    def error(self) -> float | None:
        """The largest difference from the trained network, of a graph with a float output."""
        found = [float(c.measured) for c in self.checks if c.check.startswith("max abs error")]
        return max(found, default=None)


@dataclass(frozen=True)
class Facts:
    """One run."""

    name: str
    metrics: dict[str, Any]
    manifest: dict[str, Any]
    losses: Sequence[Row] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """PNG files by name; ``samples`` comes first."""
    health: Mapping[str, Any] | None = None
    progress: Sequence[Row] = ()

    @staticmethod
    def read(name: str, report: Path, exported: Path) -> Facts:
        """From the run's folders."""
        manifest, metrics = manifest_of(exported), read_figures(report / "metrics.json")
        found = [p for p in (report / "samples.png", *sorted((report / "pictures").glob("*.png"))) if p.is_file()]
        found.sort(key=lambda p: ("samples", "timeline", p.stem).index(p.stem))
        health = report / "health.json"
        return Facts(
            name,
            metrics,
            manifest,
            rows(report / "loss.csv"),
            {p.stem: p.read_bytes() for p in found},
            files.read_json(health, HEALTH_FORMAT) if health.is_file() else None,
            rows(report / "progress.csv"),
        )

    @property
    def measured(self) -> dict[str, dict[str, Any]]:
        """Role -> its figures with protocol and intervals, of the roles that draw samples."""
        return {role: found for role, found in self.metrics.items() if "protocol" in found}

    @property
    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Role -> the points of its curve, of the roles that are curves."""
        return {
            role: sorted((float(at.removeprefix("at ")), value) for at, value in found.items())
            for role, found in self.metrics.items()
            if "protocol" not in found
        }

    def title(self, role: str) -> str:
        """The run, and the role where it has several."""
        return f"{self.name} {role}" if len(self.measured) > 1 else self.name

    @property
    def notes(self) -> Mapping[str, Any]:
        """What its networks say of themselves."""
        notes: Mapping[str, Any] = next(iter(self.roles.values()))["provenance"]["notes"]
        return notes

    @property
    def variant(self) -> str:
        """The paper, or where it was imported from."""
        return of_import(self.notes[IMPORTED]) if IMPORTED in self.notes else str(self.notes["variant"])

    @property
    def monitored(self) -> bool:
        """Whether it was trained here, and watched meanwhile."""
        return self.health is not None and self.health["events"] is not None

    @property
    def lineage(self) -> Mapping[str, Any] | None:
        """Where its first weights came from, if it starts from another run's networks."""
        return self.notes.get(NOTE)

    @property
    def roles(self) -> dict[str, Any]:
        """What was shipped, by role."""
        return dict(self.manifest["roles"])

    @property
    def graphs(self) -> list[Graph]:
        """Every shipped graph."""
        return [
            Graph(
                role,
                file,
                str(gate.get("precision", "fp32")),
                gate.get("fd"),
                [Check(file, check, found["measured"], found["allowed"]) for check, found in gate["checks"].items()],
            )
            for role, shipped in self.roles.items()
            for file, gate in shipped["graphs"].items()
        ]

    @property
    def refused(self) -> dict[str, Sequence[str]]:
        """File -> why the gate left it out, of precisions that did not pass."""
        return {file: why for shipped in self.roles.values() for file, why in shipped.get("refused", {}).items()}

    @property
    def checks(self) -> list[Check]:
        """Every check of the gate."""
        return [check for graph in self.graphs for check in graph.checks]

    @property
    def worst_error(self) -> float:
        """The largest difference from the trained network that the gate saw in the output of a float32 graph."""
        return max(g.error for g in self.graphs if g.precision == "fp32" and g.error is not None)

    @property
    def artefacts(self) -> str:
        """What was shipped, counted."""
        names = list(self.manifest["files"])
        graphs = [file for shipped in self.roles.values() for file in shipped["graphs"]]
        engines = [n for n in names if n.endswith(".engine")]
        models = [n for n in names if n.endswith("/config.pbtxt")]
        return f"{len(graphs)} ONNX, {len(engines)} engines, {len(models)} server models"

    @property
    def alarms(self) -> list[Mapping[str, Any]]:
        """What was detected while it was trained, in order; a recovery is among it."""
        return list((self.health or {}).get("events") or ())


def read_made(runs: Mapping[str, tuple[Path, Path]]) -> tuple[list[Facts], list[str]]:
    """Facts of the runs that are measured and exported, and the names of the others; ``runs``: their folders by name.

    Raises:
        DataError: none is, or what is there is damaged.
    """
    finished = {
        n: f for n, f in runs.items() if (f[0] / "metrics.json").is_file() and (f[1] / "manifest.json").is_file()
    }
    if not finished:
        raise DataError(
            f"no declared run is finished ({', '.join(runs) or 'none is declared'}); `dvc repro` makes them"
        )
    return [Facts.read(name, *folders) for name, folders in finished.items()], [n for n in runs if n not in finished]


def figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a role, without what stands beside them: protocol, intervals, and what is told class by class."""
    return {name: value for name, value in found.items() if not isinstance(value, Mapping)}


def interval(found: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """Where a figure may well lie, if that was measured."""
    span = found.get("intervals", {}).get(name)
    return (float(span[0]), float(span[1])) if span else None


def rows(path: Path) -> list[Row]:
    """The rows of a table of numbers; empty cells are left out, and there are none of a file that is not there."""
    if not path.is_file():
        return []
    with path.open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
