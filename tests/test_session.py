"""Where a graph is computed: every absence is a sentence, nothing falls back in silence. What needs a GPU is marked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from gan_core.export import golden
from gan_core.runtime.errors import DataError, EnvironmentFailure, InputError
from gan_core.serving import session
from gan_core.serving.session import Runtime


@pytest.fixture
def doubles() -> bytes:
    """A graph that gives twice its input."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubles", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    content: bytes = model.SerializeToString()
    onnx.checker.check_model(model)
    return content


def with_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a driver."""
    (folder / "nvidia-smi").write_text("#!/bin/sh\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_cpu_computes_and_auto_finds_it(doubles: bytes) -> None:
    rows = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    for word in ("cpu", "auto"):
        ready = session.load(doubles, "doubles.onnx", Runtime(word))
        assert (ready(rows) == 2 * rows["x"]).all()
        assert ready.on in (("cpu",) if word == "cpu" or not shutil.which("nvidia-smi") else session.PROVIDERS)


def test_an_unknown_word_and_a_broken_graph(doubles: bytes) -> None:
    with pytest.raises(InputError, match="on is 'gpu', known are auto, tensorrt_rtx, tensorrt, cuda, cpu"):
        Runtime("gpu")
    with pytest.raises(DataError, match=r"ONNX Runtime cannot load broken\.onnx"):
        session.load(doubles[:20], "broken.onnx")


NO_GPU = pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")


@NO_GPU
@pytest.mark.parametrize("word", ["cuda", "tensorrt"])
def test_what_is_missing_is_named(word: str, doubles: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a driver; with a driver and without CUDA's libraries, as ONNX Runtime's own loader finds it."""
    with pytest.raises(EnvironmentFailure, match=f"d.onnx cannot be computed on {word}: nvidia-smi is not there"):
        session.load(doubles, "d.onnx", Runtime(word))
    with_nvidia_smi(tmp_path, monkeypatch)
    with pytest.raises(EnvironmentFailure, match=rf"on {word}: libcublas.*cannot open.*pip install"):
        session.load(doubles, "d.onnx", Runtime(word))
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(EnvironmentFailure, match=f"on {word}: this ONNX Runtime was built without it"):
        session.load(doubles, "d.onnx", Runtime(word))


@NO_GPU
def test_what_tensorrt_rtx_lacks_is_named(doubles: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver; no provider; a provider that does not load, as its file is none."""
    with pytest.raises(EnvironmentFailure, match=r"d\.onnx .* on tensorrt_rtx: nvidia-smi is not there"):
        session.load(doubles, "d.onnx", Runtime("tensorrt_rtx"))
    with_nvidia_smi(tmp_path, monkeypatch)
    asks_for = r".*; `pip install onnxruntime-ep-nv-tensorrt-rtx`"
    if find_spec(session.PLUGIN) is None:
        with pytest.raises(EnvironmentFailure, match=f"on tensorrt_rtx: No module named{asks_for}"):
            session.load(doubles, "d.onnx", Runtime("tensorrt_rtx"))
    path = "/nowhere/libprovider.so"
    plugin = SimpleNamespace(get_library_path=lambda: path, get_ep_name=lambda: "Nv")
    monkeypatch.setitem(sys.modules, session.PLUGIN, plugin)
    with pytest.raises(EnvironmentFailure, match=f"on tensorrt_rtx: {path}: cannot open shared object file{asks_for}"):
        session.load(doubles, "d.onnx", Runtime("tensorrt_rtx"))


def test_only_a_library_that_is_there_lacks_another() -> None:
    """What has none of its own is not blamed on a file that nobody ships."""
    assert [session.missing_library(word) for word in ("cpu", "tensorrt_rtx")] == ["", ""]


def test_a_silent_fall_to_the_cpu_is_an_error(doubles: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that says nothing and computes on the CPU, as ONNX Runtime makes where a provider does not load."""
    made: Callable[..., Any] = ort.InferenceSession

    def falls_back(model: bytes, options: Any, **_asked: Any) -> Any:
        return made(model, options, providers=["CPUExecutionProvider"])

    with_nvidia_smi(tmp_path, monkeypatch)
    monkeypatch.setattr(ort, "InferenceSession", falls_back)
    monkeypatch.setattr(session, "missing_library", lambda _word: "")
    with pytest.raises(EnvironmentFailure, match="on cuda: its driver or GPU refuses"):
        session.load(doubles, "d.onnx", Runtime("cuda"))


def test_golden_outputs_go_through_a_file_and_wrong_ones_are_refused() -> None:
    inputs = {"z": np.ones((2, 3), np.float32)}
    outputs = {"g.onnx": np.zeros((2, 1, 8, 8), np.float32), "g.uint8.onnx": np.zeros((2, 8, 8, 1), np.uint8)}
    found = golden.from_bytes(golden.to_bytes(inputs, outputs))
    assert (found[0]["z"] == inputs["z"]).all()
    assert found[1].keys() == outputs.keys()
    exact = outputs["g.onnx"]
    limits = {"max_abs": 1e-4, "pixels_off": 0.25}
    session.hold_against(exact + 9e-5, exact, limits, "g.onnx", "cuda")
    for got, says in (
        (exact + 2e-4, "max abs difference 0.0002, at most 0.0001"),
        (exact + np.nan, "max abs difference nan"),
        (exact[:, :, :4], r"gives float32\[2, 1, 4, 8\], not float32\[2, 1, 8, 8\]"),
    ):
        with pytest.raises(DataError, match=says):
            session.hold_against(got, exact, limits, "g.onnx", "cuda")
    pixels = outputs["g.uint8.onnx"]
    with pytest.raises(DataError, match="share of pixels that differ 1"):
        session.hold_against(pixels + 1, pixels, limits, "g.uint8.onnx", "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("word", ["cuda", "tensorrt", "tensorrt_rtx"])
def test_a_gpu_computes_what_the_cpu_computes(word: str, doubles: bytes, tmp_path: Path) -> None:
    rows = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    try:
        ready = session.load(doubles, "doubles.onnx", Runtime(word, cache=tmp_path))
    except EnvironmentFailure as absent:
        pytest.skip(str(absent))
    assert ready.on == word
    assert (ready(rows) == 2 * rows["x"]).all()
