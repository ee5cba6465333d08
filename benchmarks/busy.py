"""Training beside others: what a busy neighbour costs, and two runs at once beside one after the other.

``python -m benchmarks.busy WORK`` trains the declared run ``gan`` (an MLP on 8x8 digits) for 2,000 steps by its stage,
as DVC starts it, beside processes that only compute, and several of it at once; three times each, the median counts.
With one thread, as the project declares, and with two. Weights are the same in every column. Writes
``benchmarks/results/busy.json`` and the page beside it.

The bars were written before anything was measured: beside one neighbour a run takes at most 2.5 times its time alone,
beside three at most 5 times; two runs at once have at least 0.9 of the throughput of one after the other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.machine import described
from gan_core.forecast.measure import ROOT, environment
from gan_core.runtime import files

RESULTS = ROOT / "benchmarks/results/busy.json"
RUN, STEPS, TIMES = "gan", 2_000, 3
CASES = {
    "alone": (1, 0),
    "one neighbour": (1, 1),
    "three neighbours": (1, 3),
    "two at once": (2, 0),
}
"""How many of the run at once, beside how many neighbours."""
NEIGHBOUR = "while True: pass"


def prepare(work: Path, threads: int) -> Path:
    """A project with the run and its prepared data."""
    folder = work / f"threads-{threads}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    run = tree["runs"][RUN]
    tree |= {"threads": threads, "runs": {RUN: run | {"train": {"steps": STEPS}}}}
    files.write(folder / "params.yaml", yaml.safe_dump(tree, sort_keys=False).encode())
    subprocess.run([sys.executable, "-m", "stages.prepare", run["dataset"]], cwd=folder, env=environment(), check=True)
    return folder


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that only compute."""
    others = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def seconds(project: Path, at_once: int) -> tuple[float, set[str]]:
    """How long so many of the run take at once, each in a project of its own, and the digests of their weights."""
    folders = [project.with_name(f"{project.name}-{k}") for k in range(at_once)]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(project, folder)
    command, quiet = [sys.executable, "-m", "stages.train", RUN], subprocess.DEVNULL
    begun = time.perf_counter()
    running = [subprocess.Popen(command, cwd=f, env=environment(), stderr=quiet, stdout=quiet) for f in folders]
    if any(process.wait() for process in running):
        raise SystemExit(f"a run in {project} failed")
    took = time.perf_counter() - begun
    return took, {files.file_digest(f / f"models/{RUN}/generator.safetensors") for f in folders}


def measured(work: Path, threads: int) -> dict[str, Any]:
    """Every case with so many threads."""
    project, found, digests = prepare(work, threads), dict[str, Any](), set[str]()
    for case, (at_once, others) in CASES.items():
        times = []
        for _ in range(TIMES):
            with neighbours(others):
                took, seen = seconds(project, at_once)
            times.append(took)
            digests |= seen
        found[case] = median(times)
        print(f"threads {threads}, {case}: {found[case]:.1f} s", flush=True)
    return {"seconds": found, "digests": sorted(digests)}


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Beside others", "", __doc__.partition("\n\n")[2].strip(), ""]
    lines += [
        "{cpu}, {cores} cores, torch {torch}, {date}; load before: {load:.1f}; OMP_WAIT_POLICY: {waiting}.".format(
            **result["machine"], load=result["load"], waiting=result["waiting"]
        )
    ]
    lines += ["", "| threads | " + " | ".join(CASES) + " | weights |", "|---:|" + "---:|" * len(CASES) + "---|"]
    for threads, row in result["threads"].items():
        alone = row["seconds"]["alone"]
        cells = [
            f"{took:.1f} s" + ("" if case == "alone" else f" ({times(took, alone, CASES[case][0])})")
            for case, took in row["seconds"].items()
        ]
        same = "the same" if len(row["digests"]) == 1 else f"{len(row['digests'])} different"
        lines.append(f"| {threads} | {' | '.join(cells)} | {same} |")
    return "\n".join(lines) + "\n"


def times(took: float, alone: float, at_once: int) -> str:
    """Beside neighbours, how many times as long; of several at once, the throughput beside one after the other."""
    return f"{took / alone:.1f} x" if at_once == 1 else f"{at_once * alone / took:.2f} of one after the other"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path, help="a folder for the runs; what it holds is removed")
    asked.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    arguments = asked.parse_args()
    work = arguments.work.resolve()
    result: dict[str, Any] = {"machine": described(1, "cpu"), "load": os.getloadavg()[0], "threads": {}}
    result["waiting"] = os.environ.get("OMP_WAIT_POLICY", "not set")
    for threads in arguments.threads:
        result["threads"][str(threads)] = measured(work, threads)
    files.write_json(RESULTS, result)
    files.write(RESULTS.with_suffix(".md"), page(result).encode())


if __name__ == "__main__":
    main()
