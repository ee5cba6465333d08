"""Work folders of nodes that share no disk with the machine that asked: files are carried through Ray, both ways.

The machine that asked keeps the workspace of every job. A node copies it to a disk of its own before a stage, brings
saved states, log and status back while the stage runs, so that they outlive the node, and all the rest at its end.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from gan_core.cluster.job import Job
from gan_core.cluster.node import Lost

TOKEN = ".seen"
"""A file in the work folder by which a node tells whether it sees that folder, or another one under the same path."""
PIECE = 8 << 20
"""Bytes that travel at once: many small files, or a piece of a large one."""
EVERY = 3.0
"""Seconds between two looks at what a stage has written."""
ON_THE_WAY = {"num_returns": "streaming", "_generator_backpressure_num_objects": 4}
"""Pieces are read as they are taken, and not all at once into Ray's memory."""
OWN = (".dvc/cache", ".dvc/tmp", ".state/.shards")
"""What of a workspace is each node's own."""


class Piece(NamedTuple):
    """Some bytes of a file below the work folder, from ``at`` on; ``size`` and ``time`` (ns) are those of the whole."""

    path: str
    at: int
    content: bytes
    size: int
    time: int


def stats(work: Path, key: str) -> dict[str, tuple[int, int]]:
    """Size and time of every file of a job below a work folder: workspace, logs, status."""
    own = [work / "workspaces" / key / name for name in OWN]
    found = {}
    for top in (work / "workspaces" / key, *(work / "logs").glob(f"{key}.*"), work / f"status/{key}.json"):
        for path in [top] if top.is_file() else top.rglob("*"):
            with suppress(FileNotFoundError):  # a stage may just remove it
                if path.is_file() and not path.name.endswith(".tmp") and not any(path.is_relative_to(o) for o in own):
                    about = path.stat()
                    found[path.relative_to(work).as_posix()] = about.st_size, about.st_mtime_ns
    return found


def pieces(work: Path, paths: Iterable[str]) -> Iterator[list[Piece]]:
    """Files, as much of them at a time as travels at once; of one that is gone nothing."""
    some, size = list[Piece](), 0
    for name in paths:
        with suppress(FileNotFoundError), (work / name).open("rb") as file:
            about, at = os.fstat(file.fileno()), 0
            while (content := file.read(PIECE)) or not at:
                some.append(Piece(name, at, content, about.st_size, about.st_mtime_ns))
                at, size = at + max(len(content), 1), size + len(content)
                if size >= PIECE:
                    yield some
                    some, size = [], 0
    if some:
        yield some


def put(work: Path, some: Sequence[Piece]) -> None:
    """Write what has travelled; a file has its name once all of it is there."""
    for piece in some:
        path = work / piece.path
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.carried.tmp")
        with new.open("r+b" if piece.at else "wb") as file:
            file.seek(piece.at)
            file.write(piece.content)
        if piece.at + len(piece.content) >= piece.size:
            os.utime(new, ns=(piece.time, piece.time))
            new.replace(path)


class Keeper:
    """Keeps the work folder, on the machine that asked: an actor of Ray. Only the latest attempt of a job may write."""

    def __init__(self, work: str) -> None:
        self.work, self.turns = Path(work), dict[str, int]()

    def begin(self, key: str) -> int:
        """Let a new attempt of a job write, and none before it."""
        self.turns[key] = self.turns.get(key, 0) + 1
        return self.turns[key]

    def there(self, key: str) -> dict[str, tuple[int, int]]:
        """What there is of a job."""
        return stats(self.work, key)

    def read(self, paths: Sequence[str]) -> Iterator[list[Piece]]:
        """Some files."""
        yield from pieces(self.work, paths)

    def write(self, key: str, turn: int, some: Sequence[Piece]) -> None:
        """Take some pieces.

        Raises:
            Lost: a later attempt has begun, because nobody heard of this one.
        """
        self._check(key, turn)
        put(self.work, some)

    def keep(self, key: str, turn: int, paths: Sequence[str], below: str) -> None:
        """Remove the files of a job below a folder that are not among these.

        Raises:
            Lost: a later attempt has begun.
        """
        self._check(key, turn)
        for name in stats(self.work, key).keys() - set(paths):
            if name.startswith(below):
                (self.work / name).unlink(missing_ok=True)

    def _check(self, key: str, turn: int) -> None:
        if turn != self.turns.get(key):
            raise Lost(f"{key}: another node has taken it over")


@dataclass(frozen=True)
class Carrier:
    """How a node finds the work folder: by ``token`` it tells whether it sees it, and else asks the keeper."""

    keeper: Any
    token: str

    def sees(self, work: Path) -> bool:
        """Whether this node sees that very folder."""
        path = work / TOKEN
        return path.is_file() and path.read_text() == self.token

    @contextmanager
    def at_hand(self, job: Job, writes: bool = True) -> Iterator[Job]:
        """The job as this node may work on it; what it ``writes`` is brought back.

        Raises:
            Lost: another node has taken it over.
        """
        turn = self._ask("begin", job.key) if writes else 0
        if self.sees(job.work):
            yield job
            return
        with tempfile.TemporaryDirectory(prefix="gan-cluster-") as folder:
            here = replace(job, work=Path(folder))
            known, ended = self._fetch(here), Event()
            if not writes:
                yield here
                return

            def watch() -> None:
                with suppress(Lost):  # it is said at the end
                    while not ended.wait(EVERY):
                        self._bring(here, turn, known, f"workspaces/{here.key}/.state/")

            watching = Thread(target=watch, daemon=True)
            watching.start()
            try:
                yield here
            finally:
                ended.set()
                watching.join()
                self._bring(here, turn, known, f"workspaces/{here.key}/")

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray

        return ray.get(getattr(self.keeper, method).remote(*arguments))

    def _fetch(self, here: Job) -> dict[str, tuple[int, int]]:
        """Bring what there is of a job to this node, and say what that is."""
        import ray

        there: dict[str, tuple[int, int]] = self._ask("there", here.key)
        for some in self.keeper.read.options(**ON_THE_WAY).remote(list(there)):
            put(here.work, ray.get(some))
        return there

    def _bring(self, here: Job, turn: int, known: dict[str, tuple[int, int]], below: str) -> None:
        """Bring back what has changed since it was known: log, status, and of the workspace what is below a folder."""
        mine = stats(here.work, here.key)
        mine = {name: about for name, about in mine.items() if name.startswith((below, "logs/", "status/"))}
        changed = [name for name, about in mine.items() if known.get(name) != about]
        for some in pieces(here.work, changed):
            self._ask("write", here.key, turn, some)
        self._ask("keep", here.key, turn, list(mine), below)
        known.update({name: mine[name] for name in changed})
