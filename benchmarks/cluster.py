"""Sixteen runs on a cluster of two nodes, beside the same ones one after the other.

``python -m benchmarks.cluster WORK`` declares four variants on the points of ``ring``, a few steps each, in two copies
of this project below WORK. In one `gan cluster run --seeds 0 1 2 3 --nodes 2` makes all 16 on this machine, a CPU a
node; in the other `dvc repro` makes them one after the other. Data are prepared before. Writes
``benchmarks/results/cluster.json`` and the page beside it.

The bars were written before anything was measured: every output recorded in dvc.lock is the same, and the cluster
takes at most 0.75 of the time (on two cores; the start of Ray and the way home are in it).
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

import yaml

from benchmarks.machine import described
from gan_core.config.clean import read_lock
from gan_core.forecast.measure import ROOT
from gan_core.runtime import files

RESULTS = ROOT / "benchmarks/results/cluster.json"
VARIANTS, SEEDS, STEPS, BAR = ("gan", "f_gan", "wgan_gp", "learned_f"), (0, 1, 2, 3), 100, 0.75
SETTINGS: dict[str, dict[str, Any]] = {"f_gan": {"divergence": "squared_hellinger"}}
"""With its own, f_gan is the game of gan."""
NETWORK = {"family": "mlp", "width": 64, "latent": 4}


def project(folder: Path) -> Path:
    """A project of its own that declares the variants, its data prepared."""
    for name in ("gan_core", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "dvc.yaml", folder)
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree |= {"datasets": {"ring": tree["datasets"]["ring"]}, "images": {}}
    train = {"steps": STEPS, "evaluate_every": STEPS // 2, "checkpoint_every": STEPS // 2}
    tree["runs"] = {
        v: {
            "variant": v,
            "dataset": "ring",
            "network": {**NETWORK},
            "train": {**train},
            "settings": SETTINGS.get(v, {}),
        }
        for v in VARIANTS
    }
    tree["export"]["engines"] |= {"targets": [], "here": []}
    files.write(folder / "params.yaml", yaml.safe_dump(tree, sort_keys=False).encode())
    files.write(folder / ".dvc/config", b"[core]\n    no_scm = true\n    analytics = false\n")
    run(folder, "dvc", "repro", "--quiet", "prepare@ring")
    return folder


def run(folder: Path, *command: str) -> tuple[float, str]:
    """Seconds that a command takes in a project, and what it prints."""
    begun = time.monotonic()
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    done.check_returncode()
    return time.monotonic() - begun, done.stdout


def measure(work: Path) -> dict[str, Any]:
    """Both ways, and whether they made the same."""
    work.mkdir(parents=True, exist_ok=True)
    together, alone = (project(work / name) for name in ("cluster", "alone"))
    load = {"before": os.getloadavg()[0]}
    seeds = ("--seeds", *map(str, SEEDS))
    on_cluster, _ = run(together, "gan_core", "cluster", "run", *VARIANTS, *seeds, "--nodes", "2")
    load["between"] = os.getloadavg()[0]
    shutil.copy2(together / "params.yaml", alone / "params.yaml")
    stages = [name for name in read_lock(together) if name.startswith("export@")]
    in_turn, _ = run(alone, "dvc", "repro", "--quiet", *stages)
    load["after"] = os.getloadavg()[0]
    made, expected = ({name: stage["outs"] for name, stage in read_lock(p).items()} for p in (together, alone))
    _, table = run(together, "gan_core", "compare", "fd_coordinates", "precision_coordinates", "recall_coordinates")
    return {
        "machine": described(1, "cpu"),
        "seconds": {"cluster": on_cluster, "in_turn": in_turn},
        "load": load,
        "runs": len(stages),
        "same": made == expected,
        "compare": table,
    }


def page(found: Mapping[str, Any]) -> str:
    """The result for a person."""
    took, machine, load = found["seconds"], found["machine"], found["load"]
    share = took["cluster"] / took["in_turn"]
    verdict = "holds" if share <= BAR else "does not hold"
    loads = ", ".join(f"{when} {value:.1f}" for when, value in load.items())
    return f"""# On a cluster

{(__doc__ or "").partition("``python")[0].strip()} `python -m benchmarks.cluster WORK` writes this page.

{machine["cpu"]}, {machine["cores"]} cores, 1 thread a run, torch {machine["torch"]}; load (1 min) {loads}.

| way | seconds |
|---|---:|
| `gan cluster run`, two nodes of one CPU on this machine | {took["cluster"]:.0f} |
| `dvc repro`, one after the other | {took["in_turn"]:.0f} |

{found["runs"]} runs of {STEPS} steps. Share: {share:.2f}; the bar of {BAR} {verdict}. Every output in `dvc.lock` is
{"the same" if found["same"] else "NOT the same"}.

`gan compare`, after so few steps:

{found["compare"]}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder for two projects")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    found = measure(arguments.work.resolve())
    files.write_json(arguments.out, found)
    files.write(arguments.out.with_suffix(".md"), page(found).encode())
    print(page(found))
    if not found["same"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
