"""Folders and archives: where an image lies says its domain, part and class, in that order; a table may say the class.

A folder may hold archives: numbered ones are parts of one set, any other is as a folder of its name. Beside an image a
file of its name may hold its class: ``.cls`` as in WebDataset, or ``.json`` with a column of classes.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from gan_core.config.schema import TABLES, ImagePairs, Images, LabelColumns
from gan_core.data.readers.images import SUFFIXES
from gan_core.data.readers.items import (
    MOST_BYTES,
    NO_CLASS,
    PART_NAMES,
    Item,
    Listing,
    inside,
    label_of,
    listed,
    unfolded,
)
from gan_core.data.readers.kinds import IMAGES, START, kind_of
from gan_core.data.readers.tables import labels_of
from gan_core.runtime.errors import DataError

DATASET_JSON = "dataset.json"
"""Where StyleGAN's tools write labels."""
LEFT_BEHIND = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle")
"""Folders that systems make; what lies in them is nobody's."""
NO_IMAGES = (*TABLES, ".cls", ".txt", ".md", ".xml", ".html", ".yaml", ".yml", ".py", ".npy", ".pdf", ".dvc")
"""Suffixes of files that are not looked into."""
NO_PARTNER = "have no partner"
"""What is said of images that are to be in pairs, and are not."""
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
NUMBER = re.compile(r"[-_.]?\d+(-of-\d+)?$")
"""At the end of the name of an archive that is one of many."""


class Source(Protocol):
    """A folder or an archive."""

    path: Path

    @property
    def names(self) -> Mapping[str, Any]:
        """Of its files, in the order in which they are read best."""

    def read(self, name: str, most: int = ...) -> bytes:
        """The first bytes of a file, or all."""

    def called(self, name: str) -> str:
        """What messages call it."""


