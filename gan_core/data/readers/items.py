"""The stream of named images that every container is read as, and what all readers refuse.

Nothing is written and nothing is unpickled; a stream holds one image, or one block of them, at a time.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gan_core.data.readers.images import Content
from gan_core.runtime.errors import DataError

PART_NAMES = {
    "train": "train", "training": "train",
    "test": "heldout", "heldout": "heldout", "val": "heldout", "valid": "heldout", "validation": "heldout",
}  # fmt: skip
MOST_BYTES = 256 << 20
"""Of one encoded image."""
UNFOLDS = 200
"""A compressed file that unfolds to more times its size, and to more than ``MOST_BYTES``, is not read."""
IN_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
"""Where DVC keeps content: a link to there leads out of a folder, and is as good as a file."""
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile)


@dataclass(frozen=True)
class Item:
    """One image under the name that messages call it, with its label and part where they are known."""

    name: str
    content: Content
    label: str | int | None = None
    part: str | None = None
    domain: int = 0


@dataclass(frozen=True)
class Listing:
    """How many images there are, in order, the names of numbered classes if known, and how many other files."""

    total: int
    items: Iterable[Item]
    class_names: tuple[str, ...] = ()
    ignored: int = 0
    encoded: bool = True
    """Whether they are files to decode, not pixels."""


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Say in one sentence what libraries say of a damaged file in many ways."""
    try:
        yield
    except DAMAGE as error:
        raise DataError(f"{path} is damaged or cut short ({first_line(error)}); fetch it again") from None
    except (ValueError, KeyError, IndexError, NotImplementedError, RuntimeError, OverflowError) as error:
        raise DataError(f"{path} cannot be read ({first_line(error)}); fetch it again, or write it anew") from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the machine's, not the file's
            raise
        raise DataError(f"{path} is damaged or cut short ({first_line(error)}); fetch it again") from None


def first_line(error: Exception) -> str:
    """What a library said, as part of a sentence."""
    return next(iter(str(error).splitlines()), "").rstrip(":.") or type(error).__name__


def guarded(path: Path, items: Iterable[Item]) -> Iterator[Item]:
    """The items, with damage said in a sentence."""
    with said(path):
        yield from items


def inside(link: Path, root: Path) -> None:
    """Refuse a link that leads out of the folder: the pipeline would not notice when what it leads to changes.

    Raises:
        DataError: it does.
    """
    target = link.resolve()
    if target.is_dir() or (not target.is_relative_to(root) and not IN_CACHE.search(target.as_posix())):
        raise DataError(f"{link} is a link to {target}; put the files themselves there")


def unfolded(name: object, packed: int, size: int) -> None:
    """Refuse what is small and unfolds to very much.

    Raises:
        DataError: it does.
    """
    if size > MOST_BYTES and size > UNFOLDS * max(packed, 1):
        raise DataError(f"{name} unfolds from {packed:,} to {size:,} bytes; it is not read")
