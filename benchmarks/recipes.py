"""Recipes side by side on real pictures: figures over the pictures that a run has seen.

``python -m benchmarks.recipes WORK few games warm`` fetches emoji (``examples.emoji``) into the folder WORK, trains the
runs of each comparison there by their stages, one after the other, and stops each at a few steps to measure its
averaged weights: FD-Lite0 and KID against held-out pictures, recall, the share of copies. Started again it goes on
where it was. Rows are replaced in ``benchmarks/results/recipes.json``, and the page beside it is written.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from benchmarks.machine import kept
from gan_core.config.load import load_params
from gan_core.core import artifact
from gan_core.data.prepared import Prepared
from gan_core.forecast.measure import ROOT, environment
from gan_core.metrics.evaluate import evaluate
from gan_core.metrics.measure import references
from gan_core.runtime import files
from gan_core.runtime.device import set_up
from gan_core.training.warm import AVERAGES
from stages import paths

RESULTS = ROOT / "benchmarks/results/recipes.json"
FIGURES = ("fd_lite0", "kid_lite0", "recall_lite0", "copied_lite0")
"""That are shown, each beside what training pictures score."""

FLAGS: dict[str, Any] = {"path": "pictures/flags", "labels": False, "heldout": 0.25, "size": 32, "fit": "pad"}
VENDOR: dict[str, Any] = {"labels": True, "heldout": "official", "fit": "exact"}
IMAGES: dict[str, dict[str, Any]] = {
    "flags": FLAGS,
    "google-32": VENDOR | {"path": "pictures/google", "size": 32, "fit": "pad"},
    "google": VENDOR | {"flip": True, "path": "pictures/google", "size": 64},
    "twitter": VENDOR | {"flip": True, "path": "pictures/twitter", "size": 64},
}
COMMON: dict[str, Any] = {"channels": 3, "background": 255, "flip": False, "on_bad_image": "error"}
MIRRORED = {"flip": True}

DCGAN = {
    "variant": "gan",
    "network": {"family": "dcgan", "width": 32, "latent": 64},
    "settings": {"r1": 0.5, "learning_rate": 0.0002},
}
R3GAN = {
    "variant": "r3gan",
    "network": {"family": "r3gan", "width": 64, "latent": 64, "blocks": 1},
    "settings": {"gamma": 0.05, "penalty_every": 4, "learning_rate": 0.0002},
}
PROJECTED: dict[str, Any] = {
    "variant": "projected_gan",
    "network": {"family": "fastgan", "width": 32, "latent": 64},
    "settings": {
        "pixels": 32,
        "conditional": True,
        "learning_rate": 0.0004,
        "discriminator_learning_rate": 0.0004,
    },
    "augment": {"policy": ["translation", "cutout"], "p": 1.0},
}
ADA = ["flip", "shift", "scale", "fractional_shift", "brightness", "contrast", "hue", "saturation", "cutout"]


def train(batch: int, half_life: int, seed: int = 0) -> dict[str, Any]:
    """What all runs of a comparison share."""
    return {"seed": seed, "batch_size": batch, "instance_noise": 0.0, "ema_half_life": half_life}


FEW = {"dataset": "flags", "train": train(32, 5_000), **DCGAN}
EARLY = train(16, 10_000) | {"precision": "bfloat16"}
ON_LITE0: dict[str, Any] = {
    "dataset": "flags",
    "train": train(16, 5_000) | {"precision": "bfloat16"},
    **PROJECTED,
    "settings": PROJECTED["settings"] | {"conditional": False},
}
RUNS: Mapping[str, Mapping[str, tuple[Mapping[str, Any], tuple[int, ...]]]] = {
    "few": {
        "without": (FEW, (125, 250, 500, 1_000)),
        "diffaugment": (
            FEW | {"augment": {"policy": ["color", "translation", "cutout"], "p": 1.0}},
            (125, 250, 500, 1_000),
        ),
        "projected-without": ({k: v for k, v in ON_LITE0.items() if k != "augment"}, (250, 500, 1_000, 2_000)),
        "projected-diffaugment": (ON_LITE0, (250, 500, 1_000, 2_000)),
        "ada": (
            FEW | {"augment": {"policy": ADA, "p": {"target": 0.6, "images": 20_000}}},
            (125, 250, 500, 1_000),
        ),
    },
    "games": {
        f"{name}-{seed}": (
            game | {"dataset": "google-32", "train": train(32, 10_000, seed) | {"precision": "bfloat16"}},
            (3_125, 6_250),
        )
        for seed in (0, 1)
        for name, game in (("gan_r1", DCGAN), ("r3gan", R3GAN))
    },
    "warm": {
        "google": (PROJECTED | {"dataset": "google", "train": EARLY}, (4_500,)),
        "twitter": (PROJECTED | {"dataset": "twitter", "train": EARLY}, (250, 500, 1_000, 1_500)),
        "twitter-warm": (
            PROJECTED | {"dataset": "twitter", "train": EARLY, "init": {"path": "players/google"}},
            (250, 500, 1_000, 1_500),
        ),
    },
}
"""By comparison and run: its declaration, and the steps at which it is measured."""


def pictures(work: Path) -> None:
    """Both vendors' emoji, and a folder of the flags of one."""
    for vendor in ("google", "twitter"):
        if not (work / "pictures" / vendor).is_dir():
            stage(work, ["-m", "examples.emoji", f"pictures/{vendor}", vendor])
    flags = work / "pictures/flags"
    if not flags.is_dir():
        with files.replacing(flags) as folder:
            for part in ("train", "test"):
                for path in sorted((work / "pictures/google" / part / "flags").iterdir()):
                    shutil.copyfile(path, folder / path.name)


