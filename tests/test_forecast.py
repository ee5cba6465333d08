"""What a run is said to cost, from its own stages run on less: it grows with what is asked for, and leaves nothing."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from gan_core import __main__
from gan_core.config.load import load_params
from gan_core.config.places import WARM
from gan_core.config.schema import Params
from gan_core.data.packed import mapped
from gan_core.data.prepare_images import prepare_images
from gan_core.data.prepared import Prepared
from gan_core.forecast import extrapolate, measure, sample
from gan_core.runtime.errors import InputError
from tests.conftest import DECLARED

NETWORK = {"family": "mlp", "width": 8, "latent": 4}
TRAIN = {"steps": 4, "evaluate_every": 2, "batch_size": 8}
NOISE = {
    "path": "noise", "labels": True, "heldout": 0.4, "size": 8, "channels": 1, "fit": "crop", "background": 0,
    "on_bad_image": "error",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 200 pictures of two classes, and one run on them."""
    folder, rng = tmp_path_factory.mktemp("project"), np.random.default_rng(0)
    for k in range(200):
        path = folder / f"noise/{'ab'[k % 2]}/{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 8), np.uint8)).save(path)
    params = OmegaConf.load(DECLARED)
    params.datasets, params.images = {}, {"noise": NOISE}
    params.runs = {"tiny": {"variant": "gan", "dataset": "noise", "network": NETWORK, "train": TRAIN}}
    params.evaluate.samples, params.evaluate.resamples = 500, 20
    params.export.precisions = {"fp32": params.export.precisions.fp32}
    params.export.engines.precisions, params.export.engines.flavour = ["fp32"], "none"
    params.export.max_batch_size = 8
    OmegaConf.save(params, folder / "params.yaml")
    return folder


@pytest.fixture(scope="module")
def said(project: Path) -> tuple[measure.Measured, Params, str]:
    """What the command measures and prints where nothing is prepared; what it would be for other declarations."""
    kept: list[measure.Measured] = []
    real = measure.measure

    def spy(*arguments: Any) -> measure.Measured:
        kept.append(real(*arguments))
        return kept[-1]

    printed: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(measure, "measure", spy)
        patch.setattr("builtins.print", lambda *what, **_: printed.append(" ".join(map(str, what))))
        patch.setattr("tempfile.tempdir", str(project))
        __main__.forecast(argparse.Namespace(run="tiny", params=Path("params.yaml")))
        params = load_params()
    return kept[0], params, "\n".join(printed)


def test_every_stage_is_forecast_and_nothing_is_left(project: Path, said: tuple[measure.Measured, Params, str]) -> None:
    measured, params, printed = said
    rows = extrapolate.rows(measured, params, "tiny")
    assert [row.stage for row in rows] == ["prepare", "train", "evaluate", "export"]
    assert all(row.seconds.min() > 0 and row.memory > 50 << 20 and row.kept > 0 for row in rows)
    assert "The extractor of noise is to be trained: 800 steps." in printed
    assert "Load of the machine" in printed
    assert sorted(p.name for p in project.iterdir()) == ["noise", "params.yaml"]


def test_each_stage_grows_with_what_it_does_more_often(said: tuple[measure.Measured, Params, str]) -> None:
    """Twice the steps and what goes with them take twice as long, but for what is done once; so do evaluations."""
    measured, params, _ = said
    assert measured.train
    once = measured.train.rest("advance", "on_step_end", "save")

    def training(steps: int, **changed: int) -> Any:
        spent = replace(measured.train, updates=[2] * steps)  # type: ignore[type-var]
        train = replace(params.runs["tiny"].train, steps=steps, **changed)
        return extrapolate.training(spent, measured.every, train) - once

    many = {"evaluate_every": 200, "checkpoint_every": 200}
    assert training(steps=8_000, **many) / training(steps=4_000, **many) == pytest.approx(2, rel=0.1)
    assert (training(steps=4_000, evaluate_every=20) > 1.05 * training(steps=4_000, evaluate_every=200)).all()
    assert (training(steps=4_000, checkpoint_every=20) > training(steps=4_000, checkpoint_every=200)).all()


