"""pix2pix on real pairs: emoji of one maker to those of the other, and emoji at half their size to the whole.

``python -m benchmarks.pairs WORK maker double enlarge step`` fetches both makers' emoji (``examples.emoji``) into WORK,
trains the runs of each comparison there by their stages, one after the other, and measures them on held-out
emoji: no skin tone of one that was trained on is among them. Started again it goes on where it was. Rows are replaced
in ``benchmarks/results/pairs.json``, and the page beside it is written.

The bars were written before anything was measured. ``maker``: the mean difference (L1) of a regression is below that
of the best single colour map, an affine map of RGB fitted to the training pairs; with a game, the perceptual distance
is below the regression's after as many steps. ``double``: a regression's PSNR is at least 1 dB above that of its
source, which is bicubic interpolation of half the size. ``enlarge``: the same bar for `srresnet`, which is given the
half and no more.

``step`` is of unpaired translation: seconds and memory of one step of ``cut`` and of ``cycle_gan``, each in a process
of its own, with the same networks; the bar is 0.6 of both.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from PIL import Image

from benchmarks.machine import kept
from benchmarks.recipes import pictures, stage
from gan_core.core.build_game import build_game
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch
from gan_core.data.prepared import Prepared
from gan_core.forecast.measure import ROOT
from gan_core.metrics.batching import in_batches
from gan_core.metrics.roles import l1
from gan_core.runtime import files
from gan_core.training.loop import advance, start
from gan_core.training.run import ExecutionConfig, Plan
from stages import paths

RESULTS = ROOT / "benchmarks/results/pairs.json"
FIGURES = ("l1", "psnr", "ssim", "perceptual_lite0")
SIDE = 64
IMAGES: dict[str, Any] = {
    "labels": False,
    "heldout": "official",
    "size": SIDE,
    "channels": 3,
    "fit": "exact",
    "background": 255,
    "on_bad_image": "error",
}
PAIRS: Mapping[str, dict[str, Any]] = {
    "maker": {"path": "pairs/maker", "pairs": {"source": "google", "target": "twitter"}},
    "double": {"path": "pairs/double", "pairs": {"source": "half", "target": "whole"}},
    "enlarge": {"path": "pictures/google", "pairs": "downscaled", "scale": 2},
}
UNET: dict[str, Any] = {"family": "unet", "width": 32, "latent": 0}
SRRESNET: dict[str, Any] = {"family": "srresnet", "width": 32, "latent": 0, "blocks": 4}
TRAIN: dict[str, Any] = {
    "batch_size": 8,
    "instance_noise": 0.0,
    "ema_half_life": 2_000,
    "steps": 3_000,
    "evaluate_every": 1_500,
    "precision": "bfloat16",
}
REGRESSION = {"adversarial": 0.0, "learning_rate": 5e-4}
RUNS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "maker": {
        "regression": REGRESSION,
        "game": {"learning_rate": 5e-4},
        "perceptual": REGRESSION | {"l1": 10.0, "perceptual": 10.0},
        "game-perceptual": {"learning_rate": 5e-4, "l1": 10.0, "perceptual": 10.0},
    },
    "double": {"regression": REGRESSION},
    "enlarge": {"regression": REGRESSION},
}
"""By comparison and run: its settings."""


def arrange(work: Path) -> None:
    """Folders of pairs: emoji that both makers have, and emoji beside what is left of them at half the size."""
    for name, make in (("maker", makers), ("double", halves)):
        if not (work / "pairs" / name).is_dir():
            with files.replacing(work / "pairs" / name) as folder:
                make(work / "pictures", folder)


def makers(emoji: Path, folder: Path) -> None:
    """Those of one name in the same part."""
    for part in ("train", "test"):
        for source in sorted((emoji / "google" / part).rglob("*.png")):
            target = emoji / "twitter" / source.relative_to(emoji / "google")
            if target.is_file():
                for kind, path in (("google", source), ("twitter", target)):
                    write(Image.open(path), folder / part / kind / source.name)


def halves(emoji: Path, folder: Path) -> None:
    """Every emoji, reduced by an antialiased filter to half its side and enlarged again."""
    for part in ("train", "test"):
        for path in sorted((emoji / "google" / part).rglob("*.png")):
            whole = Image.open(path)
            small = whole.resize((SIDE // 2, SIDE // 2), Image.Resampling.BICUBIC)
            write(whole, folder / part / "whole" / path.name)
            write(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), folder / part / "half" / path.name)


def write(image: Image.Image, path: Path) -> None:
    """As a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def declare(work: Path, comparison: str, run: str) -> None:
    """params.yaml with one run."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["images"] = {comparison: IMAGES | PAIRS[comparison]}
    network = SRRESNET if comparison == "enlarge" else UNET
    about = {"variant": "pix2pix", "dataset": comparison, "network": network, "train": TRAIN}
    tree["runs"] = {f"{comparison}-{run}": about | {"settings": RUNS[comparison][run]}}
    files.write(work / "params.yaml", yaml.safe_dump(tree, sort_keys=False).encode())


def colour_map(dataset: str) -> dict[str, float]:
    """The best affine map of RGB from training sources to their targets, measured on held-out pairs."""
    data = Prepared(paths.prepared(dataset))
    assert data.other is not None

    def flat(x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).reshape(-1, 3).double()

    sums = torch.zeros(4, 4, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    source, target = data.samples("train"), data.other.samples("train")
    for k in range(0, len(source), 256):
        a, b = flat(source[k : k + 256]), flat(target[k : k + 256])
        a = torch.cat([a, torch.ones(len(a), 1, dtype=torch.float64)], 1)
        sums[0].add_(a.T @ a), sums[1].add_(a.T @ b)
    weights = torch.linalg.solve(*sums).float()

    def error(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        mapped = torch.einsum("dc,ndhw->nchw", weights[:3], x) + weights[3][:, None, None]
        return l1(mapped.clamp(-1, 1), y)

    return {"l1": float(in_batches(error, data.samples("heldout"), data.other.samples("heldout")).mean())}


def rows(work: Path, comparison: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train and measure each run of a comparison."""
    os.chdir(work)
    for run in RUNS[comparison]:
        declare(work, comparison, run)
        name = f"{comparison}-{run}"
        if not paths.extractor(comparison).is_file():
            stage(work, ["-m", "stages.prepare_images", comparison])
        begun = time.perf_counter()
        stage(work, ["-m", "stages.train", name])
        took = time.perf_counter() - begun
        stage(work, ["-m", "stages.evaluate", name, comparison])
        found = files.read_json(paths.report(name) / "metrics.json")["roles"]["translator"]
        yield (
            run,
            {
                "figures": {k: found[k] for k in FIGURES},
                "source": {
                    k: found[k.replace("_lite0", "") + "_of_source" + "_lite0" * k.endswith("_lite0")] for k in FIGURES
                },
                "pairs": found["protocol"]["fake_count"],
                "steps": TRAIN["steps"],
                "seconds": took,
            },
        )
    if comparison == "maker":
        yield "best colour map", {"figures": colour_map(comparison)}


