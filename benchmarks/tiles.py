"""A photograph through a translator, whole and in tiles: time, memory, and what differs at the seams.

``python -m benchmarks.tiles WORK`` trains a translator for two steps (``pix2pix`` as a regression, ``resnet`` of width
32 without normalisation, pictures of 64x64), exports it, and gives `gan translate` a picture of 1,024x768 and one of
4,000x3,000, each way in a process of its own with one thread. A server (ONNX Runtime's, on both cores) gets the same in
one request to its model of tiles. Writes ``benchmarks/results/tiles.json`` and the page beside it.
"""

from __future__ import annotations

import argparse
import os
import re
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

from benchmarks.forecast import made
from benchmarks.machine import described, family
from gan_core.export.manifest import endpoints_of, manifest_of
from gan_core.forecast.measure import ROOT, environment
from gan_core.runtime import files
from gan_core.serving import client
from gan_core.serving.backends.base import Ports
from gan_core.serving.backends.onnxruntime.backend import OnnxRuntime

RESULTS = ROOT / "benchmarks/results/tiles.json"
SIDES = ((1_024, 768), (4_000, 3_000))
WAYS: Mapping[str, tuple[str, ...]] = {"whole": ("--tiles", "4096"), "tiles of 512": ("--tiles", "512")}
"""A tile of 4,096 pixels holds either picture."""


def picture(wide: int, high: int, seed: int) -> Image.Image:
    """Colours that change slowly, with grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (max(2, high // 16), max(2, wide // 16), 3), np.uint8))
    smooth = np.asarray(coarse.resize((wide, high), Image.Resampling.BICUBIC)).astype(np.int16)
    return Image.fromarray((smooth + rng.integers(-8, 9, smooth.shape)).clip(0, 255).astype(np.uint8))


def exported(work: Path) -> Path:
    """A project with a translator that takes tiles."""
    shutil.rmtree(work, ignore_errors=True)
    for k in range(120):
        for folder, turned in (("in", False), ("out", True)):
            (work / "pictures" / folder).mkdir(parents=True, exist_ok=True)
            image = np.asarray(picture(64, 64, k))
            Image.fromarray(255 - image if turned else image).save(work / f"pictures/{folder}/{k}.png")
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["threads"] = 1
    images = {"path": "pictures", "labels": False, "heldout": 0.5, "size": 64, "channels": 3, "fit": "exact"}
    images |= {"background": 0, "on_bad_image": "error", "pairs": {"source": "in", "target": "out"}}
    network = {"family": "resnet", "width": 32, "latent": 0, "norm": "none"}
    train = {"steps": 2, "batch_size": 4, "evaluate_every": 2, "instance_noise": 0.0}
    run = {"variant": "pix2pix", "dataset": "negative", "network": network, "train": train}
    tree |= {"images": {"negative": images}, "runs": {"translator": run | {"settings": {"adversarial": 0.0}}}}
    tree["export"]["engines"]["flavour"] = "none"
    tree["export"]["precisions"] = {"fp32": tree["export"]["precisions"]["fp32"]}
    tree["export"]["engines"]["precisions"] = []
    files.write(work / "params.yaml", yaml.safe_dump(tree, sort_keys=False).encode())
    for stage in (
        ("prepare_images", "negative"),
        ("train", "translator"),
        *((s, "translator", "negative") for s in ("evaluate", "export")),
    ):
        subprocess.run(
            [sys.executable, "-m", f"stages.{stage[0]}", *stage[1:]], cwd=work, env=environment(), check=True
        )
    return work / "exported/translator"


def translated(work: Path, source: Path, out: str, options: tuple[str, ...]) -> dict[str, float]:
    """Seconds and the most memory in bytes of one call."""
    command = [sys.executable, "-m", "gan_core", "translate", "exported/translator", str(source), out, *options]
    load = os.getloadavg()[0]
    seconds, memory = made(["env", "OMP_NUM_THREADS=1", *command], work)
    return {"seconds": float(seconds[0]), "memory": memory, "load": load}


def served(work: Path, source: Path) -> tuple[dict[str, float], Any]:
    """The same of a server and one request, and the picture."""
    ports, load = Ports.free(), os.getloadavg()[0]
    (endpoint,) = (e for e in endpoints_of(manifest_of(work / "exported/translator")) if e.tiles)
    with OnnxRuntime().launch([work / "exported/translator"], ports) as server, Image.open(source) as image:
        asked, begun = {endpoint.inputs[0].name: np.asarray(image)[None]}, time.perf_counter()
        url = f"http://127.0.0.1:{ports.http}"
        (out,) = client.infer(url, endpoint.name, asked, endpoint.output.name, patience=600)
        seconds = time.perf_counter() - begun
        peaks = (re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{p}/status").read_text()) for p in family(server.pid))
        memory = 1024 * sum(int(peak[1]) for peak in peaks if peak)
    return {"seconds": seconds, "memory": memory, "load": load}, out


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# Photographs in tiles", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += ["{cpu}, {cores} cores, Python {python}, {date}.".format(**result["machine"]), ""]
    lines += ["| picture | way | time | memory | pixels that differ | load |", "|---|---|---:|---:|---:|---:|"]
    for name, ways in result["pictures"].items():
        for way, row in ways.items():
            off = f"{row['off']:.4%}" if "off" in row else ""
            memory = f"{row['memory'] / 2**30:.2f} GiB"
            lines.append(f"| {name} | {way} | {row['seconds']:.1f} s | {memory} | {off} | {row['load']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path)
    work = asked.parse_args().work.absolute()
    exported(work)
    result: dict[str, Any] = {"pictures": {}, "machine": described(1, "cpu")}
    for wide, high in SIDES:
        name = f"{wide:,}x{high:,}"
        source = work / f"{wide}.png"
        picture(wide, high, 0).save(source)
        rows: dict[str, Any] = {}
        for way, options in WAYS.items():
            rows[way] = translated(work, source, f"out-{options[1]}", options)
        drawn = [np.asarray(Image.open(work / f"out-{options[1]}/{wide}.png")) for options in WAYS.values()]
        rows["server"], by_server = served(work, source)
        for way, image in (("tiles of 512", drawn[1]), ("server", by_server)):
            rows[way]["off"] = float((drawn[0] != image).mean())
        result["pictures"][name] = rows
    files.write_json(RESULTS, result)
    files.write(RESULTS.with_suffix(".md"), page(result).encode())
    print(page(result))


if __name__ == "__main__":
    main()
