"""Arrays of pixels: IDX files as MNIST's, npy and npz. They are read some rows at a time; pickles are never read."""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Generator, Iterable, Iterator
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from gan_core.config.schema import Images
from gan_core.data.readers.images import MOST_PIXELS
from gan_core.data.readers.items import NO_CLASS, PART_NAMES, Item, Listing, label_of, listed, unfolded
from gan_core.runtime.errors import DataError

BLOCK = 1 << 20
"""Bytes of plain pixels read at once."""


def rows(file: IO[bytes], count: int, shape: tuple[int, ...], dtype: Any, name: object) -> Iterator[NDArray[Any]]:
    """Blocks of rows of an array that follows in a file.

    Raises:
        DataError: it ends too early, or goes on.
    """
    if prod(shape) > MOST_PIXELS * 4:
        raise DataError(f"{name} holds rows of shape {shape}; no image is that large")
    each = prod(shape) * np.dtype(dtype).itemsize
    block = max(BLOCK // max(each, 1), 1)
    for start in range(0, count, block):
        n = min(block, count - start)
        content = read_exactly(file, n * each)
        if len(content) < n * each:
            raise DataError(
                f"{name} is cut short: {count} rows are announced, {start + len(content) // each} are there"
            )
        yield np.frombuffer(content, dtype).reshape(n, *shape)
    if file.read(1):
        raise DataError(f"{name} goes on after its {count} rows; it is damaged")


def read_exactly(file: IO[bytes], size: int) -> bytes:
    """So many bytes, or all that are left."""
    pieces, left = [], size
    while left and (piece := file.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def pixels(block: NDArray[Any], first: int, name: object, spec: Images) -> NDArray[Any]:
    """Pixels of 8 bits as they are, whole numbers of 0 to 255 as those, and all else that has a range.

    Raises:
        DataError: NaN, or numbers beyond 0 to 255, of floats beyond 0 to 1, where no range is declared.
    """
    if not block.dtype.isnative:
        block = block.astype(block.dtype.newbyteorder("="))
    if block.dtype == np.bool_:
        return block.astype(np.uint8) * np.uint8(255)
    if block.dtype.kind not in "iuf":
        raise DataError(f"{name} holds {block.dtype}, not pixels; save it as uint8")
    if block.dtype in (np.uint8, np.uint16) or spec.range:
        return block
    most = 1 if block.dtype.kind == "f" else 255
    wrong = ~((block >= 0) & (block <= most))
    if wrong.any():
        at = np.unravel_index(int(wrong.argmax()), block.shape)
        raise DataError(
            f"{name}[{first + int(at[0])}] holds {block[at]}; {block.dtype} pixels must lie in 0 to {most}, so scale "
            "them, or save them as uint8, or declare range: [lowest, highest] or measured"
        )
    return block if most == 1 else block.astype(np.uint8)


def pictures(shape: tuple[int, ...], name: object) -> None:
    """Refuse an array that holds no images.

    Raises:
        DataError: with its shape.
    """
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))) or 0 in shape[1:]:
        raise DataError(f"{name} has shape {shape}; images are (N, height, width) or (N, height, width, 1, 3 or 4)")


def drawn(
    blocks: Iterator[NDArray[Any]], labels: list[str | None] | None, name: object, part: str | None, spec: Images
) -> Iterator[Item]:
    """The items of an array of images, one label a row."""
    k = 0
    for block in blocks:
        for image in pixels(block, k, name, spec):
            image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
            label = None if labels is None else labels[k]
            yield Item(f"{name}[{k}]", image, label, part, fault=NO_CLASS if labels and label is None else None)
            k += 1


