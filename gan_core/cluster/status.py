"""Where each job is: a file a job, which its node writes and everybody who sees the work folder can read."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gan_core.cluster.job import Job
from gan_core.runtime import files
from gan_core.runtime.table import aligned

FORMAT = 1
HEAD = ("job", "state", "node", "attempt", "what it said last")
READ = 4096
"""Bytes at the end of a log in which its last line is looked for."""


@dataclass(frozen=True)
class Status:
    """Of a job: ``state`` is waiting, a stage that runs, done or failed; ``attempt`` counts those of this stage."""

    name: str
    state: str
    node: str = ""
    attempt: int = 0
    since: float = 0.0


def note(job: Job, state: str, node: str = "") -> Status:
    """Write where a job is; the same stage again is another attempt."""
    before = read(job.status) if job.status.is_file() else None
    attempt = before.attempt + 1 if before and before.state == state else 1
    status = Status(job.key, state, node, attempt if node else 0, time.time())
    files.write_json(job.status, {"format": FORMAT, **asdict(status)})
    return status


def read(path: Path) -> Status:
    """The inverse of ``note``.

    Raises:
        DataError: it is of another format, or damaged.
    """
    found = files.read_json(path, FORMAT)
    return Status(**{key: value for key, value in found.items() if key != "format"})


def last_line(log: Path) -> str:
    """What a job said last; of a bar that moves in one line its newest state."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - READ, 0))
        said = file.read().decode(errors="replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(said) if line.strip()), "")


def table(work: Path) -> list[str]:
    """All jobs of a work folder, a line each."""
    found = [read(path) for path in sorted((work / "status").glob("*.json"))]
    rows = [(s.name, s.state, s.node, str(s.attempt or ""), last_line(work / "logs" / f"{s.name}.log")) for s in found]
    return aligned([HEAD, *rows]) if rows else []
