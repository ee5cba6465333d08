"""A run's state, outside the pipeline's outputs: a folder for each fingerprint, the last two steps kept.

Of a finished run the newest state before its end stays, so that a longer one goes on from there.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from gan_core.runtime import files

FORMAT = 3
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

    def newest(self, steps: int | None = None) -> dict[str, Any] | None:
        """The newest intact payload, on the CPU, or None; a torn or altered file is passed over, and that is said.

        ``steps``: what a run of so many goes on from. A payload that says it is of a run of another number
        (``steps``) is good for this one before both their ends: the end itself is evaluated and logged. Others are
        removed.
        """
        for stray in self.folder.glob(".*.tmp"):
            stray.unlink()
        for step, path in self.saved():
            content = path.read_bytes()
            if files.digest(content[64:]).encode() != content[:64]:
                print(
                    f"the checkpoint of step {step} ({path}) is damaged; going back to the one before", file=sys.stderr
                )
                continue
            payload: dict[str, Any] = torch.load(io.BytesIO(content[64:]), map_location="cpu", weights_only=True)
            if steps is None or payload["steps"] == steps or step < min(steps, payload["steps"]):
                return payload
            print(
                f"the checkpoint of step {step} is of a run of {payload['steps']} steps and no part of one of {steps}, "
                "so it is removed",
                file=sys.stderr,
            )
            path.unlink()
        return None

    def finish(self, steps: int) -> None:
        """The run is finished: of its states keep the newest before its end, and nothing of runs it has replaced."""
        for folder in self.root.glob("*/"):
            if folder != self.folder:
                shutil.rmtree(folder)
        before = [path for step, path in self.saved() if 0 < step < steps]
        for _, path in self.saved():
            if path not in before[:1]:
                path.unlink()
