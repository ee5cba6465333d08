"""A run's tables and samples over time as TensorBoard's event files: finished, or as of the last saved state.

Only points that are not there yet are written, so a second call adds nothing and a running training can be followed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from PIL import Image

from gan_core.report import pictures
from gan_core.report.facts import Row, rows
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure

if TYPE_CHECKING:
    from numpy.typing import NDArray

Point: TypeAlias = tuple[str, int]
"""A tag and a step."""
SNAPSHOTS = Path("monitor/snapshots.safetensors")
"""Within a run's model."""
NOT_INSTALLED = "TensorBoard is not installed; `pip install --constraint constraints.txt tensorboard` brings it"


@dataclass(frozen=True)
class Recorded:
    """What a run has recorded: its tables by name, samples by ``<step>.<role>``, and when it was written (seconds)."""

    tables: Mapping[str, Sequence[Row]]
    samples: Mapping[str, NDArray[Any]]
    written: float

    @property
    def numbers(self) -> dict[Point, float]:
        """Every figure of the tables."""
        return {
            (f"{table}/{name}", int(row["step"])): value
            for table, rows_of in self.tables.items()
            for row in rows_of
            for name, value in row.items()
            if name != "step"
        }

    @property
    def images(self) -> dict[Point, NDArray[Any]]:
        """Samples of each role as images (N, H, W, C); points are none."""
        split = {name: name.partition(".") for name in self.samples}
        return {
            (f"samples/{role}", int(step)): self.samples[name]
            for name, (step, _, role) in split.items()
            if self.samples[name].ndim == 4
        }


def recorded(report: Path, model: Path, state: Path) -> Recorded | None:
    """The newer of what a run ended with and of what its training has saved; None, if there is neither."""
    found = [r for r in (of_finished(report, model), of_training(state)) if r is not None]
    return max(found, key=lambda r: r.written, default=None)


def of_finished(report: Path, model: Path) -> Recorded | None:
    """From the tables that a finished training leaves."""
    tables, snapshots = {name: report / f"{name}.csv" for name in ("loss", "progress")}, model / SNAPSHOTS
    if not all(path.is_file() for path in (*tables.values(), snapshots)):
        return None
    try:
        samples = safetensors.numpy.load(snapshots.read_bytes())
    except safetensors.SafetensorError as error:
        raise DataError(f"{snapshots} cannot be read ({error}); run `dvc repro` to make it") from None
    written = max(path.stat().st_mtime for path in tables.values())
    return Recorded({name: rows(path) for name, path in tables.items()}, samples, written)


def of_training(state: Path) -> Recorded | None:
    """From the newest intact state of a run; only read, as its training may be going on."""
    for written, path in sorted(states(state), reverse=True):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # the training has replaced it meanwhile
            continue
        if files.digest(content[64:]).encode() == content[:64]:
            import torch

            payload = torch.load(io.BytesIO(content[64:]), map_location="cpu", weights_only=True)
            monitor = payload["callback"]
            samples = {name: x.numpy() for name, x in monitor["snapshots"].items()}
            return Recorded({"loss": payload["history"], "progress": monitor["figures"]}, samples, written)
    return None


def states(root: Path) -> Iterator[tuple[float, Path]]:
    """When each saved state of a run was written, of those in the format that is read, and its file."""
    from gan_core.training.checkpoint import FORMAT, NAME

    for facts in root.glob("*/facts.json"):
        if files.read_json(facts).get("state_format") == str(FORMAT):
            for path in (p for p in facts.parent.iterdir() if NAME.fullmatch(p.name)):
                with suppress(FileNotFoundError):
                    yield path.stat().st_mtime, path


def write(found: Recorded, folder: Path) -> int:
    """Write what is not in a folder of event files yet; how many points that were.

    What is there and is another run's, or an earlier one's, is removed first.

    Raises:
        EnvironmentFailure: TensorBoard is not installed.
    """
    try:
        from tensorboard.backend.event_processing import event_accumulator
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise EnvironmentFailure(NOT_INSTALLED) from None
    numbers, images = found.numbers, found.images
    there: dict[Point, float | None] = {}
    if folder.is_dir():
        read = event_accumulator.EventAccumulator(str(folder), {"scalars": 0, "images": 0}).Reload()
        there |= {(tag, e.step): None for tag in read.Tags()["images"] for e in read.Images(tag)}
        there |= {(tag, e.step): e.value for tag in read.Tags()["scalars"] for e in read.Scalars(tag)}
    recorded_too = {**dict.fromkeys(images), **{point: float(np.float32(value)) for point, value in numbers.items()}}
    if not there.items() <= recorded_too.items():
        clear(folder)
        there = {}
    new = sorted((numbers.keys() | images.keys()) - there.keys(), key=lambda point: point[1])
    if new:
        with SummaryWriter(str(folder)) as writer:
            for tag, step in new:
                if (tag, step) in numbers:
                    writer.add_scalar(tag, numbers[tag, step], step, found.written)
                else:
                    with Image.open(io.BytesIO(pictures.grid(images[tag, step]))) as sheet:
                        shown = np.asarray(sheet.convert("RGBA" if sheet.has_transparency_data else "RGB"))
                    writer.add_image(tag, shown, step, found.written, dataformats="HWC")
    return len(new)


def clear(folder: Path) -> None:
    """Remove the event files of a folder, and nothing else."""
    for path in folder.glob("events.out.tfevents.*"):
        path.unlink()