def checked(labels: NDArray[Any], count: int, name: object) -> list[str | None]:
    """Labels (N,), or one-hot rows (N, classes), one an image, as the names of classes.

    Raises:
        DataError: another number of them, or what names no class.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape[:1] != (count,):
        raise DataError(
            f"{name} holds {len(labels) if labels.ndim else 0} labels for {count} images; they must be as many"
        )
    if (
        labels.ndim == 2
        and labels.dtype.kind in "biuf"
        and (labels.sum(1) == 1).all()
        and ((labels == 0) | (labels == 1)).all()
    ):
        labels = labels.argmax(1)
    if labels.ndim != 1 or labels.dtype.kind not in "biufUS":
        raise DataError(
            f"{name} holds labels of type {labels.dtype} and shape {labels.shape}; a class is one whole number or word"
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    broken = np.flatnonzero(labels != np.rint(labels)) if labels.dtype.kind == "f" else ()
    for k in broken:
        if labels[k] == labels[k]:
            raise DataError(f"{name}[{k}] is label {labels[k]}; a class is one whole number or word, not a quantity")
    return [label_of(value) for value in labels.tolist()]


def are_numbers(arrays: Iterable[list[str | None] | None]) -> bool:
    """Whether all labels of all arrays are whole numbers from 0."""
    return all(label is None or label.isdecimal() for labels in arrays for label in labels or ())


def is_idx(name: str) -> bool:
    """Whether a file is called as the images of MNIST are."""
    return bool(re.search(r"images.idx[34]-ubyte(\.gz)?$", name))


def idx(path: Path, spec: Images) -> Listing:
    """IDX files as MNIST's: ``train-images-idx3-ubyte`` and ``t10k-...``, the labels beside them, gz or not."""
    files = sorted(p for p in path.iterdir() if is_idx(p.name)) if path.is_dir() else [path]
    if spec.labels and not path.is_dir():
        raise DataError(f"labels is true, and {path} is one file; let `path` be the folder with images and labels")
    files.sort(key=lambda p: "train" not in p.name)
    streams, total = [], 0
    for file in files:
        part = ("train" if "train" in file.name else "heldout") if spec.heldout == "official" else None
        with opened(file) as stream:
            shape = idx_header(stream, file)
        pictures(shape, file)
        labels = None
        if spec.labels:
            meant = re.sub(r"images(.)idx\d", r"labels\1idx1", file.name.removesuffix(".gz"))
            beside = [p for p in sorted(path.iterdir()) if p.name.removesuffix(".gz") == meant]
            if not beside:
                raise DataError(f"{file} has no labels beside it ({meant}); fetch them, or set labels to false")
            with opened(beside[0]) as stream:
                (count,) = idx_header(stream, beside[0], 1)
                found = [*rows(stream, count, (), np.uint8, beside[0])]
            labels = checked(np.concatenate(found or [np.empty(0, np.uint8)]), shape[0], beside[0])
        unfolded(file, file.stat().st_size, prod(shape) if file.name.endswith(".gz") else 0)
        streams.append((file, shape, labels, part))
        total += shape[0]
    if spec.heldout == "official" and {part for *_, part in streams} != {"train", "heldout"}:
        raise DataError(f"heldout is 'official', and {path} lacks the files of train or of t10k; declare a share")

    def items() -> Generator[Item]:
        for file, shape, labels, part in streams:
            with opened(file) as stream:
                idx_header(stream, file)
                yield from drawn(rows(stream, shape[0], shape[1:], np.uint8, file), labels, file, part, spec)

    return Listing(total, items(), numbers=are_numbers(labels for _, *_, labels, _ in streams), encoded=False)


def opened(path: Path) -> IO[bytes]:
    """A file, decompressed on the way if its name says gz."""
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def idx_header(stream: IO[bytes], path: Path, axes: int = 0) -> tuple[int, ...]:
    """The shape of an IDX file of bytes.

    Raises:
        DataError: it is none.
    """
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or magic[3] not in ((axes,) if axes else (3, 4)):
        raise DataError(f"{path} is no IDX file of bytes (it begins with {magic.hex()}); fetch it again")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path} is cut short; fetch it again")
    return tuple(int(n) for n in np.frombuffer(sizes, ">u4"))


def npy_header(stream: IO[bytes], name: object) -> tuple[tuple[int, ...], Any]:
    """Shape and type of an array.

    Raises:
        DataError: it holds Python objects (pickles are never read), or is laid out by columns.
    """
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{name} is of npy version {version}; save it with numpy.save")
    shape, by_columns, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise DataError(f"{name} holds Python objects, which are never read; save arrays of numbers")
    if by_columns and len(shape) > 1:
        raise DataError(f"{name} is laid out by columns; save numpy.ascontiguousarray of it")
    return shape, dtype


