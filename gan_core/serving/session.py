"""Where a graph is computed, by ONNX Runtime: on the CPU, or on a GPU by CUDA, TensorRT or TensorRT-RTX. No torch.

Nothing falls back in silence: what was asked for computes, or one sentence says what is missing.
"""

from __future__ import annotations

import ctypes
import io
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.core.pixels import in_shades
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure, InputError

Array = NDArray[Any]
PROVIDERS = {
    "tensorrt_rtx": "NvTensorRTRTXExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""By the words for them, the fastest first."""
WORDS = ("auto", *PROVIDERS)
ERROR, FATAL = 3, 4
"""From which severity on ONNX Runtime writes to the terminal."""
PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
"""TensorRT-RTX's provider is a library of its own, that ONNX Runtime is told of; it brings TensorRT-RTX along."""
INSTALLED_BY = {
    "tensorrt_rtx": f"`pip install {PLUGIN.replace('_', '-')}` brings TensorRT-RTX and its provider (146 MB)",
    "tensorrt": "`pip install tensorrt` brings TensorRT, `pip install 'onnxruntime-gpu[cuda,cudnn]'` the rest",
    "cuda": "`pip install 'onnxruntime-gpu[cuda,cudnn]'` brings CUDA and cuDNN, as torch's CUDA wheels do",
}


@dataclass(frozen=True)
class Runtime:
    """Where to compute, and how: every option of it."""

    on: str = "cpu"
    """One of ``PROVIDERS``, or ``auto``: the first of them that is really there."""
    threads: int = 0
    """On the CPU; 0: as many as there are cores."""
    spins: bool = True
    """Whether threads on the CPU wait busily for their next piece of work: quicker where nobody else needs the core."""
    cache: Path | None = None
    """A folder for what TensorRT's providers build, by the graph's sha256; without, it is built anew."""

    def __post_init__(self) -> None:
        if self.on not in WORDS:
            raise InputError(f"on is {self.on!r}, known are {', '.join(WORDS)}")


ON_CPU = Runtime()
"""Where nothing else is said."""


@dataclass(frozen=True)
class Computing:
    """A graph that is ready, and where it is."""

    on: str
    """One of ``PROVIDERS``."""
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
    options.log_severity_level = ERROR if word == "cpu" else FATAL
    options.intra_op_num_threads = runtime.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(runtime.spins)))
    if word != "cpu":
        if not shutil.which("nvidia-smi"):
            why = "nvidia-smi is not there, so this machine has no NVIDIA driver"
            raise EnvironmentFailure(f"{said} cannot be computed on {word}: {why}")
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # float32 graphs in float32; read when libraries are loaded
        ort.set_default_logger_severity(FATAL)  # what is missing is said below, in one sentence
        with redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    provider, asked = PROVIDERS[word], dict(provider_options(word, model, runtime))
    if word == "tensorrt_rtx":
        options.add_provider_for_devices(rtx_devices(said)[:1], asked)
    elif provider not in ort.get_available_providers():
        why = "this ONNX Runtime was built without it; `pip uninstall onnxruntime` and `pip install onnxruntime-gpu`"
        raise EnvironmentFailure(f"{said} cannot be computed on {word}: {why}")
    try:
        given: dict[str, Any] = {} if word == "tensorrt_rtx" else {"providers": [(provider, asked)]}
        session = ort.InferenceSession(model, options, enable_fallback=0, **given)
    except Exception as error:  # its exceptions share no public base
        if why := missing_library(word):
            raise EnvironmentFailure(absent(said, word, why)) from error
        raise DataError(f"ONNX Runtime cannot load {said}: {error}") from error
    if provider not in session.get_providers():
        raise EnvironmentFailure(absent(said, word, missing_library(word) or "its driver or GPU refuses"))
    return Computing(word, session)


def provider_options(word: str, model: bytes, runtime: Runtime) -> Iterator[tuple[str, Any]]:
    """What a provider is told."""
    if word == "cuda":
        yield "use_tf32", 0
    if runtime.cache is not None:
        folder = str(runtime.cache / files.digest(model)[:16])
        if word == "tensorrt":
            yield "trt_engine_cache_enable", True
            yield "trt_engine_cache_path", folder
        elif word == "tensorrt_rtx":
            yield "nv_runtime_cache_path", folder


def rtx_devices(said: str) -> list[Any]:
    """The GPUs that TensorRT-RTX's provider takes, once ONNX Runtime knows the provider.

    Raises:
        EnvironmentFailure: it is not installed, does not load, or takes none.
    """
    import onnxruntime as ort

    try:
        plugin = import_module(PLUGIN)
        if not (found := devices_of(ort, plugin)):
            ort.register_execution_provider_library(PLUGIN, plugin.get_library_path())
            found = devices_of(ort, plugin)
    except Exception as error:  # no module, or what the loader says: its exceptions share no public base
        raise EnvironmentFailure(absent(said, "tensorrt_rtx", str(error).rpartition("with error: ")[2])) from error
    if not found:
        raise EnvironmentFailure(absent(said, "tensorrt_rtx", "it takes no GPU of this machine (RTX 30 and later)"))
    return found


def devices_of(ort: Any, plugin: Any) -> list[Any]:
    """The devices of a provider that is registered."""
    return [device for device in ort.get_ep_devices() if device.ep_name == plugin.get_ep_name()]


def missing_library(word: str) -> str:
    """Which library a provider of ONNX Runtime's own lacks; empty where it loads, or is no library."""
    import onnxruntime as ort

    path = Path(ort.__file__).parent / "capi" / f"libonnxruntime_providers_{word}.so"
    if not path.is_file():  # the CPU's is in ONNX Runtime itself, TensorRT-RTX's in a package of its own
        return ""
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
