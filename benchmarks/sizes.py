"""What each stage takes as pictures grow: time, memory and what it leaves.

``python -m benchmarks.sizes WORK --name now`` makes pictures of four sizes (colours in gradients with noise, two
classes, PNG) and runs the stages of a tiny network on them (``dcgan``, width 4, batches of 16, 12 steps, two
evaluations, at most 5,000 samples measured), each as DVC starts it and with one thread. ``--tree`` names a checkout of
another version, which then runs in place of this one. A stage that takes more than 25 minutes is stopped, and one that
asks for more than 14 GB of address space fails; what comes after it is not run. Rows are kept in
``benchmarks/results/sizes.json`` and the page beside it; sizes that are there are not measured again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.machine import kept
from gan_core.forecast.child import size_of
from gan_core.forecast.measure import ROOT
from gan_core.runtime import files

RESULTS = ROOT / "benchmarks/results/sizes.json"
COUNTS = {32: 50_000, 128: 5_000, 256: 500, 1_024: 100}
"""Pictures of each side."""
MINUTES, ADDRESSES = 25, 14_000_000_000
STAGES = ("prepare_images", "train", "evaluate", "export")
KEPT = ("data", "models", "reports/run", "exported/run")
"""What each stage leaves."""
SET = {
    "path": "pictures", "labels": True, "heldout": 0.5, "channels": 3, "fit": "exact", "background": 0,
    "on_bad_image": "error",
}  # fmt: skip
TRAIN = {"steps": 12, "batch_size": 16, "evaluate_every": 6, "log_every": 6, "checkpoint_every": 6}
NETWORK = {"family": "dcgan", "width": 4, "latent": 16}


def draw(folder: Path, side: int, count: int) -> None:
    """PNG files: a gradient between two colours, along one axis for each class, with noise."""
    rng = np.random.default_rng(0)
    along = np.linspace(0, 1, side)
    for k in range(count):
        first, last = rng.integers(256, size=(2, 3))
        ramp = along[:, None, None] if k % 2 else along[None, :, None]
        x = first + (last - first) * ramp + rng.normal(0, 8, (side, side, 3))
        path = folder / f"{'ab'[k % 2]}/{k:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(path)


def project(work: Path, tree: Path, side: int) -> Path:
    """A folder with pictures of a side and their declaration in the words of that tree."""
    folder = work / f"{side}"
    if not (folder / "pictures").exists():
        draw(folder / "new", side, COUNTS[side])
        (folder / "new").rename(folder / "pictures")
    for name in (".state", "data", "models", "reports", "exported"):
        shutil.rmtree(folder / name, ignore_errors=True)
    declared = yaml.safe_load((tree / "params.yaml").read_text())
    declared["images"] = {"tiny": SET | {"size": side}}
    declared["runs"] = {"run": {"variant": "gan", "dataset": "tiny", "network": NETWORK, "train": TRAIN}}
    declared["threads"] = 1
    declared["evaluate"]["samples"] = 5_000
    (folder / "params.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return folder


def stage(name: str, folder: Path, tree: Path) -> dict[str, Any]:
    """Seconds, the most memory in bytes, and how it ended."""
    arguments = {"prepare_images": ["tiny"], "train": ["run"]}.get(name, ["run", "tiny"])
    command = ["prlimit", f"--as={ADDRESSES}", sys.executable, "-m", f"stages.{name}", *arguments]
    where = os.environ | {"PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "PASSIVE"}
    begun, load = time.perf_counter(), os.getloadavg()[0]
    with subprocess.Popen(["timeout", f"{MINUTES}m", *command], cwd=folder, env=where, stderr=subprocess.PIPE) as p:
        assert p.stderr
        said = p.stderr.read().decode(errors="replace").strip().splitlines()
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
    ended = {0: "", 124: f"more than {MINUTES} min"}.get(p.returncode, said[-1][-200:] if said else f"{p.returncode}")
    ended = "out of memory" if "allocate memory" in ended else ended
    took = time.perf_counter() - begun
    return {"seconds": took, "memory": used.ru_maxrss * 1024, "load": load, "failed": ended}


def measured(work: Path, tree: Path, side: int) -> dict[str, Any]:
    """Every stage until one fails, and what they leave."""
    folder, rows = project(work, tree, side), {}
    for name, left in zip(STAGES, KEPT, strict=True):
        rows[name] = stage(name, folder, tree)
        rows[name]["kept"] = size_of(folder / left) if (folder / left).exists() else 0
        if name == "train":
            rows[name]["state"] = size_of(folder / ".state") if (folder / ".state").exists() else 0
        print(side, name, rows[name], flush=True)
        if rows[name]["failed"]:
            break
    return rows


def cell(row: Mapping[str, Any] | None) -> str:
    """A stage in a table."""
    if row is None:
        return ""
    took = f"{row['seconds']:.0f} s, {row['memory'] >> 20:,} MiB"
    return f"{row['failed']}: {took}" if row["failed"] else f"{took}, {row['kept'] / 2**20:.1f} MiB"


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Stages as pictures grow", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += ["{cpu}, {cores} cores, {threads} threads, Python {python}, {date}.".format(**result["machine"])]
    lines += ["", "Seconds, the most memory of the process, bytes kept.", ""]
    lines += ["| pictures | version | prepare | train | evaluate | export |", "|---|---|---:|---:|---:|---:|"]
    for side, versions in sorted(result["comparisons"].items(), key=lambda item: int(item[0])):
        for version, rows in versions.items():
            cells = [cell(rows.get(name)) for name in STAGES]
            lines.append(
                f"| {COUNTS[int(side)]:,} of {int(side):,}x{int(side):,}x3 | {version} | {' | '.join(cells)} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path)
    asked.add_argument("--name", required=True, help="of the version that is measured")
    asked.add_argument("--tree", type=Path, default=ROOT)
    asked.add_argument("--sides", type=int, nargs="+", default=list(COUNTS), choices=list(COUNTS))
    arguments = asked.parse_args()
    for side in arguments.sides:
        there = files.read_json(RESULTS)["comparisons"] if RESULTS.is_file() else {}
        if arguments.name not in there.get(str(side), {}):
            rows = measured(arguments.work.absolute(), arguments.tree.absolute(), side)
            kept(RESULTS, page, rows, str(side), arguments.name)
    print(RESULTS.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