def stage(work: Path, arguments: list[str]) -> None:
    """A command of this project, in the folder."""
    subprocess.run([sys.executable, *arguments], cwd=work, env=environment(), check=True)


def declare(work: Path, run: str, declared: Mapping[str, Any], steps: int, every: int) -> None:
    """params.yaml with one run that ends at a step; all else of it stays, so that it goes on where it was."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    dataset = declared["dataset"]
    how = {**declared["train"], "steps": steps, "evaluate_every": every, "checkpoint_every": 25}
    section = "warm_starts" if "init" in declared else "runs"
    tree |= {"runs": {}, "warm_starts": {}, "images": {dataset: COMMON | IMAGES[dataset]}}
    if "init" in declared:  # `check` asks for the run that it begins with
        parent, (about, _) = "google", RUNS["warm"]["google"]
        tree["runs"][parent] = deepcopy(dict(about))
        tree["images"][parent] = COMMON | IMAGES[parent]
    tree[section] = {run: dict(declared) | {"train": how}}
    files.write(work / "params.yaml", yaml.safe_dump(tree, sort_keys=False).encode())


def measured(run: str, dataset: str) -> dict[str, Any]:
    """Figures of a run's averaged weights at its last step, and what training pictures score."""
    params = load_params()
    set_up(params.threads)
    data = Prepared(paths.prepared(dataset))
    compared = references(data, artifact.load(paths.extractor(dataset)), params.evaluate, paths.FEATURES)
    networks = artifact.load_roles(paths.players(run) / AVERAGES)
    found = evaluate(networks, {}, data, compared, params.evaluate).figures["generator"]
    with (paths.report(run) / "loss.csv").open(newline="") as table:
        *_, last = csv.DictReader(table)
    return {
        "figures": {name: found[name] for name in FIGURES if name in found},
        "real": {name: found["real"][name] for name in FIGURES if name in found["real"]},
        "samples": found["protocol"]["fake_count"],
        "held_out": found["protocol"]["real_count"],
        **({"p": float(last["augment_p"])} if last.get("augment_p") else {}),
    }


def reached(run: str) -> int:
    """The step at which a run is."""
    table = paths.report(run) / "loss.csv"
    return int(table.read_text().splitlines()[-1].split(",")[0]) if table.is_file() else 0


def rows(work: Path, comparison: str, only: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train and measure each run of a comparison, point by point."""
    os.chdir(work)
    known = files.read_json(RESULTS)["comparisons"].get(comparison, {}) if RESULTS.is_file() else {}
    for run, (declared, stops) in RUNS[comparison].items():
        if only and run != only:
            continue
        for steps in stops:
            if steps <= reached(run) and str(steps * declared["train"]["batch_size"]) in known.get(run, {}):
                continue
            declare(work, run, declared, steps, stops[0])
            dataset = declared["dataset"]
            if not paths.extractor(dataset).is_file():
                stage(work, ["-m", "stages.prepare_images", dataset])
            begun = time.process_time(), time.perf_counter()
            stage(work, ["-m", "stages.train", run])
            took = time.perf_counter() - begun[1]
            row = measured(run, dataset)
            yield run, {"pictures": steps * declared["train"]["batch_size"], "seconds": took} | row


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Recipes", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += ["{cpu}, {cores} cores, {threads} threads, torch {torch}, {date}.".format(**result["machine"])]
    for comparison, runs in result["comparisons"].items():
        lines += [
            "",
            f"## {comparison}",
            "",
            "| run | pictures seen | minutes | FD-Lite0 | KID x 1,000 | recall | copied | p |",
        ]
        lines += ["|---|" + "---:|" * 7]
        for run, points in runs.items():
            minutes = 0.0
            for row in sorted(points.values(), key=lambda row: row["pictures"]):
                minutes += row["seconds"] / 60
                lines.append(
                    f"| {run} | {row['pictures']:,} | {minutes:.0f} | {cells(row['figures'])} | {row.get('p', ''):.3} |"
                )
            lines.append(f"| *real* | | | {cells(row['real'])} | |")
    return "\n".join(lines) + "\n"


def cells(figures: Mapping[str, float]) -> str:
    """Four figures; empty, where there were too few samples for one."""
    formats = ("{:.0f}", "{:.0f}", "{:.2f}", "{:.2f}")
    scaled = {**figures, "kid_lite0": 1_000 * figures["kid_lite0"]}
    return " | ".join(
        f.format(scaled[name]) if name in scaled else "" for f, name in zip(formats, FIGURES, strict=True)
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path, help="a folder for pictures, runs and their states")
    asked.add_argument("comparisons", nargs="+", choices=RUNS)
    asked.add_argument("--only", help="one run of them")
    arguments = asked.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    pictures(work)
    for comparison in arguments.comparisons:
        for run, row in rows(work, comparison, arguments.only):
            kept(RESULTS, page, row, comparison, run, str(row["pictures"]))
            print(f"{run}: {row}", flush=True)


if __name__ == "__main__":
    main()
