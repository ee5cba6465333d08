"""Few pictures a class, through every stage; commands where some of what is declared is not made, or the reverse."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_core.metrics.intervals import intervals
from gan_core.metrics.measure import measure
from gan_core.metrics.online import OnlineMeasure
from tests.conftest import Made, Workspace, flat_reference

IMAGES = {
    "path": "data/few", "labels": True, "heldout": 0.5, "size": 8, "channels": 3, "fit": "exact", "background": 0,
    "on_bad_image": "error",
}  # fmt: skip
RUN = {
    "variant": "cgan", "dataset": "few", "network": {"family": "mlp", "width": 8, "latent": 2},
    "train": {"steps": 4, "batch_size": 16, "log_every": 2, "evaluate_every": 2, "checkpoint_every": 2},
}  # fmt: skip

OF_RUN = [("train", "few"), ("evaluate", "few", "few"), ("export", "few", "few")]
STAGES = [("prepare_images", "few"), *OF_RUN, ("report",)]
"""One process runs them all."""
ALLOWED = {"max_abs": 1e-3, "psnr": 60, "pixels_off": 1, "pixels_far": 1, "fd_share": 1}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A run on 112 classes: 100 of one picture each, some of 2, 3 and 5, made by the stages; another is declared."""
    made = Workspace(tmp_path_factory.mktemp("few"))
    rng = np.random.default_rng(0)
    for k, count in enumerate([1] * 100 + [2] * 4 + [3] * 4 + [5] * 4):
        for j in range(count):
            path = made.folder / f"data/few/c{k:03}/{j}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    made.declare(
        {
            "threads": 1, "datasets": {}, "images": {"few": IMAGES}, "runs": {"few": RUN, "later": RUN},
            "extractor.min_steps": 10, "extractor.max_steps": 10,
            "evaluate.samples": 500, "evaluate.resamples": 20, "evaluate.min_accuracy": 0.0,
            "export.precisions": {"fp32": ALLOWED},
            "export.engines": {"flavour": "none", "targets": [], "precisions": ["fp32"], "here": []},
        }
    )  # fmt: skip
    calls = (f"{stage}.main({', '.join(map(repr, names))})" for stage, *names in STAGES)
    program = f"from stages import {', '.join(stage for stage, *_ in STAGES)}\n" + "\n".join(calls)
    done = made.run(sys.executable, "-W", "error::RuntimeWarning", "-c", program)
    assert done.returncode == 0, done.stderr
    return made


def refuse(word: str) -> Any:
    raise AssertionError(f"{word} is no number of JSON")


def test_a_picture_a_class_gets_through_every_stage(few: Workspace) -> None:
    """No figure is NaN: one that is a mean of nothing is left out."""
    texts = [p.read_text() for part in ("data", "reports", "exported") for p in (few.folder / part).rglob("*.json")]
    assert [json.loads(text, parse_constant=refuse) for text in texts]
    figures = json.loads((few.folder / "reports/few/metrics.json").read_text())["roles"]["generator"]
    assert {"fd_own", "label_accuracy", "recall_own"} <= figures.keys()
    assert not any("nan" in p.read_text() for p in (few.folder / "reports/few").glob("*.csv"))
    page = (few.folder / "report.html").read_text()
    assert "Not made yet: later (`dvc repro` makes them)." in page
    assert 'id="run-few"' in page


def test_the_summary_and_the_report_are_of_the_runs_that_are_made(few: Workspace) -> None:
    done = few.run("python", "-m", "gan_core", "summary")
    assert done.returncode == 0, done.stderr
    assert "not made yet: later" in done.stdout
    assert "FD-own" in done.stdout


def test_exports_of_a_run_that_is_renamed_are_left_out_and_named(few: Workspace, tmp_path: Path) -> None:
    """Where there is no declaration, all exports that there are are used; a folder that is named always is."""
    shutil.copytree(few.folder / "exported/few", tmp_path / "exported/few")
    shutil.copytree(few.folder / "exported/few", tmp_path / "exported/birds")
    made = Workspace.at(tmp_path)

    def deployed(*folders: str) -> tuple[int, str, set[str]]:
        command = ("-c", "from gan_core.__main__ import cli; cli()", "deploy", *folders, "--out", str(tmp_path / "d"))
        shutil.rmtree(tmp_path / "d", ignore_errors=True)
        done = few.run(sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {command[1]}", *command[2:])
        return done.returncode, done.stderr, {p.stem for p in (tmp_path / "d/kserve").glob("*")}

    assert deployed()[0] == 2, "two exports of one name"
    assert deployed("exported/few") == (0, "", {"few"})
    (made.folder / "params.yaml").write_text("runs: {few: {}, other: {}}\n")
    code, said, runs = deployed()
    assert (code, runs) == (0, {"few"})
    assert said.startswith("left out: declared no more, but still there: birds; `gan clean` lists it")
    (made.folder / "params.yaml").write_text("runs: {other: {}}\n")
    code, said, runs = deployed()
    assert (code, runs) == (3, set())
    assert "exported/ holds no finished export of a declared run" in said.splitlines()[1]
    assert deployed("exported/few") == (0, "", {"few"})
    (made.folder / "params.yaml").write_text("runs: [\n")
    assert deployed()[1].startswith("error: params.yaml cannot be read: `gan check` says where")


@pytest.mark.parametrize("alike", ["held out as trained on", "one picture"])
def test_figures_of_pictures_that_do_not_differ_are_numbers(alike: str) -> None:
    x = torch.rand(60, 1, 8, 8) * 2 - 1
    x, y = (x, x) if alike == "held out as trained on" else (k.expand(60, -1, -1, -1) for k in (x[:1], x[1:2]))
    reference, fake = flat_reference(Made(x, y)), torch.rand(60, 1, 8, 8)
    found = measure(reference, fake)
    assert np.isfinite(list(found.figures.values())).all()
    assert ("train_distance_ratio" in found.figures) == (alike == "one picture")
    online = OnlineMeasure(reference.network, x)(fake)
    assert np.isfinite(list(online.values())).all()
    assert ("spread" in online) == (alike != "one picture")


@pytest.mark.parametrize(("labels", "pairs"), [([0, 1, 2], 0), ([0, 0, 1], 1), ([0, 0, 1, 1], 2)])
def test_likeness_within_classes_is_a_figure_where_a_class_has_two(labels: list[int], pairs: int) -> None:
    """And has an interval where there are two pairs."""
    x = torch.rand(60, 1, 8, 8) * 2 - 1
    y = torch.arange(100, 160)
    y[: len(labels)] = torch.tensor(labels)
    reference = flat_reference(Made(x, torch.rand(60, 1, 8, 8), {"train": y}))
    found = reference.floor(60, labelled=True)
    assert ("ms_ssim" in found.figures) == (pairs > 0)
    assert all(np.isfinite(v) for v in found.figures.values())
    spans = intervals(reference.heldout.features, found.seen, found.figures, found.means, 20, 0)
    assert ("ms_ssim" in spans) == (pairs > 1)
    assert np.isfinite(list(spans.values())).all()
