"""From each kind of data to the first own sample, with the commands of docs/quick-start.md and nothing else.

``python -m benchmarks.first_samples WORK`` makes 600 small pictures of circles, squares and crosses (of few pictures
60) in every form that people have them in. Each kind goes through a clone of its own, with the environment of this
one: ``gan new``, ``gan check``, ``dvc repro export@mine``, ``gan sample``, ``gan verify --server onnxruntime``.
Nothing is edited but the number of steps, 200 in place of what is proposed. Rows are kept in
``benchmarks/results/first_samples.json`` and the page beside it; kinds that are there are not tried again.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.machine import kept
from gan_core.forecast.measure import ROOT
from gan_core.runtime import files

RESULTS = ROOT / "benchmarks/results/first_samples.json"
COUNT, FEW, SIDE, STEPS = 600, 60, 16, 200
KINDS = ("circle", "square", "cross")


def draw(k: int, side: int = SIDE, mode: str = "RGB", wide: int = 0) -> Image.Image:
    """A shape of a random place, size and colour."""
    rng = np.random.default_rng(k)
    wide = wide or side
    image = Image.new(mode, (4 * wide, 4 * side), (0,) * len(mode) if mode == "RGBA" else "white")
    pen, r = ImageDraw.Draw(image), side * 4 // 6 + int(rng.integers(side // 2))
    x, y = (int(rng.integers(r, 4 * n - r)) for n in (wide, side))
    colour = tuple(int(c) for c in rng.integers(0, 200, 3)) + ((255,) if mode == "RGBA" else ())
    ink: Any = colour if mode != "L" else colour[0]
    box, kind = (x - r, y - r, x + r, y + r), KINDS[k % 3]
    if kind == "circle":
        pen.ellipse(box, fill=ink)
    elif kind == "square":
        pen.rectangle(box, fill=ink)
    else:
        pen.line((*box[:2], *box[2:]), fill=ink, width=r // 2)
        pen.line((box[0], box[3], box[2], box[1]), fill=ink, width=r // 2)
    return image.resize((wide, side), Image.Resampling.BOX)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pixels(mode: str = "RGB", count: int = COUNT) -> np.ndarray:
    """All of them."""
    return np.stack([np.asarray(draw(k, mode=mode)) for k in range(count)])


def put(path: Path, content: bytes) -> None:
    """A file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def class_folders(at: Path) -> Path:
    for k in range(COUNT):
        put(at / f"pictures/{KINDS[k % 3]}/{k}.png", encoded(draw(k)))
    return at / "pictures"


def few(at: Path) -> Path:
    for k in range(FEW):
        put(at / f"pictures/{k}.png", encoded(draw(k)))
    return at / "pictures"


def zip_with_csv(at: Path) -> Path:
    rows = [["file", "label"], *([f"images/{k}.png", KINDS[k % 3]] for k in range(COUNT))]
    table = io.StringIO()
    csv.writer(table).writerows(rows)
    at.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(at / "pictures.zip", "w") as archive:
        archive.writestr("shapes/labels.csv", table.getvalue())
        for k in range(COUNT):
            archive.writestr(f"shapes/images/{k}.png", encoded(draw(k)))
    return at / "pictures.zip"


