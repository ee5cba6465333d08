"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from gan_core.runtime import files


def kept(results: Path, page: Callable[[Mapping[str, Any]], str], row: Mapping[str, Any], *place: str) -> None:
    """Put a row at its place among the comparisons of a file of results, and write the page beside the file."""
    result = files.read_json(results) if results.is_file() else {"comparisons": {}}
    at = result["comparisons"]
    for key in place[:-1]:
        at = at.setdefault(key, {})
    at[place[-1]] = row
    result["machine"] = described(1, "cpu")
    files.write_json(results, result)
    files.write(results.with_suffix(".md"), page(result).encode())


def family(pid: int) -> Iterator[int]:
    """A process and all it has started that still run."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def described(threads: int, device: str) -> dict[str, Any]:
    """What a reader must know to compare."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": cpu,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }
