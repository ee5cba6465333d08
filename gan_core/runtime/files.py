"""Writing files so that a kill, a crash or a full disk never leaves half of one, and telling them apart by content."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from gan_core.runtime.errors import DataError, EnvironmentFailure


def write(path: Path, content: bytes) -> None:
    """Write ``content`` under ``path`` whole or not at all: a neighbour, fsync, rename.

    Raises:
        EnvironmentFailure: the disk is full; whatever stood under ``path`` before still stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with neighbour.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        neighbour.replace(path)
    except BaseException as error:
        neighbour.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFailure(no_space(path, len(content))) from error
        raise


def no_space(path: Path, needed: int) -> str:
    """The sentence for a full disk."""
    free = shutil.disk_usage(path.parent).free
    return (
        f"the disk is full: {path} needs {needed:,} bytes, {free:,} are free; "
        "make room and run the same command again, nothing finished is lost"
    )


def write_json(path: Path, value: Any) -> None:
    """Write JSON a person can read and a diff can compare: sorted keys, two spaces, a final newline."""
    write(path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path, expected: int | None = None) -> Any:
    """The value of a JSON file of ours; ``expected``: the format that it must have.

    Raises:
        DataError: it is missing, no JSON, or of another format.
    """
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; `dvc repro` makes it") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); remove it and run `dvc repro`") from None
    if expected is not None and (found := value.get("format") if isinstance(value, dict) else None) != expected:
        raise other_format(path, found, expected)
    return value


def other_format(path: Path, found: object, expected: object) -> DataError:
    """The sentence for what an earlier or later version wrote."""
    return DataError(f"{path} has format {found}; this program reads format {expected}, so run `dvc repro`")


def digest(content: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal, read in pieces."""
    running = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            running.update(piece)
    return running.hexdigest()


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``final`` when the block ends well, and vanishes when it does not.

    The earlier folder goes only when the new one stands; a kill between the two is mended at the next start.
    """
    new, old = final.with_name(f".{final.name}.new"), final.with_name(f".{final.name}.old")
    if old.exists() and not final.exists():
        old.rename(final)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        yield new
        if final.exists():
            final.rename(old)
        new.rename(final)
    finally:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