def test_more_samples_engines_and_extractor_steps_take_longer(said: tuple[measure.Measured, Params, str]) -> None:
    measured, params, _ = said
    assert measured.train
    assert measured.export
    few, more = measured.evaluate[0][1], replace(measured.evaluate[0][1], seconds=measured.evaluate[0][1].seconds + 1)
    large = replace(measured, index=measured.index | {"counts": {"train": 50_000, "heldout": 9_000}})
    large.evaluate = [(500, few), (1_000, more)]
    assert (extrapolate.evaluating(large, 2_000)[0] - few.seconds)[1] == pytest.approx(3)
    assert (extrapolate.evaluating(large, 1_000)[0] - few.seconds)[1] == pytest.approx(1)
    both = (("last_step", (10.0, 20.0)), ("likeness", (3.0, 6.0)))
    once = [replace(few, calls={name: np.array([[0, 0, 0, took[k]]]) for name, took in both}) for k in (0, 1)]
    large.evaluate = [
        (n, replace(s, seconds=s.seconds + t)) for n, s, t in zip((500, 1_000), once, (13, 27), strict=True)
    ]
    grown = extrapolate.evaluating(large, 5_000)[0] - few.seconds
    # eight times further; of pairs no more than 2,000 are alike or not, and the last step has 1,000 samples
    assert grown[1] == pytest.approx(27 + 1 * 8 + 3 * 2)
    export = params.export
    less = replace(export, engines=replace(export.engines, targets=export.engines.targets[:1]))
    built = np.array([[0.0, 0.0, 5.0, 5.0], [5.0, 5.0, 6.0, 6.0]])  # the first sets the library up
    spent = replace(measured.export, calls={**measured.export.calls, "build": built})
    longer, shorter = (extrapolate.exporting(spent, e, 500, 500, 64) for e in (export, less))
    assert longer - shorter == pytest.approx(2 * 2)
    slow = replace(params.extractor, min_steps=1_600)
    first, second = (extrapolate.preparing(measured, e, 2)[1] for e in (params.extractor, slow))
    assert first < second < 2.2 * first


@pytest.mark.parametrize("every", [2, 4])
def test_weights_of_the_last_step_are_apart_unless_it_alone_is_evaluated(
    every: int, tmp_path: Path, said: tuple[measure.Measured, Params, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = measure.Places(
        *map(Path, ("prepared", "extractor", "model", "model/last", "players", "report", "out", "s"))
    )

    def stage(*_: Any, **__: Any) -> measure.Spent:
        (tmp_path / "model").mkdir()
        (tmp_path / "model/generator.safetensors").touch()
        return measure.Spent(np.ones(2), 1)

    monkeypatch.setattr(measure, "stage", stage)
    params = said[1]
    once = replace(params.runs["tiny"], train=replace(params.runs["tiny"].train, steps=4, evaluate_every=every))
    less: dict[str, Any] = {"runs": {"tiny": {}}, WARM: {}}
    measure.trained(replace(params, runs={"tiny": once}), less, "tiny", places, tmp_path, print)
    assert (tmp_path / "model/last/generator.safetensors").is_file() == (every < 4)


def test_a_set_of_some_stands_for_all(
    tmp_path: Path, said: tuple[measure.Measured, Params, str], project: Path
) -> None:
    """Rows are repeated, each in its part, under its label, and as many are held out as are declared."""
    spec = replace(said[1].images["noise"], path=str(project / "noise"))
    prepare_images(spec, tmp_path / "set")
    before = {part: mapped(tmp_path / f"set/{part}.x.npy") for part in ("train", "heldout")}
    assert sample.enlarge(tmp_path / "set", 3.0, 0.25) == 1
    after = Prepared(tmp_path / "set").read()
    assert {part: len(after.raw(part)) for part in before} == {"train": 450, "heldout": 150}
    for part, rows in before.items():
        assert (after.raw(part)[len(rows)].numpy() == rows[0]).all()
        labels = after.labels(part)
        assert labels is not None
        assert labels[len(rows)] == labels[0]


def test_a_run_that_is_not_declared_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(InputError, match="no run 'tyni', only tiny"):
        __main__.forecast(argparse.Namespace(run="tyni", params=Path("params.yaml")))
