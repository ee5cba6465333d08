"""What a node does: one DVC stage in a workspace, or one of the processes that train one run together."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core.cluster import status
from gan_core.cluster.job import Job
from gan_core.runtime.errors import DataError, EnvironmentFailure, FoundryError, InputError, NumericsError
from gan_core.runtime.process import die_with_parent

REPRO = ("dvc", "repro", "--single-item", "--no-run-cache")
"""One stage; it is skipped where an earlier attempt has finished it."""
FAILED = {kind.exit_code: kind for kind in (FoundryError, InputError, DataError, NumericsError)}
"""What would fail in the same way on any other machine, by the exit code of the stage."""
ENDED = re.compile(r"exited with (-?\d+)$", re.MULTILINE)


LOCKED = ("acquire lock", "is busy")
"""What DVC says while one that it was killed with has not ended."""


class Lost(EnvironmentFailure):
    """A process was ended from outside, or by what its machine lacks: the same command elsewhere goes on."""


def run_stage(job: Job, stage: str, node: str, together: Mapping[str, str] | None = None) -> None:
    """Run a stage, unless it is up to date; a training goes on from its last saved state.

    ``node``: where this is, for a person; ``together``: how torch.distributed finds the other processes.

    Raises:
        Lost: it was killed, or the machine lacks something.
        FoundryError: it fails for a reason that is the same everywhere.
    """
    status.note(job, stage, node)
    (job.folder / ".dvc/tmp/rwlock").unlink(missing_ok=True)  # of a node that is gone; a pid there means nothing here
    code, said = run_module(job, (*REPRO, stage), job.log, together or {})
    if code:
        raise failure(stage, int(ended[-1]) if (ended := ENDED.findall(said)) else min(code, 0), said)


def run_rank(job: Job, stage: str, rank: int, together: Mapping[str, str]) -> None:
    """Be another than the first process of a training; it writes nothing but its log.

    Raises:
        Lost: it was killed, or another one has ended.
        FoundryError: it fails for a reason that is the same everywhere.
    """
    log = job.log.with_suffix(f".rank-{rank}.log")
    code, said = run_module(job, ("stages.train", job.name), log, together)
    if code:
        raise failure(stage, code, said)


def run_module(job: Job, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code, and what was said, of a Python module in a workspace; it ends with this process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = os.environ | {"PATH": path, **environment}
    with log.open("a+b") as file:
        begun = file.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=job.folder,
            env=own,
            stdout=file,
            stderr=file,
            preexec_fn=die_with_parent,
        )
        code = process.wait()
        file.seek(begun)
        return code, file.read().decode(errors="replace")


def failure(stage: str, code: int, said: str) -> FoundryError:
    """Why a stage failed, by the exit code of its own process (0: DVC did not start it) and what was said."""
    errors = [line.partition(": ")[2] for line in said.splitlines() if line.lower().startswith("error: ")]
    why = errors[0] if errors else f"it was ended by signal {-code}" if code < 0 else f"it ended with {code}"
    kind = FAILED.get(code, Lost) if code else Lost if any(word in said for word in LOCKED) else DataError
    return kind(f"{stage}: {why}")


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