STEP_SIDE, STEP_WIDTH, STEPS = 128, 32, 6
GAMES: Mapping[str, tuple[str, dict[str, float]]] = {
    "cycle_gan": ("cycle_gan", {}),
    "cut": ("cut", {}),
    "FastCUT": ("cut", {"contrast": 10.0, "identity": 0.0}),
}
"""Games of which a step is measured: variant and settings."""


def step_of(variant: str, settings: Mapping[str, float]) -> tuple[float, float]:
    """Seconds of CPU time of a step on one picture, and the bytes that a process needs more than before."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = (3, STEP_SIDE, STEP_SIDE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    game = build_game(variant, NetworkSpec("resnet", STEP_WIDTH, 0, shape), settings)
    run = start(game, Plan("step", 1_000, 1, 0, 1_000, 1_000, 100.0), "cpu", ExecutionConfig(channels_last=True))
    batch = Batch(torch.rand(1, *shape) * 2 - 1, x_b=torch.rand(1, *shape) * 2 - 1)
    batch = batch.map(lambda x: x.contiguous(memory_format=torch.channels_last))
    taken = []
    for _ in range(STEPS):
        begun = time.process_time()
        advance(run, lambda _: batch)
        taken.append(time.process_time() - begun)
    return median(taken[1:]), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024.0


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """The cost of a step of each game."""
    for name, (variant, settings) in GAMES.items():
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            seconds, size = pool.submit(step_of, variant, settings).result()
        yield name, {"cpu_seconds": seconds, "bytes": size}


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Pairs", "", __doc__.partition("\n\n")[2].strip(), ""]
    lines += ["{cpu}, {cores} cores, {threads} threads, torch {torch}, {date}.".format(**result["machine"])]
    for comparison, runs in result["comparisons"].items():
        lines += ["", f"## {comparison}", ""]
        if comparison == "step":
            lines += step_table(runs)
            continue
        lines += ["| run | minutes | L1 | PSNR | SSIM | perceptual |", "|---|" + "---:|" * 5]
        for run, row in runs.items():
            lines.append(f"| {run} | {row['seconds'] / 60 if 'seconds' in row else 0:.0f} | {cells(row['figures'])} |")
        source = next(row["source"] for row in runs.values() if "source" in row)
        lines.append(f"| *the source itself* | | {cells(source)} |")
    return "\n".join(lines) + "\n"


def step_table(games: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Each game, and its share of ``cycle_gan``."""
    whole = games["cycle_gan"]
    yield f"One picture of {STEP_SIDE}x{STEP_SIDE}x3, `resnet` of width {STEP_WIDTH}."
    yield from ("", "| game | CPU time | of cycle_gan | memory | of cycle_gan |", "|---|" + "---:|" * 4)
    for name, row in games.items():
        shares = [row[key] / whole[key] for key in ("cpu_seconds", "bytes")]
        yield (
            f"| {name} | {row['cpu_seconds']:.2f} s | {shares[0]:.2f} | {row['bytes'] / (1 << 20):.0f} MiB | "
            f"{shares[1]:.2f} |"
        )


def cells(figures: Mapping[str, float]) -> str:
    """Of each figure what there is."""
    formats = ("{:.4f}", "{:.2f}", "{:.3f}", "{:.3f}")
    return " | ".join(f.format(figures[k]) if k in figures else "" for f, k in zip(formats, FIGURES, strict=True))


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path, help="a folder for pictures, runs and their states")
    asked.add_argument("comparisons", nargs="+", choices=[*RUNS, "step"])
    arguments = asked.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if set(arguments.comparisons) - {"step"}:
        pictures(work)
        arrange(work)
    for comparison in arguments.comparisons:
        for run, row in steps() if comparison == "step" else rows(work, comparison):
            kept(RESULTS, page, row, comparison, run)
            print(f"{run}: {row}", flush=True)


if __name__ == "__main__":
    main()