class Folder:
    """A folder, with all folders below."""

    def __init__(self, path: Path, links: str | None) -> None:
        names: dict[str, None] = {}
        self.path, self._above, root = path, f"{path}/", path.resolve()
        for here, folders, found in os.walk(path):
            folders[:] = [name for name in folders if not hidden(name)]
            for name in folders + found:
                if os.path.islink(os.path.join(here, name)):  # noqa: PTH114, PTH118 (a Path a file would be most of it)
                    inside(Path(here, name), root, links)
            above = Path(here).relative_to(path).as_posix()
            names |= dict.fromkeys(name if above == "." else f"{above}/{name}" for name in found)
        self.names = dict.fromkeys(sorted(names))

    def called(self, name: str) -> str:
        """Its path."""
        return self._above + name

    def read(self, name: str, most: int = MOST_BYTES + 1) -> bytes:
        """The first bytes of a file, or all."""
        entry = self.called(name)
        if not os.path.isfile(entry):  # noqa: PTH113 (as above)
            raise DataError(f"{entry} is no file; remove it")
        with open(entry, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(min(os.fstat(file.fileno()).st_size, most))


class Zip:
    """A zip archive; read where it lies, never unpacked."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self._archive = path, archive
        names = {}
        for info in self._archive.infolist():
            name = safe(info.filename, path)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise DataError(f"{path} holds a link, '{info.filename}'; it is not read")
            if not info.is_dir():
                if info.flag_bits & 1:
                    raise DataError(f"{path} is encrypted; decrypt it first")
                unfolded(f"'{name}' in {path}", info.compress_size, info.file_size)
                names[name] = info
        self.names = dict(sorted(names.items()))

    def called(self, name: str) -> str:
        """As the archive has it."""
        return f"{self.path}/{self.names[name].filename}"

    def read(self, name: str, most: int = MOST_BYTES + 1) -> bytes:
        """The first bytes of a file, or all."""
        with self._archive.open(self.names[name]) as file:
            return file.read(most)


class Tar:
    """A tar archive, compressed or not; read where it lies, front to back, never unpacked."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self.path, self._archive = path, archive
        self.names: dict[str, tarfile.TarInfo] = {}
        for member in self._archive:
            name = safe(member.name, path)
            if member.issym() or member.islnk() or member.isdev():
                raise DataError(f"{path} holds a link or a device, '{member.name}'; it is not read")
            if member.isreg():
                self.names[name] = member

    def called(self, name: str) -> str:
        """As the archive has it."""
        return f"{self.path}/{self.names[name].name}"

    def read(self, name: str, most: int = MOST_BYTES + 1) -> bytes:
        """The first bytes of a file, or all."""
        file = self._archive.extractfile(self.names[name])
        assert file is not None
        return file.read(most)


class Found(NamedTuple):
    """An image: what holds it, its name there, the path that says where it lies, and what that says."""

    source: Source
    name: str
    place: str
    domain: int
    part: str | None
    folders: list[str]


@dataclass
class Labels:
    """What the classes of images are, one a row; where a fault is, the image cannot be used."""

    of: Sequence[str | None]
    faults: Mapping[int, str] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()
    said: str = ""
    odd: tuple[str, ...] = ()
    read_from: Sequence[str] = ()
    """The files that say it."""


def safe(name: str, archive: Path) -> str:
    """A member's name, if it stays inside.

    Raises:
        DataError: it is absolute or climbs out.
    """
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise DataError(f"{archive} holds a member '{name}' that points out of the archive; it is not read")
    return pure.as_posix()


def suffix_of(name: str) -> str:
    """By what a file that is no image is counted."""
    return PurePosixPath(name.lower()).suffix or "without suffix"


def hidden(name: str) -> bool:
    """What systems leave behind: names with a dot in front, and folders that they make."""
    return any(part.startswith(".") or part in LEFT_BEHIND for part in name.split("/"))


def trees(path: Path, spec: Images) -> Listing:
    """A folder or an archive, or a folder of archives."""
    others: Counter[str] = Counter()
    with ExitStack() as open_now:
        sources = list(opened(path, spec, open_now))
        found = [image for source, above in sources for image in images_of(source, above, spec, others)]
        left_out: list[str] = []
        if spec.folders:
            found = in_domains(found, spec.folders, spec, path)
        if isinstance(spec, ImagePairs):
            found, left_out = in_pairs(found, spec, path) if spec.folders else (in_halves(found), [])
        labels = named(found, sources, spec, path)
        others -= Counter(suffix_of(name) for name in labels.read_from)
        kept = [k for k in range(len(found)) if k not in labels.left_out]
        open_later = open_now.pop_all() if kept else ExitStack()
    unlike = sum(not image.name.lower().endswith(SUFFIXES) for image in found)
    odd = [f"{unlike:,} images are not called as images are, and are told by what they begin with"] if unlike else []

    if left_out:
        odd.append(f"{len(left_out):,} images {NO_PARTNER} and are left out: {listed(left_out)}")

    def items() -> Generator[Item]:
        content, before = b"", None
        with open_later:
            for k in kept:
                source, name, _, domain, part, _ = found[k]
                called = source.called(name)
                content = content if called == before else source.read(name)  # of a file, two halves
                before = called
                if len(content) > MOST_BYTES:
                    raise DataError(f"{called} has more than {MOST_BYTES:,} bytes; no image has, so it is not read")
                yield Item(called, content, labels.of[k], part, domain, labels.faults.get(k))

    def called(k: int) -> str:
        return found[kept[k]].source.called(found[kept[k]].name)

    return Listing(len(kept), items(), others=others, labels_from=labels.said, odd=(*labels.odd, *odd), called=called)


def opened(path: Path, spec: Images, open_now: ExitStack) -> Iterator[tuple[Source, str]]:
    """What lies at a path, and each archive in it, with the folder that it stands for."""
    if not path.is_dir():
        yield archive(path, open_now), ""
        return
    folder = Folder(path, spec.links)
    yield folder, ""
    archives = [n for n in folder.names if n.lower().endswith(ARCHIVES) and not hidden(n)]
    stems = [PurePosixPath(name).name.split(".")[0] for name in archives]
    one_set = len(stems) > 1 and len({NUMBER.sub("", stem) for stem in stems}) == 1
    for name, stem in zip(archives, stems, strict=True):
        part = NUMBER.sub("", stem)  # train-0003 is a piece of train
        if spec.heldout == "official" and part.lower() in PART_NAMES:
            above = f"{part}/"
        else:
            above = "" if one_set or part.lower() in PART_NAMES else f"{stem}/"
        yield archive(path / name, open_now), above


def archive(path: Path, open_now: ExitStack) -> Zip | Tar:
    """A zip or tar archive, open as long as ``open_now``."""
    file = zipfile.ZipFile(path) if path.suffix.lower() == ".zip" else tarfile.open(path)  # noqa: SIM115
    open_now.enter_context(file)
    return Zip(path, file) if isinstance(file, zipfile.ZipFile) else Tar(path, file)


def images_of(source: Source, above: str, spec: Images, others: Counter[str]) -> list[Found]:
    """The images among the files of a source; of an archive without the one folder that all lie in.

    Raises:
        DataError: heldout is official, and an image lies in no part.
    """
    names = []
    for name in source.names:
        lower = name.lower()
        if hidden(name) or (isinstance(source, Folder) and lower.endswith(ARCHIVES)):
            continue
        if lower.endswith(SUFFIXES) or (not lower.endswith(NO_IMAGES) and kind_of(source.read(name, START)) in IMAGES):
            names.append(name)
        else:
            others[suffix_of(name)] += 1
    tops = {name.split("/", 1)[0] for name in names}
    alone = not isinstance(source, Folder) and len(tops) == 1
    levels = bool(spec.folders) + (spec.heldout == "official") + (spec.labels is True)
    depth = levels - above.count("/")
    cut = len(next(iter(tops))) + 1 if alone and all(name.count("/") > depth for name in names) else 0
    places = [above + name[cut:] for name in names]
    return [
        Found(source, name, place, *said_by_folders(place, spec)) for name, place in zip(names, places, strict=True)
    ]


def in_domains(found: list[Found], names: Sequence[str], spec: Images, path: Path) -> list[Found]:
    """The images that lie in one of the domains.

    Raises:
        DataError: a domain has none.
    """
    kept = [image for image in found if image.domain >= 0]
    there = {image.domain for image in kept}
    for domain, name in enumerate(names):
        if domain not in there:
            folders = sorted({"/".join(image.place.split("/")[:2][: image.place.count("/")]) for image in found} - {""})
            split = any(name in folder.split("/")[1:] or folder.endswith(f"n{name}") for folder in folders)
            hint = (
                "; declare heldout: official, if these are parts of it" if split and spec.heldout != "official" else ""
            )
            raise DataError(
                f"domain '{name}' has 0 images: {path} needs a folder of that name with images in it, and has "
                f"{listed(folders) or 'no folders'}{hint}"
            )
    return kept


def in_pairs(found: list[Found], spec: ImagePairs, path: Path) -> tuple[list[Found], list[str]]:
    """Every source with its target behind it, and the names of those without a partner.

    Partners have the same name but for the suffix, below folders of the same names.

    Raises:
        DataError: an image has no partner, and none is to be left out; or hardly any has; or two are called the same.
    """
    known: tuple[dict[tuple[Any, ...], Found], ...] = ({}, {})
    for image in found:
        key = (image.part, *image.folders, PurePosixPath(image.place).stem)
        if (other := known[image.domain].setdefault(key, image)) is not image:
            raise DataError(
                f"{other.source.called(other.name)} and {image.source.called(image.name)} are called the same but for "
                "their suffix, so which of them is meant is not known; remove or rename one"
            )
    sources, targets = known
    pairs = [image for key, source in sources.items() if key in targets for image in (source, targets[key])]
    alone = [image for one, other in (known, known[::-1]) for key, image in one.items() if key not in other]
    names = [image.source.called(image.name) for image in alone]
    if alone and (spec.on_bad_image == "error" or len(pairs) < len(alone)):
        raise DataError(
            f"{len(alone):,} of {len(found):,} images in {path} have no partner of their name: {listed(names, 4)}; "
            f"the folders {listed(spec.folders)} must hold files of the same names"
            + ("; mend it, or declare on_bad_image: skip" if len(pairs) >= len(alone) else "")
        )
    return pairs, names


def in_halves(found: list[Found]) -> list[Found]:
    """Every image twice: the half that is its source, and the half that is its target."""
    return [image._replace(domain=domain) for image in found for domain in (0, 1)]


def said_by_folders(place: str, spec: Images) -> tuple[int, str | None, list[str]]:
    """What the folders above an image say: its domain (-1: none of those declared), its part, and what is left of them.

    Parts and domains may stand in either order, or in one word: A/train, train/A, trainA.

    Raises:
        DataError: heldout is official, and they name no part.
    """
    above = place.split("/")[:-1]
    official, domain, part = spec.heldout == "official", 0, None
    if spec.folders:
        for k, name in enumerate(spec.folders):
            joined = next((p for w, p in PART_NAMES.items() if official and above[:1] == [w + name]), None)
            if joined:
                return k, joined, above[1:]
        if official and above[:1] and above[0].lower() in PART_NAMES:
            above[:2] = above[:2][::-1]
        if not above or above[0] not in spec.folders:
            return -1, None, above
        domain = spec.folders.index(above.pop(0))
    if official:
        part = PART_NAMES.get(above.pop(0).lower()) if above else None
        if part is None:
            raise DataError(f"heldout is 'official', and '{place}' lies neither in a folder train nor in a folder test")
    return domain, part, above


def named(found: list[Found], sources: list[tuple[Source, str]], spec: Images, path: Path) -> Labels:
    """The classes of images, from where the declaration says.

    Raises:
        DataError: they are not there.
    """
    if not spec.labels:
        return Labels([None] * len(found))
    top = sources[0][0]
    if isinstance(spec.labels, LabelColumns):
        if spec.labels.table is None:
            return beside(found, sources, ".json", spec.labels.label)
        return from_table(found, top, find_table(top, spec.labels.table), spec.labels)
    table = min(filter(is_dataset_json, top.names), key=lambda name: name.count("/"), default=None)
    if table and found:
        return from_table(found, top, table, None)
    if any(name.lower().endswith(".cls") for source, _ in sources for name in source.names):
        return beside(found, sources, ".cls", None)
    return from_folders(found, top, spec, path)


def is_dataset_json(name: str) -> bool:
    """Whether a file is called as StyleGAN's labels, at the top or in the one folder of an archive."""
    return name.endswith(DATASET_JSON) and name.rpartition("/")[2] == DATASET_JSON and name.count("/") <= 1


def find_table(source: Source, table: str) -> str:
    """The name of a declared table in its source.

    Raises:
        DataError: it is not there.
    """
    there = [name for name in source.names if name == table or name.endswith(f"/{table}")]
    if not there:
        tables = tables_in(source)
        raise DataError(
            f"labels names the table '{table}', which is not in {source.path}"
            + (f"; there are {listed(tables)}" if tables else "; let `path` be the folder that holds images and table")
        )
    return min(there, key=len)


def tables_in(source: Source) -> list[str]:
    """The tables among its files."""
    return [name for name in source.names if name.lower().endswith(TABLES) and not hidden(name)]


def from_table(found: list[Found], source: Source, table: str, asked: LabelColumns | None) -> Labels:
    """The classes that a table gives; images without a row are left out."""
    content = source.read(table)
    if table.endswith(DATASET_JSON) and asked is None and json.loads(content).get("labels") is None:
        raise DataError(
            f"{source.called(table)} holds no labels; set labels to false, or remove it if folders name the classes"
        )
    places = [image.place for image in found]
    said = labels_of(table, content, asked, places)
    number = {place: k for k, place in enumerate(places)}
    odd = []
    for names, words in (
        (said.without_row, f"images have no row in {table} and are left out"),
        (said.without_file, f"rows of {table} name no image that is there"),
    ):
        if names:
            odd.append(f"{len(names):,} {words}: {listed(names)}")
    return Labels(
        [said.of.get(place) for place in places],
        {number[place]: fault for place, fault in said.faults.items()},
        frozenset(number[place] for place in said.without_row),
        PurePosixPath(table).name,
        tuple(odd),
        [table],
    )


def beside(found: list[Found], sources: list[tuple[Source, str]], suffix: str, column: str | None) -> Labels:
    """The classes that files beside the images hold, each in a file of the image's name."""
    labels: list[str | None] = []
    faults, read_from = {}, []
    for k, image in enumerate(found):
        name = str(PurePosixPath(image.name).with_suffix(suffix))
        content = image.source.read(name) if name in image.source.names else b""
        read_from += [name] if name in image.source.names else []
        try:
            value = content.decode() if column is None else json.loads(content or b"{}").get(column)
            labels.append(label_of(value.strip() if isinstance(value, str) else value))
        except (ValueError, AttributeError):
            labels.append(None)
        if labels[-1] is None:
            of = f", column '{column}'" if column else ""
            faults[k] = f"{NO_CLASS} ({PurePosixPath(name).name}{of})"
    said = f"a file {suffix} beside each image" + (f", column '{column}'" if column else "")
    return Labels(labels, faults, said=said, read_from=read_from)


def from_folders(found: list[Found], top: Source, spec: Images, path: Path) -> Labels:
    """The classes that folders name.

    Raises:
        DataError: an image lies in none, or the folders are parts.
    """
    labels = []
    for image in found:
        if not image.folders:
            tables = tables_in(top)
            table = f"declare labels: {tables[0]}, if that names them, or " if tables else ""
            raise DataError(
                f"labels is true, and '{image.place}' lies in no folder that names its class; {table}set labels to "
                "false"
            )
        labels.append(image.folders[0])
    classes = sorted(set(labels))
    if classes and spec.heldout != "official" and {c.lower() for c in classes} <= PART_NAMES.keys():
        raise DataError(
            f"the folders in {path} are called {', '.join(classes)}, which are parts, not classes; declare heldout: "
            f"official, or let `path` be {path}/{classes[0]}"
        )
    deeper = sorted({image.folders[1] for image in found if len(image.folders) > 1})
    if len(classes) == 1 and len(deeper) > 1:
        raise DataError(
            f"all images in {path} lie in the one folder '{classes[0]}', whose folders are called {listed(deeper)}; "
            f"let `path` be {path}/{classes[0]} if these are the classes, or set labels to false"
        )
    return Labels(labels, said="folders")
