"""How fast a user's images are prepared beside a plain Pillow loop, and what memory each stage then takes.

``python -m benchmarks.prepare speed`` and ``... memory`` each write their half of ``benchmarks/results/prepare.json``,
and the page beside it. The loop opens, converts, crops and resizes each file as any script does, keeps the arrays in a
list and saves them with one ``numpy.save``; it checks nothing, splits nothing and names nothing. Both read the same
files from a warm cache, in turns, in processes of their own; figures are medians. Peaks are of private memory (what is
mapped from a file can be dropped at any time), sampled a hundred times a second, each stage in processes of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from PIL import Image, ImageOps

ROOT = Path(__file__).parents[1]
SIZE, ROUNDS = 64, 3
KINDS = {
    "JPEG photographs, 256x192": ("jpg", 256, 192, 4_000),
    "JPEG photographs, 1600x1200": ("jpg", 1600, 1200, 300),
    "PNG, 28x28 grey": ("png", 28, 28, 10_000),
}
"""Suffix, width, height and number of files."""
STAGES = {"prepare_images": ("own",), "train": ("gan",), "evaluate": ("gan", "own"), "export": ("gan", "own")}
"""What the memory of is measured, and the arguments of each."""


def draw(folder: Path, suffix: str, width: int, height: int, count: int) -> None:
    """Smooth noise, a folder a class: files of a size as photographs have."""
    rng = np.random.default_rng(0)
    for k in range(count):
        shape = (max(height // 8, 2), max(width // 8, 2), 3)
        image = Image.fromarray(rng.integers(0, 255, shape, np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        path = folder / str(k % 10) / f"{k:06}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        (image.convert("L") if suffix == "png" else image).save(path)


def plain(folder: Path, out: Path) -> None:
    """What a script would do."""
    images = []
    for path in sorted(folder.rglob("*.*")):
        with Image.open(path) as image:
            made = ImageOps.fit(image.convert("RGB"), (SIZE, SIZE), Image.Resampling.LANCZOS)
        images.append(np.asarray(made))
    np.save(out, np.stack(images))


def ours(folder: Path, out: Path) -> None:
    """What ``prepare_images`` does before it trains the extractor."""
    from gan_core.config.schema import Images
    from gan_core.data.prepare_images import prepare_images

    spec = Images(str(folder), True, 0.5, SIZE, 3, "crop", 0, "error", None)
    prepare_images(spec, out, len(os.sched_getaffinity(0)))


def private(pid: int) -> int:
    """Bytes of memory of a process that is mapped to no file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))
    except (OSError, ValueError):
        return 0


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for child in children for p in tree(int(child)))]


def measured(command: list[str], folder: Path) -> tuple[str, int]:
    """What a command of ours said in ``folder``, and the highest private memory of all its processes, in bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, sum(private(pid) for pid in tree(process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    said, errors = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {errors}")
    return said, peak


def speeds(scratch: Path) -> Iterator[dict[str, Any]]:
    """Images a second of both, by kind of file."""
    for kind, (suffix, width, height, count) in KINDS.items():
        images = scratch / f"{suffix}-{width}"
        draw(images, suffix, width, height, count)
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for k in range(ROUNDS):
            for which, of in seconds.items():
                said, _ = measured(
                    ["benchmarks.prepare", which, str(images), str(scratch / f"{kind} {which} {k}")], ROOT
                )
                of.append(float(said))
        rates = {which: count / median(of) for which, of in seconds.items()}
        yield {"kind": kind, "count": count} | rates


def peaks(scratch: Path, count: int) -> dict[str, int]:
    """The peak of every stage on so many images of random pixels, in bytes."""
    rng = np.random.default_rng(0)
    np.save(scratch / "images.npy", rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8))
    params: Any = OmegaConf.load(ROOT / "params.yaml")
    params.datasets = {}
    params.images = {
        "own": {"path": "images.npy", "labels": False, "heldout": 0.2, "size": SIZE, "channels": 3}
        | {"fit": "exact", "background": 0, "on_bad_image": "error"}
    }
    network = {"family": "dcgan", "width": 8, "latent": 16}
    params.runs = {"gan": {"variant": "gan", "dataset": "own", "network": network, "train": {"steps": 20}}}
    params.train.evaluate_every = params.train.checkpoint_every = 10
    params.export.engines.flavour = "none"
    OmegaConf.save(params, scratch / "params.yaml")
    return {stage: measured([f"stages.{stage}", *of], scratch)[1] for stage, of in STAGES.items()}


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = [f"# Preparing images, to {SIZE}x{SIZE}", "", __doc__.split("\n\n", 1)[1].strip()]
    if speed := result.get("speed"):
        lines += ["", "{cpu}, {cores} cores, Python {python}, {date}.".format(**speed["machine"]), ""]
        lines += ["| files | number | plain loop, images/s | prepare, images/s | ratio |", "|---|---:|---:|---:|---:|"]
        for r in speed["rows"]:
            ratio = r["ours"] / r["plain"]
            lines.append(f"| {r['kind']} | {r['count']:,} | {r['plain']:,.0f} | {r['ours']:,.0f} | **{ratio:.2f}** |")
    if memory := result.get("memory"):
        few, many = memory["counts"]
        lines += ["", f"Peak of private memory, MiB; images of {SIZE}x{SIZE}x3, the run a small `gan` (dcgan):", ""]
        lines += [f"| stage | {few:,} images | {many:,} images |", "|---|---:|---:|"]
        each = [(stage, *memory["bytes"][stage]) for stage in STAGES]
        lines += [f"| {stage} | {a >> 20:,} | {b >> 20:,} |" for stage, a, b in each]
        packed = [n * SIZE * SIZE * 3 >> 20 for n in memory["counts"]]
        lines.append(f"| *the set, packed; as float32 four times as much* | {packed[0]:,} | {packed[1]:,} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    from benchmarks.machine import described
    from gan_core.runtime import files

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "memory", "plain", "ours"])
    parser.add_argument("paths", nargs="*", type=Path, help="of plain and ours: the images, and what to write")
    parser.add_argument("--count", type=int, default=2000, help="of memory: N; 10 N are measured as well")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks/results/prepare.json")
    arguments = parser.parse_args()
    if arguments.what in ("plain", "ours"):
        import_module("gan_core.data.prepare_images")  # takes a second, as every stage does
        begun = time.perf_counter()
        {"plain": plain, "ours": ours}[arguments.what](*arguments.paths)
        print(time.perf_counter() - begun)
        return
    result = files.read_json(arguments.results) if arguments.results.is_file() else {}
    with tempfile.TemporaryDirectory(prefix="prepare-") as scratch:
        if arguments.what == "speed":
            cores = len(os.sched_getaffinity(0))
            result["speed"] = {"machine": described(cores, "cpu"), "rows": list(speeds(Path(scratch)))}
        else:
            counts = [arguments.count, 10 * arguments.count]
            each = []
            for count in counts:
                (folder := Path(scratch) / str(count)).mkdir()
                each.append(peaks(folder, count))
            result["memory"] = {"counts": counts, "bytes": {stage: [of[stage] for of in each] for stage in STAGES}}
    files.write_json(arguments.results, result)
    files.write(arguments.results.with_suffix(".md"), page(result).encode())
    print(page(result))


if __name__ == "__main__":
    main()
