"""Where a graph is computed: on the CPU, or on a GPU by ONNX Runtime's CUDA or TensorRT provider. No torch.

Nothing falls back in silence: what was asked for computes, or one sentence says what is missing.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.core.pixels import in_shades
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure, InputError

Array = NDArray[Any]
PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""By the words for them, the fastest first."""
WORDS = ("auto", *PROVIDERS)
INSTALLED_BY = {
    "tensorrt": "`pip install tensorrt` brings TensorRT, `pip install 'onnxruntime-gpu[cuda,cudnn]'` the rest",
    "cuda": "`pip install 'onnxruntime-gpu[cuda,cudnn]'` brings CUDA and cuDNN, as torch's CUDA wheels do",
}


@dataclass(frozen=True)
class Runtime:
    """Where to compute, and how: every option of it."""

    on: str = "cpu"
    """``cpu``, ``cuda``, ``tensorrt``, or ``auto``: the first of tensorrt, cuda and cpu that is really there."""
    threads: int = 0
    """On the CPU; 0: as many as there are cores."""
    cache: Path | None = None
    """A folder for the engines that TensorRT's provider builds, by the graph's sha256; without, they are built anew."""

    def __post_init__(self) -> None:
        if self.on not in WORDS:
            raise InputError(f"on is {self.on!r}, known are {', '.join(WORDS)}")


ON_CPU = Runtime()
"""Where nothing else is said."""


@dataclass(frozen=True)
class Computing:
    """A graph that is ready, and where it is."""

    on: str
    """``cpu``, ``cuda`` or ``tensorrt``."""
    session: Any

    def __call__(self, rows: Mapping[str, Array]) -> Array:
        """From all inputs, one row a sample, to the output."""
        return np.asarray(self.session.run(None, dict(rows))[0])


def load(model: bytes, said: str, runtime: Runtime = ON_CPU) -> Computing:
    """A graph where it was asked for. ``said``: its name, for messages.

    Raises:
        DataError: it is no graph that ONNX Runtime can load.
        EnvironmentFailure: what was asked for is not there; it says which library, and how to get it.
    """
    *others, last = PROVIDERS if runtime.on == "auto" else (runtime.on,)
    for word in others:
        try:
            return on_one(model, said, word, runtime)
        except EnvironmentFailure:
            continue
    return on_one(model, said, last, runtime)


def on_one(model: bytes, said: str, word: str, runtime: Runtime) -> Computing:
    """The same, for one word."""
    import onnxruntime as ort  # not needed to ask a server

    options = ort.SessionOptions()
    options.log_severity_level = 3 if word == "cpu" else 4  # what is missing is said below
    options.intra_op_num_threads = runtime.threads
    provider = PROVIDERS[word]
    if word != "cpu":
        if not shutil.which("nvidia-smi"):
            raise EnvironmentFailure(
                f"{said} cannot be computed on {word}: nvidia-smi is not there, so this machine has no NVIDIA driver"
            )
        if provider not in ort.get_available_providers():
            raise EnvironmentFailure(
                f"{said} cannot be computed on {word}: this ONNX Runtime was built without it; "
                "`pip uninstall onnxruntime` and `pip install onnxruntime-gpu`"
            )
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # float32 graphs in float32; read when libraries are loaded
        ort.preload_dlls()
    try:
        asked = [(provider, dict(provider_options(word, model, runtime)))]
        session = ort.InferenceSession(model, options, providers=asked, enable_fallback=0)
    except Exception as error:  # its exceptions share no public base
        if word != "cpu" and (why := missing_library(word)):
            raise EnvironmentFailure(absent(said, word, why)) from error
        raise DataError(f"ONNX Runtime cannot load {said}: {error}") from error
    if provider not in session.get_providers():
        raise EnvironmentFailure(absent(said, word, missing_library(word) or "its driver or GPU refuses"))
    return Computing(word, session)


def provider_options(word: str, model: bytes, runtime: Runtime) -> Iterator[tuple[str, Any]]:
    """What a provider is told."""
    if word == "cuda":
        yield "use_tf32", 0
    if word == "tensorrt" and runtime.cache is not None:
        yield "trt_engine_cache_enable", True
        yield "trt_engine_cache_path", str(runtime.cache / files.digest(model)[:16])


def missing_library(word: str) -> str:
    """Which library the provider lacks; empty where it loads."""
    import onnxruntime as ort

    path = Path(ort.__file__).parent / "capi" / f"libonnxruntime_providers_{word}.so"
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return str(error)
    return ""


def absent(said: str, word: str, why: str) -> str:
    """The sentence."""
    return f"{said} cannot be computed on {word}: {why}; {INSTALLED_BY[word]}"


def difference(got: Array, expected: Array, tolerance: Mapping[str, float]) -> tuple[str, float, float]:
    """How far outputs are from golden ones of their shape: the measure's name, its value, what the graph is allowed."""
    if expected.dtype.kind == "u":
        off = float((in_shades(got) != in_shades(expected)).mean())
        return "share of pixels that differ", off, tolerance["pixels_off"]
    off = float(np.abs(got.astype(np.float64) - expected).max())
    return "max abs difference", off, tolerance["max_abs"]


def hold_against(got: Array, expected: Array, tolerance: Mapping[str, float], said: str, on: str) -> None:
    """Hold what a GPU gives against what the folder says the graph gives.

    Raises:
        DataError: it is off by more than the graph's own tolerance.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise DataError(
            f"{said} on {on} gives {got.dtype}{list(got.shape)}, not {expected.dtype}{list(expected.shape)}"
        )
    what, off, limit = difference(got, expected, tolerance)
    if not off <= limit:
        raise DataError(f"{said} on {on} does not give its golden outputs: {what} {off:.3g}, at most {limit:g}")
