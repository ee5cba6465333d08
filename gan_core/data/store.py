"""Shards of a prepared data set, where they lie: any folder that fsspec reaches.

A shard is one ``.npy`` file of rows, named by its sha256: no shard is ever another, so every version of a set stays
readable, and what a copy holds can be held against its name. Shards on this machine are mapped where they are, those
elsewhere are fetched into a folder of bounded size; either way each is verified before its first use.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from gan_core.runtime import files
from gan_core.runtime.errors import DataError, EnvironmentFailure, FoundryError, InputError, first_line
from gan_core.runtime.process import Background

FETCHED = Path(".state/.shards")
"""Where shards of other machines are kept, unless ``GAN_SHARDS`` names another folder."""
ROOM = 4096
"""MiB of it, unless ``GAN_SHARDS_MB`` says another number."""
REMEDY = "run `dvc repro --force` for the data set, which writes it again"
AT_ONCE, ATTEMPTS, PAUSE = 4, 3, 1.0
"""Shards on their way at a time; how often a connection that breaks is tried, and seconds before it is tried again."""


class Store:
    """A folder of shards. ``url``: as fsspec reads it, ``s3://bucket/folder``; what it needs is in the environment.

    Raises:
        InputError: fsspec knows no such kind of address.
        EnvironmentFailure: the package that reaches it is missing.
    """

    def __init__(self, url: str) -> None:
        import fsspec.core

        self.url = url.rstrip("/")
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise EnvironmentFailure(f"{url}: {first_line(error)}, into this environment") from None
        except ValueError as error:
            raise InputError(f"{url} is no address that fsspec reads ({first_line(error)})") from None
        self.local = "file" in self.fs.protocol
        self._lock, self._background = Lock(), Background(AT_ONCE)
        self._coming: dict[str, Future[Path]] = {}
        self._kept = Path(os.environ.get("GAN_SHARDS") or FETCHED)

    def put(self, path: Path) -> dict[str, Any]:
        """Bring a file there, under the name that its content has, and say what an index says of it."""
        about = {"bytes": path.stat().st_size, "sha256": files.file_digest(path)}
        there = self._at(str(about["sha256"]))

        def bring() -> None:
            if self.fs.exists(there) and self.fs.size(there) == about["bytes"]:
                return
            self.fs.makedirs(self.root, exist_ok=True)
            new = f"{there}.{os.getpid()}.tmp" if self.local else there
            self.fs.put_file(str(path), new)
            if self.local:
                self.fs.mv(new, there)

        self._patiently(bring, f"{self.url} cannot be written to")
        return about

    def start(self, name: str) -> Future[Path]:
        """Begin to bring a shard to this machine; what is on its way already is not asked for twice."""
        with self._lock:
            found = self._coming.get(name)
            if found is None or (found.done() and (found.exception() or not found.result().is_file())):
                found = self._coming[name] = self._background.submit(partial(self._bring, name))
            return found

    def get(self, name: str) -> Path:
        """A shard as a file of this machine, verified.

        Raises:
            DataError: it is missing, or something else than its name says.
            EnvironmentFailure: the place cannot be reached.
        """
        return self.start(name).result()

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}.npy"

    def _bring(self, name: str) -> Path:
        address, kept = f"{self.url}/{name}.npy", self._kept / f"{name}.npy"
        with suppress(FileNotFoundError):  # another process may make room
            if not self.local and files.file_digest(kept) == name:
                os.utime(kept)
                return kept
        path = Path(self._at(name)) if self.local else kept.with_suffix(f".{os.getpid()}.tmp")
        try:
            if not self.local:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._patiently(lambda: self.fs.get_file(self._at(name), str(path)), f"{address} cannot be fetched")
            if files.file_digest(path) != name:
                raise DataError(f"{address} is corrupt, not what its name says: remove it, then {REMEDY}")
            return path if self.local else self._keep(path, kept)
        except FileNotFoundError:
            raise DataError(f"{address} is missing: {REMEDY}") from None
        finally:
            if not self.local:
                path.unlink(missing_ok=True)

    def _keep(self, path: Path, kept: Path) -> Path:
        """Let a fetched shard stay, in place of those that were asked for longest ago.

        A file that is mapped stays until nobody reads it.
        """
        path.replace(kept)
        room = int(os.environ.get("GAN_SHARDS_MB") or ROOM) << 20
        there = list[tuple[int, int, Path]]()
        for path in self._kept.glob("*.npy"):
            with suppress(FileNotFoundError):  # another process made room
                about = path.stat()
                there.append((about.st_mtime_ns, about.st_size, path))
        for _, size, path in sorted(there, reverse=True):
            room -= size
            if room < 0 and path != kept:
                path.unlink(missing_ok=True)
        return kept

    def _patiently(self, work: Callable[[], None], what: str) -> None:
        for left in reversed(range(ATTEMPTS)):
            try:
                work()
                break
            except (FileNotFoundError, FoundryError):
                raise
            except Exception as error:  # each kind of place has its own errors
                if not left:
                    raise EnvironmentFailure(f"{what}: {first_line(error)}") from None
                time.sleep(PAUSE)
