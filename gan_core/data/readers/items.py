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
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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


NO_CLASS = "has no class"
"""The fault of an image whose label is missing."""


@dataclass(frozen=True)
class Item:
    """One image under the name that messages call it, with its label and part where they are known."""

    name: str
    content: Content
    label: str | None = None
    part: str | None = None
    domain: int = 0
    fault: str | None = None
    """Why it cannot be used, whatever its content."""


@dataclass(frozen=True)
class Listing:
    """How many images there are, in order, and what else their source holds."""

    total: int
    items: Generator[Item]
    class_names: tuple[str, ...] = ()
    """Of numbered classes, where the source tells them, in their order."""
    numbers: bool = False
    """Labels are whole numbers from 0, which the source calls its classes by."""
    encoded: bool = True
    """Whether they are files to decode, not pixels."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Files that are no images, by what they are."""
    labels_from: str = ""
    """What names the classes, in words."""
    odd: tuple[str, ...] = ()
    """What a person would want to know about it."""
    called: Callable[[int], str] | None = None
    """The name of the k-th image, where names are known beforehand."""


def label_of(value: Any) -> str | None:
    """A label as the name of its class: whole numbers as such, however they are stored; None, if it names none.

    Missing are null, NaN, nothing, and -1, which data sets give to what nobody has labelled. A one-hot row is its
    place.
    """
    if isinstance(value, list | tuple) and sum(v == 1 for v in value) == 1 and all(v in (0, 1) for v in value):
        value = list(value).index(1)
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating) and value == value and value == int(value):
        value = int(value)
    text = "" if value is None or value != value else str(value)
    return text if text.strip() and text != "-1" else None


def listed(names: Iterable[str], most: int = 8) -> str:
    """Some names as part of a sentence."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more


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


def guarded(path: Path, items: Iterable[Item]) -> Generator[Item]:
    """The items, with damage said in a sentence."""
    with said(path):
        yield from items


def inside(link: Path, root: Path, links: str | None) -> None:
    """Refuse a link that leads out of the folder, and out of the root that is declared for links.

    A link to a folder is refused anywhere: DVC does not look behind it, so a change there would not be noticed.

    Raises:
        DataError: it is one of these.
    """
    target = link.resolve()
    if target.is_dir():
        raise DataError(f"{link} is a link to the folder {target}, behind which no change is noticed; link its files")
    roots = [root, *([Path(links).resolve()] if links else [])]
    if not any(target.is_relative_to(r) for r in roots) and not IN_CACHE.search(target.as_posix()):
        raise DataError(
            f"{link} is a link to {target}; declare links: {target.parent} (or a folder above), or put the file there"
        )


def unfolded(name: object, packed: int, size: int) -> None:
    """Refuse what is small and unfolds to very much.

    Raises:
        DataError: it does.
    """
    if size > MOST_BYTES and size > UNFOLDS * max(packed, 1):
        raise DataError(f"{name} unfolds from {packed:,} to {size:,} bytes; it is not read")
