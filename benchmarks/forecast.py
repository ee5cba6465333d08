"""What ``gan forecast`` says of runs beside what they take.

``python -m benchmarks.forecast wgan_gp cgan`` forecasts each run, then makes it by its stages as DVC starts them, in a
folder of its own that vanishes. Rows of the runs that are named are replaced in ``benchmarks/results/forecast.json``,
and the page beside it is written. CPU time is that of all cores; the clock depends on what else the machine does.
Where a run is evaluated more than once, a forecast takes it that an earlier step's weights ship, and that ``evaluate``
looks at those of the last step too; where these ship, as of ``cycle_gan`` here, it is shorter.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from benchmarks.machine import described
from gan_core.config.checker import Checker
from gan_core.config.load import load_params
from gan_core.config.schema import Params
from gan_core.forecast import extrapolate, measure
from gan_core.forecast.child import size_of
from gan_core.runtime import files
from stages import paths


def places(run: str, dataset: str) -> measure.Places:
    """Where the stages put things."""
    return measure.Places(
        paths.prepared(dataset),
        paths.extractor(dataset),
        paths.model(run),
        paths.last(run),
        paths.players(run),
        paths.report(run),
        paths.exported(run),
        paths.STATE,
    )


def made(command: list[str], folder: Path) -> tuple[np.ndarray, int]:
    """Seconds of the clock and of all cores, and the most memory of a process, in bytes."""
    begun = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=measure.environment(), stderr=subprocess.DEVNULL) as p:
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {p.returncode}")
    return np.array([time.perf_counter() - begun, used.ru_utime + used.ru_stime]), used.ru_maxrss * 1024


def real(tree: dict[str, object], run: str, dataset: str, folder: Path) -> list[extrapolate.Row]:
    """Every stage of a run, as it is declared."""
    own = measure.alone(tree, run, dataset)
    own["export"]["engines"]["targets"] = tree["export"]["engines"]["targets"]  # type: ignore[index]
    (folder / "params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    at = places(run, dataset)
    first = "prepare_images" if own["images"] else "prepare"
    stages = (
        ("prepare", [first, dataset], (at.prepared, at.extractor)),
        ("train", ["train", run], (at.model, at.players)),
        ("evaluate", ["evaluate", run, dataset], (at.report,)),
        ("export", ["export", run, dataset], (at.exported,)),
    )
    found = []
    for stage, (name, *arguments), kept in stages:
        seconds, memory = made([sys.executable, "-m", f"stages.{name}", *arguments], folder)
        held = sum(size_of(folder / p) if (folder / p).is_dir() else (folder / p).stat().st_size for p in kept)
        found.append(extrapolate.Row(stage, seconds, memory, 0, held))
    return found


def beside(run: str, params: Params, tree: dict[str, object]) -> dict[str, Any]:
    """Every stage of a run as it is forecast and as it is, and how busy the machine was."""
    dataset, before = params.runs[run].dataset, os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        found = measure.measure(params, tree, run, places(run, dataset), Path(folder), lambda _: None)
    with TemporaryDirectory() as folder:
        truth = real(tree, run, dataset, Path(folder))
    said = {row.stage: row for row in extrapolate.rows(found, params, run)}
    rows = [{"stage": row.stage, "forecast": numbers(said[row.stage]), "real": numbers(row)} for row in truth]
    load = [before, found.load[1], os.getloadavg()[0]]
    return {"rows": rows, "steps": params.runs[run].train.steps, "took": found.seconds, "load": load}


def numbers(row: extrapolate.Row) -> dict[str, float]:
    """Seconds of the clock and of all cores, bytes of memory and of what is kept."""
    return {"clock": float(row.seconds[0]), "cpu": float(row.seconds[1]), "memory": row.memory, "kept": row.kept}


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Forecasts", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += ["{cpu}, {cores} cores, {threads} threads, Python {python}, {date}.".format(**result["machine"])]
    for run, of in result["runs"].items():
        load = ", ".join(f"{n:.1f}" for n in of["load"])
        lines += ["", f"## {run}, {of['steps']:,} steps", ""]
        lines += [f"Forecast in {of['took']:.0f} s; load of the machine before, after it, and at the end: {load}.", ""]
        lines += ["| stage | time | real | CPU time | real | memory | real | kept | real |", "|---|" + "---:|" * 8]
        lines += [line(row["stage"], row["forecast"], row["real"]) for row in of["rows"]]
        sums = [{k: sum(row[who][k] for row in of["rows"]) for k in ("clock", "cpu")} for who in ("forecast", "real")]
        most = [max(row[who]["memory"] for row in of["rows"]) for who in ("forecast", "real")]
        kept = [sum(row[who]["kept"] for row in of["rows"]) for who in ("forecast", "real")]
        both = (s | {"memory": m, "kept": k} for s, m, k in zip(sums, most, kept, strict=True))
        lines.append(line("**all**", *both))
    return "\n".join(lines) + "\n"


def line(stage: str, forecast: Mapping[str, float], real: Mapping[str, float]) -> str:
    """A row of a table."""
    cells = [f"{of[k]:.1f} s" for k in ("clock", "cpu") for of in (forecast, real)]
    cells += [extrapolate.size(of[k]) for k in ("memory", "kept") for of in (forecast, real)]
    return f"| {' | '.join([stage, *cells])} |"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("runs", nargs="+")
    asked.add_argument("--params", type=Path, default=Path("params.yaml"))
    asked.add_argument("--results", type=Path, default=measure.ROOT / "benchmarks/results/forecast.json")
    arguments = asked.parse_args()
    params, tree = load_params(arguments.params), Checker(arguments.params).parse()
    result = files.read_json(arguments.results) if arguments.results.is_file() else {"runs": {}}
    for run in arguments.runs:
        result["runs"][run] = beside(run, params, tree)
        result["machine"] = described(params.threads, "cpu")
        files.write_json(arguments.results, result)
        files.write(arguments.results.with_suffix(".md"), page(result).encode())
    print(page(result))


if __name__ == "__main__":
    main()
