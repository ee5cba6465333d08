"""This machine and this environment, as lines to paste where a problem is reported, and what is wrong with them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from gan_core.config.schema import Params
from gan_core.export.hardware import gpu
from gan_core.runtime import errors, machine
from gan_core.serving import session

PACKAGES = (
    "gan-foundry",
    "torch",
    "numpy",
    "onnx",
    "onnxruntime-gpu",
    "tensorrt-rtx",
    "tensorrt",
    "dvc",
    "omegaconf",
    "tensorboard",
    "ray",
)
GIB = 2**30
LEAST_DISK, LEAST_MEMORY = 5 * GIB, 2 * GIB
"""Bytes below which a first repro may fail: the environments alone take 3 GiB, a stage up to 1 GiB."""


def lines(params: Params | None, server: Path) -> Iterator[str]:
    """Facts, one a line; what needs attention begins with ``!`` and says what to do.

    ``params``: the declaration, where it can be read; ``server``: the environment of Triton.
    """
    yield f"Python {platform.python_version()}, {platform.platform()}"
    versions = {name: version(name) for name in PACKAGES}
    yield ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    torch = versions["torch"]
    if params and torch and torch.partition("+")[0] != params.torch:
        yield f"! params.yaml says torch {params.torch}: every run would be made again; run `make .venv/.done`"
    yield from processors(params.threads if params else None)
    yield from memory_and_disk()
    found = gpu()
    yield f"GPU: {', '.join(found)}" if found else "GPU: none (nvidia-smi names none)"
    if found and torch and torch.endswith("+cpu"):
        yield f"! torch {torch} cannot use this GPU; `pip install torch=={torch.partition('+')[0]}` brings one that can"
    yield from computing(found is not None)
    yield (
        f"Triton: {server}"
        if (server / "bin").is_dir()
        else f"Triton: none in {server}; `make {server}/.done` installs it"
    )
    yield f"DVC remotes: {remotes() or 'none'}"


def version(package: str) -> str | None:
    """The installed version."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processors(threads: int | None) -> Iterator[str]:
    """Cores, quota and load."""
    quota, busy = machine.cpu_quota(), os.getloadavg()[0]
    limit = f", of which a container may use {quota:g}" if quota else ""
    declared = f"; threads: {threads} (params.yaml)" if threads else ""
    yield f"cores: {len(os.sched_getaffinity(0))} of {os.cpu_count()}{limit}; load {busy:.1f}{declared}"
    if threads and (why := machine.waits(threads, machine.running())):
        yield f"! {why}"


def memory_and_disk() -> Iterator[str]:
    """What is free."""
    info = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    all_of, free = (int(info[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    disk = shutil.disk_usage(".")
    yield f"memory: {free / GIB:.1f} of {all_of / GIB:.1f} GiB free; disk here: {disk.free / GIB:.1f} GiB free"
    if free < LEAST_MEMORY:
        yield f"! less than {LEAST_MEMORY // GIB} GiB of memory is free; `gan forecast <run>` says what a run takes"
    if disk.free < LEAST_DISK:
        yield f"! less than {LEAST_DISK // GIB} GiB of disk is free; `dvc gc --workspace` removes what no run needs"


def computing(gpu_is_there: bool) -> Iterator[str]:
    """Where ONNX Runtime really computes a graph, and why not elsewhere; without a GPU only the CPU is tried."""
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        yield f"! {error}; run `make .venv/.done`"
        return
    shape = (TensorProto.FLOAT, [1])
    ends = [helper.make_tensor_value_info(name, *shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    able, missing = [], []
    for word in reversed(session.PROVIDERS) if gpu_is_there else ("cpu",):
        try:
            session.load(model, "a graph", session.Runtime(word))
            able.append(word)
        except (errors.FoundryError, ImportError) as error:
            missing.append(str(error))
    yield f"ONNX Runtime computes on: {', '.join(able) or 'nothing'}"
    yield from missing


def remotes() -> str:
    """Names of DVC's remotes; their addresses may hold secrets."""
    if not shutil.which("dvc"):
        return "dvc is not on the path; run `source .venv/bin/activate`"
    done = subprocess.run(["dvc", "remote", "list"], capture_output=True, text=True)
    return ", ".join(line.split()[0] for line in done.stdout.splitlines()) if done.returncode == 0 else ""
