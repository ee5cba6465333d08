"""Which reader knows what a user's images lie in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gan_core.config.schema import ImageDomains, ImagePairs, Images, LabelColumns
from gan_core.data.readers.arrays import idx, is_idx, npz, single_npy
from gan_core.data.readers.images import SUFFIXES
from gan_core.data.readers.items import Listing, guarded, said
from gan_core.data.readers.kinds import START, kind_of
from gan_core.data.readers.parquet import parquet
from gan_core.data.readers.trees import ARCHIVES, trees
from gan_core.runtime.errors import DataError


def listing(spec: Images) -> Listing:
    """The images of a declaration. What holds them is told by name: a suffix, or what lies in a folder.

    Raises:
        DataError: it is missing, empty, damaged, dangerous, or not what is declared.
    """
    path = Path(spec.path)
    if not path.exists():
        pointer = path.with_name(path.name + ".dvc")
        fetch = f"; {pointer} tracks it, so `dvc pull {pointer}` fetches it" if pointer.is_file() else ""
        raise DataError(f"path '{path}' is not found{fetch or '; look at `path` in params.yaml'}")
    with said(path):
        read = reader(path)
        if isinstance(spec, ImageDomains) and read is not trees:
            raise DataError(f"{path} holds no folders; `domains` names two folders of a folder or an archive")
        if isinstance(spec, ImagePairs) and read is not trees and (read is not parquet or not spec.folders):
            raise DataError(
                f"{path} holds {'rows' if read is parquet else 'arrays'}; `pairs` names two folders of a folder or an "
                "archive, or two columns of Parquet, or the halves of the images in a folder"
            )
        if isinstance(spec.labels, LabelColumns):
            if read in (idx, npz, single_npy):
                raise DataError(f"{path} holds arrays, whose labels are arrays; set labels to true or false")
            if read is parquet and (spec.labels.table or spec.labels.file):
                raise DataError(f"{path} is Parquet, which is a table itself; declare labels: {{label: <column>}}")
        found = read(path, spec)
    if not found.total:
        held = (
            "; it holds " + ", ".join(f"{n:,} {what}" for what, n in sorted(found.others.items()))
            if found.others
            else ""
        )
        advice = next((f"; {ADVICE[what]}" for what in found.others if what in ADVICE), "")
        raise DataError(f"{path} contains 0 images (looked for {', '.join('*' + s for s in SUFFIXES)}){held}{advice}")
    return replace(found, items=guarded(path, found.items))


ADVICE = {
    ".lmdb": "LMDB is not read: write images or Parquet",
    ".mdb": "LMDB is not read: write images or Parquet",
    ".arrow": "Arrow files of the `datasets` library are not read: write Parquet with `Dataset.to_parquet`",
    ".h5": "HDF5 is not read: save its arrays with `numpy.savez(path, images=..., labels=...)`",
    ".hdf5": "HDF5 is not read: save its arrays with `numpy.savez(path, images=..., labels=...)`",
    ".mat": "MATLAB files are not read: save their arrays with `numpy.savez(path, images=..., labels=...)`",
    ".tfrecord": "TFRecords are not read: write images, or Parquet",
    ".tfrecords": "TFRecords are not read: write images, or Parquet",
    ".pkl": "pickles are never read: save their arrays with `numpy.savez(path, images=..., labels=...)`",
    ".pickle": "pickles are never read: save their arrays with `numpy.savez(path, images=..., labels=...)`",
    ".pt": "pickles are never read: save their arrays with `numpy.savez(path, images=..., labels=...)`",
    "Python pickle": "pickles are never read: save their arrays with `numpy.savez(path, images=..., labels=...)`",
    ".rar": "rar is not read: pack a zip or tar archive",
    ".7z": "7z is not read: pack a zip or tar archive",
    ".mp4": "videos are not read: take pictures out of them first, for example with ffmpeg",
    ".mov": "videos are not read: take pictures out of them first, for example with ffmpeg",
    ".avi": "videos are not read: take pictures out of them first, for example with ffmpeg",
    ".dcm": "DICOM is not read: save its pixels with `numpy.savez(path, images=...)`, and declare their range",
    ".npy": "of several arrays write one npz file",
}
"""What to do with what is not read."""


def state_of(path: Path) -> str:
    """What tells whether anything at a path has changed: a digest of names, sizes and times of all its files."""
    here = os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]
    seen = hashlib.blake2b()
    for folder, _, names in sorted(here):
        for name in sorted(names):
            entry = os.path.join(folder, name)  # noqa: PTH118 (a Path a file would be most of it)
            about = os.stat(entry) if os.path.exists(entry) else None  # noqa: PTH110, PTH116
            seen.update(
                f"{entry}\0{about and (about.st_size, about.st_mtime_ns, about.st_ino)}\0".encode(errors="replace")
            )
    return seen.hexdigest()


def reader(path: Path) -> Callable[[Path, Images], Listing]:
    """Which of the readers knows what lies at a path.

    Raises:
        DataError: none does.
    """
    names = sorted(p.name for p in path.iterdir()) if path.is_dir() else [path.name]
    if any(is_idx(name) for name in names):
        return idx
    if path.is_dir():
        return parquet if any(path.rglob("*.parquet")) else trees
    for ends, read in ((".npz", npz), (".npy", single_npy), (".parquet", parquet)):
        if path.name.endswith(ends):
            return read
    if path.name.lower().endswith(ARCHIVES):
        return trees
    with path.open("rb") as file:
        kind = kind_of(file.read(START))
    advice = ADVICE.get(path.suffix.lower()) or ADVICE.get(kind or "") or "rename it to what it is"
    raise DataError(
        f"{path} is no folder, *.zip, *.tar, *.npz, *.npy, *.parquet or *-images-idx3-ubyte"
        f"{f', but {kind}' if kind else ''}; {advice}"
    )
