"""Millions of pictures in shards: time and memory to prepare them and to read them in the order of a run.

``python -m benchmarks.shards WORK --counts 1000000 10000000`` writes synthetic grey pictures of 8x8 pixels as one .npy
file, declares them with a ``store``, prepares them (``stages.prepare_images``), and takes batches of 64 from them in
processes of their own: some in a row, and one far inside the run, which must be the one that the run had. Writes
``benchmarks/results/shards.json`` and the page beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.forecast import made
from benchmarks.machine import kept
from gan_core.data.batches import Batches
from gan_core.data.packed import ArrayWriter
from gan_core.data.prepared import Prepared
from gan_core.forecast.measure import ROOT, environment
from gan_core.runtime import files

RESULTS = ROOT / "benchmarks/results/shards.json"
SIDE, BATCH, READ = 8, 64, 4_000
AT_ONCE = 1 << 16


def declared(work: Path, count: int) -> Path:
    """A project with so many pictures, none prepared."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with ArrayWriter(work / "pictures.npy", (count, SIDE, SIDE), np.uint8) as writer:
        for k in range(0, count, AT_ONCE):
            writer.append(rng.integers(0, 256, (min(AT_ONCE, count - k), SIDE, SIDE), np.uint8))
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["threads"] = 1
    images = {"path": "pictures.npy", "labels": False, "heldout": 0.01, "size": SIDE, "channels": 1, "fit": "exact"}
    images |= {"background": 0, "on_bad_image": "error", "store": (work / "store").as_uri()}
    tree |= {"datasets": {}, "images": {"many": images}, "runs": {}}
    (work / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    return work


def read(folder: Path, first: int, count: int) -> dict[str, Any]:
    """Some batches: seconds, the most memory, and the digest of the last."""
    begun = time.perf_counter()
    batches = Batches(Prepared(folder), BATCH, 0)
    opened = time.perf_counter()
    for i in range(first, first + count):
        x = batches.at(i).x
    seconds = time.perf_counter() - opened
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "opened": opened - begun,
        "seconds": seconds,
        "memory": memory,
        "digest": files.digest(x.numpy().tobytes()),
    }


def reading(work: Path, first: int, count: int) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.shards", str(work), "--read", str(first), str(count)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def measured(work: Path, count: int) -> dict[str, Any]:
    """Prepare them, read some batches, and the last of these in a process that begins with it."""
    declared(work, count)
    load = os.getloadavg()[0]
    seconds, memory = made([sys.executable, "-m", "stages.prepare_images", "many"], work)
    row: dict[str, Any] = {"load": load, "prepare": float(seconds[0]), "prepare_memory": memory}
    row["shards"] = len([*(work / "store").iterdir()])
    row["kept"] = sum(p.stat().st_size for p in (work / "data/prepared/many").iterdir())
    row |= reading(work, 0, READ)
    row["resumed"] = reading(work, READ - 1, 1)
    if row["resumed"]["digest"] != row["digest"]:
        raise SystemExit(f"batch {READ - 1:,} of {count:,} pictures is another one where a process begins with it")
    return row


def page(result: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "# Millions of pictures in shards",
        "",
        "`python -m benchmarks.shards WORK`: " + (__doc__ or "").split(": ", 1)[1],
    ]
    lines += ["{cpu}, {cores} cores, {threads} threads, Python {python}, {date}.".format(**result["machine"]), ""]
    lines += ["| pictures | shards | prepare | its memory | kept here | a batch of 64 | memory of reading | load |"]
    lines += ["|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for count, row in sorted(result["comparisons"].items(), key=lambda item: int(item[0])):
        cells = [
            f"{int(count):,}",
            str(row["shards"]),
            f"{row['prepare']:.0f} s",
            f"{row['prepare_memory'] / 1e9:.2f} GB",
            f"{row['kept'] / 1e6:.0f} MB",
            f"{1000 * row['seconds'] / READ:.2f} ms",
            f"{row['memory'] / 1e9:.2f} GB",
            f"{row['load']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path)
    asked.add_argument("--counts", type=int, nargs="+", default=[1_000_000, 10_000_000])
    asked.add_argument("--read", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = asked.parse_args()
    if arguments.read:
        print(json.dumps(read(arguments.work / "data/prepared/many", *arguments.read)))
        return
    for count in arguments.counts:
        kept(RESULTS, page, measured(arguments.work.absolute(), count), str(count))
    print(RESULTS.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