def single_npy(path: Path, spec: Images) -> Listing:
    """One array of images."""
    if spec.labels or spec.heldout == "official":
        raise DataError(f"{path} is one array, without labels and parts; use an npz file, or labels: false and a share")
    with path.open("rb") as stream:
        shape, dtype = npy_header(stream, path)
    pictures(shape, path)

    def items() -> Generator[Item]:
        with path.open("rb") as stream:
            npy_header(stream, path)
            yield from drawn(rows(stream, shape[0], shape[1:], dtype, path), None, path, None, spec)

    return Listing(shape[0], items(), encoded=False)


def npz(path: Path, spec: Images) -> Listing:
    """Arrays of images (``images``, ``x_train``, ``train_images``, ...), the labels under the name that fits."""
    archive = zipfile.ZipFile(path)
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        unfolded(f"'{name}' in {path}", info.compress_size, info.file_size)
        with archive.open(info) as stream:
            shapes[name] = npy_header(stream, f"'{name}' in {path}")
    streams, total = [], 0
    for name in sorted((n for n, (shape, _) in shapes.items() if len(shape) >= 3), key=lambda n: "train" not in n):
        part = next((p for word, p in PART_NAMES.items() if word in name.lower()), None)
        if spec.heldout == "official" and part is None:
            raise DataError(f"heldout is 'official', and '{name}' in {path} says neither train nor test")
        shape, _ = shapes[name]
        pictures(shape, f"'{name}' in {path}")
        labels = npz_labels(archive, path, name, shapes) if spec.labels else None
        streams.append((name, labels, part if spec.heldout == "official" else None))
        total += shape[0]
    if not streams:
        raise DataError(f"{path} holds no images: {', '.join(f'{n} {s}' for n, (s, _) in shapes.items()) or 'nothing'}")

    def items() -> Generator[Item]:
        with archive:
            for name, labels, part in streams:
                called = f"{path}:{name}"
                with archive.open(f"{name}.npy") as stream:
                    shape, dtype = npy_header(stream, called)
                    yield from drawn(rows(stream, shape[0], shape[1:], dtype, called), labels, called, part, spec)

    return Listing(total, items(), numbers=are_numbers(labels for _, *_, labels, _ in streams), encoded=False)


def npz_labels(
    archive: zipfile.ZipFile, path: Path, images: str, shapes: dict[str, tuple[tuple[int, ...], Any]]
) -> list[str | None]:
    """The labels of an array of images: of the same name, with y for x, labels for images; or what else is as long.

    Raises:
        DataError: there are none, or not one a row.
    """
    swaps = (("images", "labels"), ("image", "label"), ("imgs", "labels"), ("x", "y"), ("X", "Y"), ("X", "y"))
    more = (("data", "labels"), ("data", "label"), ("imgs", "targets"), ("arr_0", "arr_1"))
    meant = [images.replace(a, b) for a, b in (*swaps, *more) if a in images]
    name = next((n for n in meant if n in shapes and n != images), None)
    count = shapes[images][0][0]
    fits = [n for n, (shape, _) in shapes.items() if n != images and shape[:1] == (count,) and len(shape) <= 2]
    if name is None and len(fits) == 1:
        name = fits[0]
    if name is None:
        others = [n for n in shapes if n != images]
        raise DataError(
            f"'{images}' in {path} has no labels ({' or '.join(dict.fromkeys(meant)) or 'labels'}); there "
            f"{f'are {listed(others)}' if others else 'is no other array'}: rename one, or set labels to false"
        )
    with archive.open(f"{name}.npy") as stream:
        shape, dtype = npy_header(stream, name)
        called = f"'{name}' in {path}"
        if not shape or shape[0] != count or len(shape) > 2:
            raise DataError(f"{called} has shape {shape} for {count} images; one label an image is needed")
        found = [*rows(stream, shape[0], shape[1:], dtype, called)]
    return checked(np.concatenate(found), shape[0], called)
