"""One offline page about all runs, and the same in a few lines for a terminal. Reads what the stages wrote."""

from __future__ import annotations

import csv
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from gan_core import files

HEADLINE = (
    "fid",
    "kid",
    "precision",
    "recall",
    "coverage",
    "recognised",
    "label_accuracy",
    "modes",
    "high_quality",
    "reverse_kl",
)
COLOURS = ("#3366cc", "#cc3344", "#2a9d5c", "#b8860b", "#7b3fa0", "#555555")


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
            losses = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        return Facts(name, metrics, manifest, losses, (report / "samples.png").read_bytes())

    @property
    def headline(self) -> dict[str, float]:
        """The figures worth a first look."""
        return {k: self.metrics[k] for k in HEADLINE if k in self.metrics}

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
        """The largest difference from the trained network that the gate saw in a float output."""
        return max(float(m) for _, check, m, _ in self.checks if check.startswith("max abs error"))

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
        metric = ", ".join(f"{k} {v:.3g}" for k, v in list(run.headline.items())[:1] + _telling(run))
        lines.append((run.name, metric, f"{run.worst_error:.1e}", run.artefacts))
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    rows = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([rows[0], "-" * len(rows[0]), *rows[1:], "", f"report: {report}"])


def _telling(run: Facts) -> list[tuple[str, float]]:
    """The figure that says most beside FID."""
    return [(k, run.headline[k]) for k in ("recognised", "label_accuracy", "modes") if k in run.headline]


STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--soft); white-space: nowrap; }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.pair > * { flex: 1 1 20rem; min-width: 0; }
img { width: 100%; max-width: 28rem; image-rendering: pixelated; border: 1px solid var(--line); }
svg { width: 100%; height: auto; } details { margin: .6rem 0; } small { opacity: .75; }
@media print { details > * { display: block; } h2 { break-before: page; } }
"""


def html(runs: Sequence[Facts]) -> str:
    """The page: a table of all runs, then each with samples, losses, figures, and what the gate measured."""
    columns = [k for k in HEADLINE if any(k in r.metrics for r in runs)]
    overview = table(
        ("run", "data", *columns, "parity"),
        [
            (r.name, r.manifest["dataset"], *(number(r.metrics.get(c)) for c in columns), number(r.worst_error))
            for r in runs
        ],
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><title>GAN Foundry report</title>"
        f"<style>{STYLE}</style><h1>GAN Foundry report</h1>{overview}{''.join(map(section, runs))}</html>\n"
    )


def section(run: Facts) -> str:
    """One run."""
    protocol = run.metrics["protocol"]
    figures = table(("measure", "value"), [(k, number(v)) for k, v in run.metrics.items() if k != "protocol"])
    picture = f"<img alt='samples of {escape(run.name)}' src='data:image/png;base64,{b64encode(run.picture).decode()}'>"
    gate = table(("file", "check", "measured", "allowed"), [(f, c, number(m), number(a)) for f, c, m, a in run.checks])
    how = table(("protocol", ""), [(k, number(v)) for k, v in protocol.items()])
    where = table(
        ("file", "bytes", "sha256"),
        [(n, f"{v['bytes']:,}", v["sha256"][:16]) for n, v in run.manifest["files"].items()],
    )
    return (
        f"<h2>{escape(run.name)}</h2>"
        f"<div class='pair'><div>{picture}</div><div>{curves(run.losses)}{figures}</div></div>"
        f"<details><summary>How it was measured</summary>{how}</details>"
        f"<details><summary>What the gate checked</summary>{gate}</details>"
        f"<details><summary>What was shipped</summary>{where}</details>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table that scrolls sideways where it must."""
    head = "".join(f"<th>{escape(h)}</th>" for h in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>"


def number(value: Any) -> str:
    """Four digits for a number, a dash for nothing."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def curves(losses: Sequence[dict[str, float]], width: int = 640, height: int = 240) -> str:
    """The terms of the losses over the steps, as inline SVG."""
    names = [name for name in losses[0] if name != "step"]
    low = min(row[name] for row in losses for name in names)
    high = max(row[name] for row in losses for name in names)
    span, last = (high - low) or 1.0, losses[-1]["step"]

    def at(row: dict[str, float], name: str) -> str:
        return f"{row['step'] / last * width:.1f},{height - (row[name] - low) / span * height:.1f}"

    lines, legend = "", ""
    for k, name in enumerate(names):
        colour = COLOURS[k % len(COLOURS)]
        points = " ".join(at(row, name) for row in losses)
        lines += f"<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{points}'/>"
        legend += f"<span style='color:{colour}'>■</span> {escape(name)} "
    frame = f"<rect width='{width}' height='{height}' fill='none' stroke='#8886'/>"
    svg = f"<svg viewBox='-2 -2 {width + 4} {height + 4}' role='img' aria-label='losses'>{frame}{lines}</svg>"
    return f"{svg}<small>{legend} from {low:.3g} to {high:.3g}, over {last:.0f} steps</small>"
