"""What engines that are timed on a machine depend on: its GPU, the driver, the library. Read without torch."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import metadata
from typing import Any

Machine = dict[str, Any]
FORMAT = 1
"""Of the file that says what a machine is."""
ASKED = ("name", "compute_cap", "driver_version")


def probe() -> Machine:
    """The first GPU of this machine and the TensorRT that is installed; None where there is none."""
    found = gpu()
    return {
        "format": FORMAT,
        "tensorrt": tensorrt(),
        **{name: found[k] if found else None for k, name in enumerate(ASKED)},
    }


def gpu() -> list[str] | None:
    """Name, compute capability and driver of the first GPU."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True)
    fields = [field.strip() for field in done.stdout.strip().split(",")]
    return fields if done.returncode == 0 and len(fields) == len(ASKED) else None


def tensorrt() -> str | None:
    """The installed version."""
    try:
        return metadata.version("tensorrt")
    except metadata.PackageNotFoundError:
        return None


def gpu_slug(machine: Machine) -> str:
    """The GPU in a file name: nvidia_h100_80gb_hbm3."""
    return re.sub(r"[^a-z0-9]+", "_", str(machine["name"]).lower())