def webdataset(at: Path) -> Path:
    (at / "pictures").mkdir(parents=True)
    for part in range(2):
        with tarfile.open(at / f"pictures/{part:05}.tar", "w") as archive:
            for k in range(part, COUNT, 2):
                for name, content in ((f"{k:06}.jpg", encoded(draw(k), "JPEG")), (f"{k:06}.cls", str(k % 3).encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return at / "pictures"


def idx(at: Path) -> Path:
    grey = pixels("L")
    for name, rows in (("train", slice(0, 480)), ("t10k", slice(480, None))):
        x, y = grey[rows], (np.arange(COUNT)[rows] % 3).astype(np.uint8)
        put(at / f"pictures/{name}-images-idx3-ubyte", struct.pack(">IIII", 2051, *x.shape) + x.tobytes())
        put(at / f"pictures/{name}-labels-idx1-ubyte", struct.pack(">II", 2049, len(y)) + y.tobytes())
    return at / "pictures"


def npz(at: Path) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    x, y = pixels(), np.arange(COUNT) % 3
    np.savez(at / "pictures.npz", x_train=x[:480], y_train=y[:480], x_test=x[480:], y_test=y[480:])
    return at / "pictures.npz"


def npy(at: Path) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    np.save(at / "pictures.npy", pixels("L"))
    return at / "pictures.npy"


def parquet(at: Path) -> Path:
    import pyarrow
    import pyarrow.parquet

    at.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": encoded(draw(k)), "path": f"{k}.png"} for k in range(COUNT)]
    table = pyarrow.table({"image": images, "label": [k % 3 for k in range(COUNT)]})
    pyarrow.parquet.write_table(table, at / "pictures.parquet")
    return at / "pictures.parquet"


def stylegan(at: Path) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    labels = [[f"00000/img{k:08}.png", k % 3] for k in range(COUNT)]
    with zipfile.ZipFile(at / "pictures.zip", "w") as archive:
        for k in range(COUNT):
            archive.writestr(f"00000/img{k:08}.png", encoded(draw(k)))
        archive.writestr("dataset.json", json.dumps({"labels": labels}))
    return at / "pictures.zip"


def jsonl(at: Path) -> Path:
    rows = [{"file_name": f"{k}.png", "label": KINDS[k % 3]} for k in range(COUNT)]
    put(at / "pictures/metadata.jsonl", "\n".join(map(json.dumps, rows)).encode())
    for k in range(COUNT):
        put(at / f"pictures/{k}.png", encoded(draw(k)))
    return at / "pictures"


def avif(at: Path) -> Path:
    for k in range(COUNT):
        put(at / f"pictures/IMG_{k}.avif", encoded(draw(k), "AVIF"))
    return at / "pictures"


def deep(at: Path) -> Path:
    for k in range(COUNT):
        grey = np.asarray(draw(k, mode="L")).astype(np.uint16) * 16
        put(at / f"pictures/{k}.tif", encoded(Image.fromarray(grey), "TIFF"))
    return at / "pictures"


def wide(at: Path) -> Path:
    for k in range(COUNT):
        put(at / f"pictures/{k}.png", encoded(draw(k, 16, "RGBA", 24)))
    return at / "pictures"


def two_sizes(at: Path) -> Path:
    for k in range(COUNT):
        put(at / f"pictures/{k}.jpg", encoded(draw(k, 16 + k % 5, wide=20 + k % 7), "JPEG"))
    return at / "pictures"


def pairs(at: Path) -> Path:
    for k in range(COUNT):
        image = draw(k)
        put(at / f"pictures/photo/{k}.png", encoded(image))
        put(at / f"pictures/grey/{k}.png", encoded(image.convert("L").convert("RGB")))
    return at / "pictures"


FORMS: dict[str, Callable[[Path], Path]] = {
    "PNG, a folder a class": class_folders,
    "60 PNG in one folder": few,
    "a zip with labels in a CSV": zip_with_csv,
    "WebDataset tars": webdataset,
    "IDX, as MNIST": idx,
    "npz, as Keras": npz,
    "one npy array": npy,
    "Parquet, as on the Hugging Face hub": parquet,
    "a zip with StyleGAN's dataset.json": stylegan,
    "PNG with metadata.jsonl": jsonl,
    "AVIF of a phone": avif,
    "TIFF, grey, 12 of 16 bits": deep,
    "PNG of 24x16 with alpha": wide,
    "JPEG of mixed sizes": two_sizes,
    "two folders of equal names": pairs,
}


def tried(name: str, work: Path) -> dict[str, Any]:
    """One kind in a clone of its own: what was declared, seconds of each command, and what was said on the way."""
    clone = work / re.sub(r"\W+", "-", name)
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    source = FORMS[name](clone).relative_to(clone)
    row: dict[str, Any] = {"seconds": {}, "load": os.getloadavg()[0]}

    def run(step: str, *command: str) -> bool:
        begun = time.perf_counter()
        where = os.environ | {"PYTHONPATH": str(clone)}
        done = subprocess.run(command, cwd=clone, env=where, capture_output=True, text=True)
        row["seconds"][step] = time.perf_counter() - begun
        row["said"] = (done.stdout + done.stderr).strip()[-1500:]
        row["failed"] = step if done.returncode else ""
        return not done.returncode

    gan = (sys.executable, "-m", "gan_core")
    if run("new", *gan, "new", str(source), "--name", "mine"):
        declared = clone / "params.yaml"
        text = declared.read_text()
        run_of = text[text.index("\n  mine: # a first run") :]
        row["variant"] = re.findall(r"variant: (\w+)", run_of)[0]
        row["size"] = re.findall(r"\n  mine:.*?size: ([^#\n]+)", text, re.DOTALL)[0].strip()
        fewer = re.sub(r"steps: \d+", f"steps: {STEPS}", run_of, count=1)
        declared.write_text(text.replace(run_of, re.sub(r"evaluate_every: \d+", "evaluate_every: 100", fewer)))
        steps = (
            ("check", (*gan, "check")),
            ("repro", ("dvc", "repro", "-q", "export@mine")),
            ("sample", first_sample(gan, row["variant"], source)),
            ("verify", (*gan, "verify", "exported/mine", "--server", "onnxruntime")),
        )
        for step, command in steps:
            if not run(step, *command):
                break
    return row


def first_sample(gan: tuple[str, ...], variant: str, source: Path) -> tuple[str, ...]:
    """What shows the first sample: drawn, or translated from a picture."""
    if variant == "pix2pix":
        return (*gan, "translate", "exported/mine", f"{source}/grey", "out")
    return (*gan, "sample", "exported/mine", "--n", "16")


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    lines = ["# From each kind of data to the first own sample", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += ["{cpu}, {cores} cores, {threads} threads, Python {python}, {date}.".format(**result["machine"]), ""]
    lines += [
        "| data | `gan new` declares | `gan new` | `dvc repro` | all, minutes | load | |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for name, row in result["comparisons"].items():
        took = row["seconds"]
        declared = f"`{row['variant']}`, {row['size']}" if "variant" in row else ""
        cells = [
            name,
            declared,
            f"{took['new']:.0f} s",
            f"{took.get('repro', 0):.0f} s",
            f"{sum(took.values()) / 60:.1f}",
        ]
        cells += [f"{row['load']:.1f}", f"stopped at {row['failed']}" if row["failed"] else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path)
    arguments = asked.parse_args()
    for name in FORMS:
        if name not in (files.read_json(RESULTS)["comparisons"] if RESULTS.is_file() else {}):
            kept(RESULTS, page, tried(name, arguments.work.absolute()), name)
    print(RESULTS.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
