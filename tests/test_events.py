"""``gan tensorboard``, read back with TensorBoard's own reader: the same steps and values, each once."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gan_core.report import events
from gan_core.report.facts import rows
from gan_core.runtime.errors import EnvironmentFailure
from gan_core.training.snapshots import read_snapshots
from tests.chaos import children
from tests.conftest import SMALL, Workspace
from tests.test_pipeline import copy_of, prepared_only, steps_saved, training


def read(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, list[tuple[int, bytes]]]]:
    """Every point of a folder of event files: numbers and pictures by tag, in the order of their steps."""
    found = EventAccumulator(str(folder), {"scalars": 0, "images": 0}).Reload()
    numbers = {tag: sorted((e.step, e.value) for e in found.Scalars(tag)) for tag in found.Tags()["scalars"]}
    shown = {tag: [(e.step, e.encoded_image_string) for e in found.Images(tag)] for tag in found.Tags()["images"]}
    return numbers, shown


def tables(folder: Path, run: str) -> dict[str, list[tuple[int, float]]]:
    """What the tables of a run say, as event files keep it."""
    found: dict[str, list[tuple[int, float]]] = {}
    for table in ("loss", "progress"):
        for row in rows(folder / "reports" / run / f"{table}.csv"):
            for name in row.keys() - {"step"}:
                found.setdefault(f"{table}/{name}", []).append((int(row["step"]), float(np.float32(row[name]))))
    return found


def test_every_run_s_tables_and_samples_are_there_and_a_second_time_nothing_is_added(
    built: Workspace, tmp_path: Path
) -> None:
    made = copy_of(built, tmp_path)
    for new in (True, False):
        done = made.run("gan", "tensorboard", "--out", "e")
        assert done.returncode == 0, done.stderr
        assert (", gan 0" in done.stdout or ": gan 0" in done.stdout) is not new
        for run in SMALL["runs"]:
            numbers, shown = read(tmp_path / "e" / run)
            assert numbers == tables(tmp_path, run)
            snapshots = read_snapshots(tmp_path / "models" / run / "monitor/snapshots.safetensors")
            images = any(x.dim() == 4 for drawn in snapshots.values() for x in drawn)
            assert bool(shown) == images, run
            assert all([step for step, _ in of_tag] == sorted(snapshots) for of_tag in shown.values())
    (of_gan,) = read(tmp_path / "e/gan")[1].values()
    assert Image.open(io.BytesIO(of_gan[0][1])).size[0] > 8 * 4


def test_a_training_is_followed_from_what_it_has_saved(built: Workspace, tmp_path: Path) -> None:
    """Stopped in the middle and finished, it has the points of a training that nobody followed."""
    made = prepared_only(built, tmp_path)
    process = training(made, "gan")
    os.kill(children(process.pid)[0], signal.SIGKILL)
    assert process.wait(60) != 0
    done = made.run("gan", "tensorboard", "gan")
    assert done.returncode == 0, done.stderr
    saved = steps_saved(tmp_path, "gan")
    numbers, _ = read(tmp_path / "events/gan")
    assert 0 < saved < SMALL["runs"]["gan"]["train"]["steps"]
    assert {tag: points[-1][0] for tag, points in numbers.items()} == dict.fromkeys(numbers, saved)
    assert made.run("dvc", "repro", "train@gan").returncode == 0
    assert made.run("gan", "tensorboard", "gan").returncode == 0
    files = sorted((tmp_path / "events/gan").iterdir())
    assert len(files) == 2, "what was there stays, and what is new stands beside it"
    assert read(tmp_path / "events/gan")[0] == tables(built.folder, "gan")


def test_points_of_an_earlier_run_of_that_name_are_removed_and_files_of_others_are_not(tmp_path: Path) -> None:
    first = recorded({"loss": [{"step": 5, "a": 1.0}, {"step": 10, "a": 2.0}]})
    assert events.write(first, tmp_path / "x") == 2
    (tmp_path / "x/notes.txt").write_text("mine")
    for later in ([{"step": 5, "a": 1.0}, {"step": 10, "a": 3.0}], [{"step": 5, "a": 1.0}]):
        assert events.write(recorded({"loss": later}), tmp_path / "x") == len(later)
        assert read(tmp_path / "x")[0] == {"loss/a": [(row["step"], row["a"]) for row in later]}
    assert (tmp_path / "x/notes.txt").read_text() == "mine"


def test_only_whole_states_of_this_format_are_read(built: Workspace, tmp_path: Path) -> None:
    made = copy_of(built, tmp_path)
    (state,) = (tmp_path / ".state/gan").glob("*/step-*")
    assert events.of_training(tmp_path / ".state/gan") is not None
    whole = state.read_bytes()
    state.write_bytes(whole[:-1])
    assert events.of_training(tmp_path / ".state/gan") is None
    state.write_bytes(whole)
    facts = state.parent / "facts.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"state_format": "1"}))
    assert events.of_training(tmp_path / ".state/gan") is None
    assert state.read_bytes() == whole, "it is only read"
    made.declare({"runs.other": SMALL["runs"]["gan"]})
    done = made.run("gan", "tensorboard", "other")
    assert (done.returncode, done.stderr) == (3, "error: nothing is recorded yet of other; `dvc repro` trains\n")


def test_without_tensorboard_it_says_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing", None)
    with pytest.raises(EnvironmentFailure, match=r"TensorBoard is not installed; `pip install .*tensorboard`"):
        events.write(recorded({}), tmp_path)


def recorded(tables: dict[str, Any]) -> events.Recorded:
    return events.Recorded(tables, {}, 0.0)
