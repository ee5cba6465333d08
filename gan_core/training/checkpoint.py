"""A run's unfinished state, outside the pipeline's outputs: a folder for each fingerprint, the last two steps kept."""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from gan_core.runtime import files

FORMAT = 2
"""Of the states that are written and read; it is part of the fingerprint, so a state of another is never met."""
NAME = re.compile(r"step-(\d{9})\.state")


class State:
    """The checkpoints of one run under one fingerprint."""

    def __init__(self, root: Path, fingerprint: str) -> None:
        self.root = root
        self.folder = root / fingerprint

    def save(self, step: int, payload: dict[str, Any]) -> None:
        """Write the state after ``step`` steps: a sha256, then the payload. Keeps the two newest."""
        buffer = io.BytesIO()
        torch.save(payload, buffer)
        content = buffer.getvalue()
        files.write(self.folder / f"step-{step:09d}.state", files.digest(content).encode() + content)
        for _, path in self.saved()[2:]:
            path.unlink()

    def saved(self) -> list[tuple[int, Path]]:
        """What is there, newest first."""
        found = [(int(m[1]), p) for p in self.folder.glob("step-*") if (m := NAME.fullmatch(p.name))]
        return sorted(found, reverse=True)

    def newest(self) -> dict[str, Any] | None:
        """The newest intact payload, on the CPU, or None; a torn or altered file is passed over, and that is said."""
        for stray in self.folder.glob(".*.tmp"):
            stray.unlink()
        for step, path in self.saved():
            content = path.read_bytes()
            if files.digest(content[64:]).encode() == content[:64]:
                payload: dict[str, Any] = torch.load(io.BytesIO(content[64:]), map_location="cpu", weights_only=True)
                return payload
            print(f"the checkpoint of step {step} ({path}) is damaged; going back to the one before", file=sys.stderr)
        return None

    def clear(self) -> None:
        """The run is finished: remove its state, and that of interrupted runs which it has replaced."""
        for folder in self.root.glob("*/"):
            shutil.rmtree(folder)
