"""One offline page about all runs, and the same in a few lines for a terminal. Reads what the stages wrote."""

from __future__ import annotations

import csv
import statistics
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gan_core import files

HEADLINE = ("fid", "kid", "precision", "recall", "coverage")
TELLING = (
    "translation_r2",
    "class_kept",
    "label_accuracy",
    "category_accuracy",
    "reconstruction_class_kept",
    "modes",
    "high_quality",
    "recognised",
)
"""What only some runs can be measured by; the first that there are say most."""
COLOURS = (
    "#3366cc", "#cc3344", "#2a9d5c", "#b8860b", "#7b3fa0", "#555555", "#1b9aaa", "#e07a5f", "#8ab17d", "#d4a5d9",
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What is known about one finished run."""

    name: str
    metrics: dict[str, Any]
    manifest: dict[str, Any]
    losses: list[dict[str, float]]
    picture: bytes

    @staticmethod
    def read(name: str, report: Path, exported: Path) -> Facts:
        """From the run's folders."""
        metrics, manifest = files.read_json(report / "metrics.json"), files.read_json(exported / "manifest.json")
        with (report / "loss.csv").open() as file:
            losses = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        return Facts(name, metrics, manifest, losses, (report / "samples.png").read_bytes())

    @property
    def measured(self) -> dict[str, dict[str, Any]]:
        """Role -> its figures, of the roles that draw samples."""
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
    def checks(self) -> list[tuple[str, str, Any, Any]]:
        """(file, check, measured, allowed) of every check of the gate."""
        return [
            (file, check, found["measured"], found["allowed"])
            for role in self.manifest["roles"].values()
            for file, gate in role["gate"].items()
            for check, found in gate["checks"].items()
        ]

    @property
    def worst_error(self) -> float:
        """The largest difference from the trained network that the gate saw in the output of a float32 graph."""
        return max(
            float(found["measured"])
            for role in self.manifest["roles"].values()
            for gate in role["gate"].values()
            for check, found in gate["checks"].items()
            if gate["precision"] == "fp32" and check.startswith("max abs error")
        )

    @property
    def artefacts(self) -> str:
        """What was shipped, counted."""
        names = list(self.manifest["files"])
        graphs = [n for n in names if n.endswith(".onnx") and "/" not in n]
        engines = [n for n in names if n.endswith(".engine")]
        models = [n for n in names if n.endswith("/config.pbtxt")]
        return f"{len(graphs)} ONNX, {len(engines)} engines, {len(models)} server models"


def summary(runs: Sequence[Facts], report: Path) -> str:
    """A short table for a terminal."""
    header = ("run", "metric", "parity (max abs)", "artefacts")
    lines = [header]
    for run in runs:
        for role, found in run.measured.items():
            metric = ", ".join(filter(None, (f"fid {found['fid']:.3g}", telling(found, 1))))
            lines.append((run.title(role), metric, f"{run.worst_error:.1e}", run.artefacts))
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    rows = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([rows[0], "-" * len(rows[0]), *rows[1:], "", f"report: {report}"])


def telling(figures: dict[str, Any], most: int) -> str:
    """The figures that say most beside FID."""
    return ", ".join(f"{k} {figures[k]:.3g}" for k in [k for k in TELLING if k in figures][:most])


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--soft); white-space: nowrap; }
.prose td { white-space: normal; min-width: 6rem; vertical-align: top; }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.pair > * { flex: 1 1 20rem; min-width: 0; }
img { width: 100%; max-width: 28rem; image-rendering: pixelated; border: 1px solid var(--line); }
svg { width: 100%; height: auto; } details { margin: .6rem 0; } small { opacity: .75; }
@media print { details > * { display: block; } h2 { break-before: page; } }
"""


def html(runs: Sequence[Facts], claims: Sequence[dict[str, Any]] = ()) -> str:
    """The page: all runs in a table, each with samples, losses, figures and the gate's measures; then the claims."""
    found = [(run, role, figures) for run in runs for role, figures in run.measured.items()]
    columns = [k for k in HEADLINE if any(k in figures for _, _, figures in found)]
    overview = table(
        ("run", "data", *columns, "and", "parity"),
        [
            (
                r.title(role),
                r.manifest["dataset"],
                *(number(f.get(c)) for c in columns),
                telling(f, 2).replace("_", " "),
                f"{r.worst_error:.1e}",
            )
            for r, role, f in found
        ],
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><title>GAN Foundry report</title>"
        f"<style>{STYLE}</style><h1>GAN Foundry report</h1>{overview}{''.join(map(section, runs))}{claimed(claims)}"
        "</html>\n"
    )


def section(run: Facts) -> str:
    """One run."""
    roles = run.measured
    measures = list(dict.fromkeys(k for found in roles.values() for k in found if k != "protocol"))
    figures = table(
        ("measure", *(roles if len(roles) > 1 else ("value",))),
        [(k, *(number(found.get(k)) for found in roles.values())) for k in measures],
    )
    picture = f"<img alt='samples of {escape(run.name)}' src='data:image/png;base64,{b64encode(run.picture).decode()}'>"
    gate = table(("file", "check", "measured", "allowed"), [(f, c, number(m), number(a)) for f, c, m, a in run.checks])
    keys = list(next(iter(roles.values()))["protocol"])
    left_out = [(f, "; ".join(why)) for r in run.manifest["roles"].values() for f, why in r["refused"].items()]
    gate += table(("not shipped", "why"), left_out) if left_out else ""
    how = table(("protocol", *roles), [(k, *(number(f["protocol"][k]) for f in roles.values())) for k in keys])
    learned = "".join(curve(role, points) for role, points in run.curves.items())
    where = table(
        ("file", "bytes", "sha256"),
        [(n, f"{v['bytes']:,}", v["sha256"][:16]) for n, v in run.manifest["files"].items()],
    )
    return (
        f"<h2>{escape(run.name)}</h2>"
        f"<div class='pair'><div>{picture}</div><div>{curves(run.losses)}{learned}{figures}</div></div>"
        f"<details><summary>How it was measured</summary>{how}</details>"
        f"<details><summary>What the gate checked</summary>{gate}</details>"
        f"<details><summary>What was shipped</summary>{where}</details>"
    )


def claimed(claims: Sequence[dict[str, Any]]) -> str:
    """What the papers claim and what was measured: the rows of docs/claims.json."""
    if not claims:
        return ""
    rows = []
    for claim in claims:
        names = claim["figures"][0] if claim["figures"] else {}
        found = {name: statistics.median(seed[name] for seed in claim["figures"]) for name in names}
        measured = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
        rows.append(
            (claim["id"], claim["says"], claim["bar"], measured, "holds" if claim["holds"] else "does not hold")
        )
    shown = table(("id", "claim", "bar", "measured (median of seeds)", "verdict"), rows)
    return f"<h2>What the papers claim</h2><div class='prose'>{shown}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table that scrolls sideways where it must."""
    head = "".join(f"<th>{escape(h)}</th>" for h in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def number(value: Any) -> str:
    """Three digits for a number, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def curve(role: str, points: Sequence[tuple[float, float]], width: int = 640, height: int = 160) -> str:
    """The local order alpha(v) of a learned f as inline SVG, with lines at 0 and 1."""
    first, last = points[0][0], points[-1][0]
    low, high = min(-0.5, *(y for _, y in points)), max(1.5, *(y for _, y in points))

    def down(y: float) -> str:
        return f"{(high - y) / (high - low) * height:.1f}"

    line = " ".join(f"{(x - first) / (last - first) * width:.1f},{down(y)}" for x, y in points)
    marks = "".join(f"<line x2='{width}' y1='{down(y)}' y2='{down(y)}' stroke='#8884'/>" for y in (0, 1))
    svg = (
        f"<svg viewBox='-2 -2 {width + 4} {height + 4}' role='img' aria-label='{escape(role)}'>{marks}"
        f"<polyline fill='none' stroke='{COLOURS[0]}' stroke-width='2' points='{line}'/></svg>"
    )
    return (
        f"{svg}<small>local order alpha of the learned {escape(role)} over the log-ratio v, {first:g} to {last:g}; "
        "lines at 1 (Kullback-Leibler) and 0 (its reverse)</small>"
    )


def curves(losses: Sequence[dict[str, float]], width: int = 640, height: int = 240) -> str:
    """The terms of the losses over the steps, as inline SVG."""
    names = list(dict.fromkeys(name for row in losses for name in row if name != "step"))
    low = min(value for row in losses for name, value in row.items() if name != "step")
    high = max(value for row in losses for name, value in row.items() if name != "step")
    span, last = (high - low) or 1.0, losses[-1]["step"]

    def at(row: dict[str, float], name: str) -> str:
        return f"{row['step'] / last * width:.1f},{height - (row[name] - low) / span * height:.1f}"

    lines, legend = "", ""
    for k, name in enumerate(names):
        colour = COLOURS[k % len(COLOURS)]
        points = " ".join(at(row, name) for row in losses if name in row)
        lines += f"<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{points}'/>"
        legend += f"<span style='color:{colour}'>■</span> {escape(name)} "
    frame = f"<rect width='{width}' height='{height}' fill='none' stroke='#8886'/>"
    svg = f"<svg viewBox='-2 -2 {width + 4} {height + 4}' role='img' aria-label='losses'>{frame}{lines}</svg>"
    return f"{svg}<small>{legend} from {low:.3g} to {high:.3g}, over {last:.0f} steps</small>"
