"""Which reader knows what a user's images lie in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gan_core.config.schema import ImageDomains, Images
from gan_core.data.readers.arrays import idx, is_idx, npz, single_npy
from gan_core.data.readers.images import SUFFIXES
from gan_core.data.readers.items import Listing, guarded, said
from gan_core.data.readers.parquet import parquet
from gan_core.data.readers.trees import folder, tarred, zipped
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
        if isinstance(spec, ImageDomains) and read not in (folder, zipped, tarred):
            raise DataError(f"{path} holds no folders; `domains` names two folders of a folder or an archive")
        found = read(path, spec)
    if not found.total:
        raise DataError(f"{path} contains 0 images (looked for {', '.join('*' + s for s in SUFFIXES)})")
    return replace(found, items=guarded(path, found.items))


def reader(path: Path) -> Callable[[Path, Images], Listing]:
    """Which of the readers below knows what lies at a path."""
    names = sorted(p.name for p in path.iterdir()) if path.is_dir() else [path.name]
    if any(is_idx(name) for name in names):
        return idx
    if path.is_dir():
        return parquet if any(path.rglob("*.parquet")) else folder
    for ends, read in ((".zip", zipped), (".npz", npz), (".npy", single_npy), (".parquet", parquet)):
        if path.name.endswith(ends):
            return read
    if re.search(r"\.(tar|tgz|tar\.(gz|xz|bz2))$", path.name):
        return tarred
    raise DataError(
        f"{path} is no folder, *.zip, *.tar, *.npz, *.npy, *.parquet or *-images-idx3-ubyte; rename it to what it is"
    )
