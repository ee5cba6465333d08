"""Folders and archives: where an image lies says its domain, part and class, in that order."""

from __future__ import annotations

import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from gan_core.config.schema import ImageDomains, Images
from gan_core.data.readers.images import SUFFIXES
from gan_core.data.readers.items import MOST_BYTES, PART_NAMES, Item, Listing, inside, unfolded
from gan_core.runtime.errors import DataError


def place(name: str, spec: Images) -> tuple[int, str | None, str | None]:
    """What the folders above an image say: domain, part, class.

    Raises:
        DataError: they do not say what is declared.
    """
    above = name.split("/")[:-1]
    domain, part, label = 0, None, None
    if isinstance(spec, ImageDomains):
        domain = spec.domains.index(above.pop(0))
    if spec.heldout == "official":
        part = PART_NAMES.get(above.pop(0).lower()) if above else None
        if part is None:
            raise DataError(f"heldout is 'official', and '{name}' lies neither in a folder train nor in a folder test")
    if spec.labels:
        if not above:
            raise DataError(f"labels is true, and '{name}' lies in no folder that names its class; set labels to false")
        label = above[0]
    return domain, part, label


def tree(spec: Images, path: Path, names: dict[str, Any], archived: bool) -> list[tuple[str, Any]]:
    """The images among names, in order; of an archive without the one folder that all lie in."""
    wanted = {n: v for n, v in names.items() if n.lower().endswith(SUFFIXES) and not hidden(n)}
    levels = isinstance(spec, ImageDomains) + (spec.heldout == "official") + spec.labels
    tops = {n.split("/", 1)[0] for n in wanted}
    if archived and len(tops) == 1 and all(n.count("/") > levels for n in wanted):
        wanted = {n.split("/", 1)[1]: v for n, v in wanted.items()}
    if isinstance(spec, ImageDomains):
        wanted = {n: v for n, v in wanted.items() if "/" in n and n.split("/", 1)[0] in spec.domains}
        for domain in spec.domains:
            if not any(n.startswith(f"{domain}/") for n in wanted):
                raise DataError(f"domain '{domain}' has 0 images: {path} needs a folder of that name with images in it")
    if spec.labels and spec.heldout != "official":
        classes = {str(place(n, spec)[2]).lower() for n in wanted}
        if len(classes) > 1 and classes <= PART_NAMES.keys():
            raise DataError(f"the folders in {path} are called {', '.join(sorted(classes))}; declare heldout: official")
    return sorted(wanted.items())


def hidden(name: str) -> bool:
    """What systems leave behind: names with a dot in front, and a folder that macOS adds to archives."""
    return name.startswith((".", "__MACOSX/")) or "/." in name


def folder(path: Path, spec: Images) -> Listing:
    """A folder, with all folders below."""
    names: dict[str, None] = {}
    root = path.resolve()
    for here, folders, found in os.walk(path):
        for name in folders + found:
            if os.path.islink(os.path.join(here, name)):  # noqa: PTH114, PTH118 (a Path a file would be most of it)
                inside(Path(here, name), root)
        above = Path(here).relative_to(path).as_posix()
        names |= dict.fromkeys(name if above == "." else f"{above}/{name}" for name in found)
    wanted = tree(spec, path, names, archived=False)

    def items() -> Iterator[Item]:
        for name, _ in wanted:
            entry = f"{path}/{name}"
            if not os.path.isfile(entry):  # noqa: PTH113 (as above)
                raise DataError(f"{entry} is no file; remove it")
            domain, part, label = place(name, spec)
            with open(entry, "rb", buffering=0) as file:  # noqa: PTH123
                content = within_limit(os.fstat(file.fileno()).st_size, entry, file.read)
            yield Item(entry, content, label, part, domain)

    return Listing(len(wanted), items(), ignored=others(names, len(wanted)))


def others(names: dict[str, Any], images: int) -> int:
    """How many files are no images, hidden ones aside."""
    return sum(not hidden(n) for n in names) - images


def within_limit(size: int, name: object, read: Callable[[], bytes]) -> bytes:
    """The bytes of one encoded image.

    Raises:
        DataError: it is larger than any image.
    """
    if size > MOST_BYTES:
        raise DataError(f"{name} is {size:,} bytes; an image of more than {MOST_BYTES:,} is not read")
    return read()


def safe(name: str, archive: Path) -> str:
    """A member's name, if it stays inside.

    Raises:
        DataError: it is absolute or climbs out.
    """
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise DataError(f"{archive} holds a member '{name}' that points out of the archive; it is not read")
    return pure.as_posix()


def zipped(path: Path, spec: Images) -> Listing:
    """A zip archive; read where it lies, never unpacked."""
    archive = zipfile.ZipFile(path)
    names = {}
    for info in archive.infolist():
        name = safe(info.filename, path)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(f"{path} holds a link, '{info.filename}'; it is not read")
        if not info.is_dir():
            if info.flag_bits & 1:
                raise DataError(f"{path} is encrypted; decrypt it first")
            unfolded(f"'{name}' in {path}", info.compress_size, info.file_size)
            names[name] = info
    wanted = tree(spec, path, names, archived=True)

    def items() -> Iterator[Item]:
        with archive:
            for name, info in wanted:
                domain, part, label = place(name, spec)
                called = f"{path}/{info.filename}"
                content = within_limit(info.file_size, called, partial(archive.read, info))
                yield Item(called, content, label, part, domain)

    return Listing(len(wanted), items(), ignored=others(names, len(wanted)))


def tarred(path: Path, spec: Images) -> Listing:
    """A tar archive, compressed or not; read where it lies, never unpacked."""
    names = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = safe(member.name, path)
            if member.issym() or member.islnk() or member.isdev():
                raise DataError(f"{path} holds a link or a device, '{member.name}'; it is not read")
            if member.isreg():
                names[name] = member.offset
    wanted = tree(spec, path, names, archived=True)
    by_offset = {offset: name for name, offset in wanted}

    def items() -> Iterator[Item]:
        with tarfile.open(path, "r|*") as stream:  # front to back: a compressed one is read once
            for member in stream:
                if (name := by_offset.get(member.offset)) is not None:
                    domain, part, label = place(name, spec)
                    called = f"{path}/{member.name}"
                    file = stream.extractfile(member)
                    assert file is not None
                    yield Item(called, within_limit(member.size, called, file.read), label, part, domain)

    return Listing(len(wanted), items(), ignored=others(names, len(wanted)))
