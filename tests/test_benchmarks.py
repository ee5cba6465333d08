"""The serving benchmark itself: what it refuses to time, what it counts, and that it runs on real artefacts."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import accelerator, drift, gpu, serve
from benchmarks.tables import markdown
from gan_core.core.network_spec import NetworkSpec
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, NumericsError
from tests.conftest import Workspace


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> serve.Subject:
    return serve.built(NetworkSpec("dcgan", 4, 8, (3, 8, 8)), tmp_path_factory.mktemp("built"))


def ways(subject: serve.Subject) -> list[serve.Way]:
    """All but those that need a server or a compiler."""
    (float_graph,) = subject.graphs()
    pixels = serve.session(subject.folder / "generator.uint8.onnx", 1)
    return [
        serve.Way("torch eager", "compute", serve.in_torch(subject, subject.network)),
        serve.Way("ONNX Runtime", "compute", serve.bound(subject, serve.session(float_graph, 1))),
        serve.Way("in process", "draw", lambda n: serve.in_process(subject, pixels, n)),
    ]


def test_every_way_is_timed_as_often_as_asked_and_set_against_torch(subject: serve.Subject) -> None:
    listed = ways(subject)
    for batch in (1, 4):
        serve.measure(listed, batch, 10)
    rows = list(serve.rows(listed, subject.flops(), 1e12))
    assert [(r["way"], r["batch"], r["calls"]) for r in rows] == [(w.name, b, 10) for b in (1, 4) for w in listed]
    assert [r["of_eager"] for r in rows if r["way"] == "torch eager"] == [1, 1]
    for r in rows:
        assert r["p50_ms"] <= r["p90_ms"] <= r["p99_ms"]


def test_what_computes_something_else_is_not_timed(subject: serve.Subject) -> None:
    listed = ways(subject)
    listed[1].prepare = lambda n: lambda: np.zeros((n, 3, 8, 8), np.float32)
    with pytest.raises(NumericsError, match="ONNX Runtime is off by"):
        serve.measure(listed, 2, 5)
    assert not listed[1].seconds.get(2)


def test_operations_are_counted(subject: serve.Subject) -> None:
    """Of width 4 to 8x8: a projection of 8 numbers, 3x3 convolutions 8 -> 4 at 8x8 and 4 -> 3 at 8x8."""
    assert subject.flops() == 2 * (8 * 8 * 4 * 4 + 9 * 64 * (8 * 4 + 4 * 3))


def test_percentiles_and_rates_are_those_of_the_calls() -> None:
    assert serve.summary([0.001] * 98 + [0.1] * 2) == pytest.approx({"p50_ms": 1, "p90_ms": 1, "p99_ms": 100})
    taken = serve.timed(lambda: time.sleep(0.002), 3)
    assert len(taken) == 3
    assert min(taken) >= 0.002


def test_a_run_that_draws_nothing_is_refused(built: Workspace) -> None:
    with pytest.raises(DataError, match="draws no images from a prior"):
        serve.exported(built.folder / "exported/cycle_gan", built.folder / "models")
    found = serve.exported(built.folder / "exported/gan", built.folder / "models")
    assert found.endpoint.name == "gan_generator_uint8"
    assert found.graphs()


def test_the_page_has_a_row_for_every_row() -> None:
    percentiles = {"p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 3.0, "images_per_s": 10.0}
    machine = dict.fromkeys(["cpu", "device", "torch", "onnxruntime-gpu", "tritonclient", "date"], "?")
    row = {"way": "torch eager", "scope": "compute", "batch": 1, "of_eager": 1.0, "of_peak": 0.5, **percentiles}
    load = {"way": "Triton, HTTP", "clients": 4, "server_batch": 2.0, "client_cpu_ms": 0.1, **percentiles}
    seen = {"way": "Triton, HTTP", "given": "seeds", "clients": 4, "of_process": 0.5, "server_cpu_ms": 0.1}
    subject = {"shape": [1, 8, 8], "parameters": 1, "flops": 1, "rows": [row], "load": [load]}
    subject["from_c"] = [seen | percentiles]
    machine |= {"cores": 2, "threads": 2, "peak_gflops": 1.0, "instances": 1}
    page = markdown({"machine": machine, "subjects": {"gan": subject}})
    assert "| 1 | torch eager | compute | 1 | 2 | 3 | 10 | 1.00 | 50.0% |" in page
    assert "| Triton, HTTP | 4 | 1 | 2 | 3 | 10 | 2.0 | 0.10 |" in page
    assert "| Triton, HTTP | seeds | 4 | 1 | 2 | 3 | 10 | 50% | 0.10 |" in page


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")
def test_every_way_on_a_gpu_gives_what_torch_gives(subject: serve.Subject) -> None:
    listed = [ways(subject)[0], *(serve.Way(name, "compute", prepare) for name, prepare in gpu.ways(subject))]
    serve.measure(listed, 4, 5)
    assert len(listed) >= 6


def test_a_way_that_changes_more_than_a_seed_does_is_outside_the_tolerance() -> None:
    seeds = {drift.declared(seed): 0.05 + 0.01 * (-1) ** seed for seed in drift.SEEDS}
    assert drift.tolerance(seeds) == pytest.approx(0.01, rel=0.1)
    assert not drift.outside(seeds | {"near": 0.07, "better": 0.05})
    assert drift.outside(seeds | {"far": 0.072, "worse": 0.048, "none": float("nan")}) == ["far", "worse", "none"]


def test_every_part_of_the_page_of_a_gpu_runs_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less what is timed for long; a part that fails is a row, and what it found before stays; done ones are kept."""
    command = [
        "accelerator",
        "--device",
        "cpu",
        "--out",
        str(tmp_path),
        "--only",
        "repeat",
        "infer",
        "engines",
        "tests",
    ]
    monkeypatch.setattr(sys, "argv", command)
    accelerator.main()
    result = files.read_json(tmp_path / "gpu-cpu.json")
    verdicts = {name: {row["verdict"] for row in of["rows"]} for name, of in result["parts"].items()}
    assert verdicts == {"repeat": {"ok"}, "infer": {"ok", "absent"}, "engines": {"skipped"}, "tests": {"skipped"}}
    assert "stopped half-way and gone on, the same bits | ok |" in (tmp_path / "gpu-cpu.md").read_text()
    monkeypatch.setattr(accelerator, "rows", lambda *_: pytest.fail("is done already"))
    accelerator.main()
    monkeypatch.undo()
    monkeypatch.setitem(accelerator.PARTS, "repeat", (accelerator.repeat, 0.01))
    (late,) = accelerator.rows("repeat", "cpu")
    assert (late["verdict"], late["why"]) == ("failed", "not done after 0 s")
