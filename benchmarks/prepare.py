"""How fast and in how much memory a user's images are prepared, against a plain Pillow loop in the same run.

``python -m benchmarks.prepare`` writes ``benchmarks/results/prepare.md``. The loop opens, converts, crops and resizes
each file as any script does, keeps the arrays in a list and saves them with one ``numpy.save``; it checks nothing,
splits nothing and names nothing. Both read the same files from a warm cache, in processes of their own. Up to 4,096
images one process decodes, then one a core. Peaks are of private memory, sampled a hundred times a second.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gan_core.config import Images
from gan_core.datasets.pack import prepare_images

SIZE = 64
KINDS = {"JPEG photographs, 256x192": ("jpg", 256, 192), "PNG, 28x28 grey": ("png", 28, 28)}


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
    spec = Images(str(folder), True, 0.5, SIZE, 3, "crop", 0, "error")
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


def measured(which: str, folder: Path, out: Path) -> tuple[float, int, int]:
    """Seconds of the work, and the highest private memory of the process and of all processes, in bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.prepare", "--run", which, str(folder), str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    peaks, done = [0, 0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            each = [private(pid) for pid in tree(process.pid)]
            if each:
                peaks[:] = max(peaks[0], each[0]), max(peaks[1], sum(each))

    watcher = threading.Thread(target=watch)
    watcher.start()
    text, _ = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{which} failed on {folder}")
    return float(text.split()[-1]), peaks[0], peaks[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", nargs=3)
    parser.add_argument("--count", type=int, default=2000, help="N; 10 N are measured as well")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/prepare.md"))
    arguments = parser.parse_args()
    if arguments.run:
        which, folder, out = arguments.run
        begun = time.perf_counter()  # what is imported is imported
        {"plain": plain, "ours": ours}[which](Path(folder), Path(out))
        print(time.perf_counter() - begun)
        return
    rows, load = [], os.getloadavg()[0]
    for kind, (suffix, width, height) in KINDS.items():
        for count in (arguments.count, 10 * arguments.count):
            with tempfile.TemporaryDirectory(prefix="prepare-") as scratch:
                folder = Path(scratch) / "images"
                draw(folder, suffix, width, height, count)
                plain_s, plain_peak, _ = measured("plain", folder, Path(scratch) / "plain.npy")
                ours_s, ours_peak, all_peak = measured("ours", folder, Path(scratch) / "ours")
            rows.append(
                f"| {kind} | {count:,} | {count / plain_s:,.0f} | {count / ours_s:,.0f} | {plain_s / ours_s:.2f} "
                f"| {plain_peak >> 20} | {ours_peak >> 20} | {all_peak >> 20} |"
            )
            print(rows[-1], flush=True)
    head = (
        f"# Preparing images, to {SIZE}x{SIZE}\n\n`python -m benchmarks.prepare --count {arguments.count}`, "
        f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), Python {platform.python_version()}; "
        f"load before it began: {load:.1f}.\n\n"
        "| images | number | plain loop, images/s | prepare, images/s | ratio | plain loop, peak MiB "
        "| prepare, peak MiB | with its workers |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(head + "\n".join(rows) + f"\n\n{__doc__.split('``. ', 1)[1]}")


if __name__ == "__main__":
    main()
