"""One process for one folder, and none that outlives the process that started it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread, main_thread
from typing import Any, TypeVar

from gan_core.runtime.errors import EnvironmentFailure

T = TypeVar("T")
PARENT = os.getppid()
PATIENCE = 10.0
"""Seconds to wait for an orphan of a killed pipeline to save its state and leave."""


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the process that started us ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG


class Background:
    """Threads that work in order on what they are given. When the main thread ends, what they have not begun is left.

    So unlike a pool's they keep no process waiting for long, and unlike daemons they are not torn out of C++.
    """

    def __init__(self, threads: int) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._threads, self._unborn, self._ended, self._lock = threads, threads, False, Lock()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """What the work gives, or raises, once a thread has come to it."""
        found: Future[T] = Future()
        with self._lock:
            if self._ended:
                found.cancel()
                return found
            self._work.put((work, found))
            if self._unborn:
                Thread(target=self._run).start()
            if self._unborn == self._threads:
                Thread(target=self._end_with_main).start()
            self._unborn = max(0, self._unborn - 1)
        return found

    def _run(self) -> None:
        while item := self._work.get():
            work, found = item
            try:
                if not self._ended or not found.cancel():
                    found.set_result(work())
            except BaseException as error:
                found.set_exception(error)
            del item, work, found  # not kept until the next

    def _end_with_main(self) -> None:
        main_thread().join()
        with self._lock:
            self._ended = True
            for _ in range(self._threads - self._unborn):
                self._work.put(None)


@contextmanager
def exclusive_lock(folder: Path, what: str = "run", doing: str = "trained") -> Iterator[None]:
    """Hold the lock of a folder, so that no two processes write the same state.

    Raises:
        EnvironmentFailure: another process has held it for longer than an orphan needs to leave.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    with path.open("a+") as file:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    owner = file.read().strip() or "unknown"
                    raise EnvironmentFailure(
                        f"{what} '{folder.name}' is being {doing} already by process {owner} (lock {path}); "
                        "wait for it, or stop it, then run the same command again"
                    ) from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class Stop:
    """Asked to stop? By SIGTERM or SIGINT, or because the process that started us is gone."""

    def __init__(self) -> None:
        self.signal: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: object) -> None:
        self.signal = number

    def __call__(self) -> bool:
        return self.signal is not None or os.getppid() != PARENT

    @property
    def exit_code(self) -> int:
        """What the shell expects of a process that ended on a signal."""
        return 128 + (self.signal or signal.SIGTERM)
