"""What ``gan forecast`` says of runs beside what they take: ``python -m benchmarks.forecast wgan_gp cgan``.

Each run is forecast, then made by its stages as DVC starts them, in a folder of its own that vanishes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from gan_core.config.checker import Checker
from gan_core.config.load import load_params
from gan_core.forecast import extrapolate, measure
from gan_core.forecast.child import size_of
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
    path = os.pathsep.join(filter(None, [str(measure.ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL) as p:
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


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("runs", nargs="+")
    asked.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = asked.parse_args()
    params, tree = load_params(arguments.params), Checker(arguments.params).parse()
    print("| run | stage | time | real | CPU time | real | memory | real | kept | real |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for run in arguments.runs:
        dataset = params.runs[run].dataset
        with TemporaryDirectory() as folder:
            found = measure.measure(params, tree, run, places(run, dataset), Path(folder), lambda _: None)
        with TemporaryDirectory() as folder:
            truth = real(tree, run, dataset, Path(folder))
        said = {row.stage: row for row in extrapolate.rows(found, params, run)}
        for row in truth:
            of = said[row.stage]
            cells = [run, row.stage]
            for k in (0, 1):
                cells += [f"{of.seconds[k]:.1f} s", f"{row.seconds[k]:.1f} s"]
            for a, b in ((of.memory, row.memory), (of.kept, row.kept)):
                cells += [extrapolate.size(a), extrapolate.size(b)]
            print(f"| {' | '.join(cells)} |", flush=True)
        sums = [sum(float(r.seconds[k]) for r in rows) for k in (0, 1) for rows in (said.values(), truth)]
        print(f"| {run} | all | {sums[0]:.1f} s | {sums[1]:.1f} s | {sums[2]:.1f} s | {sums[3]:.1f} s | | | | |")
        print(f"{run}: forecast in {found.seconds:.0f} s, load {found.load}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
