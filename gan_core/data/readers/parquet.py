"""Parquet, as data sets on the Hugging Face hub are laid out: a column of {bytes, path}, a column of labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_core.config.schema import Images
from gan_core.data.readers.items import PART_NAMES, Item, Listing, first_line, inside
from gan_core.runtime.errors import DataError, EnvironmentFailure

LABELS = ("label", "labels", "class", "fine_label", "target", "y")


def parquet(path: Path, spec: Images) -> Listing:
    """One file, or all below a folder; the part is in a file's name (train-00000-of-00002.parquet)."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise EnvironmentFailure(f"{path} is Parquet, and pyarrow is not installed; `pip install pyarrow`") from None
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    total, streams = 0, []
    names: tuple[str, ...] = ()
    for file in files:
        if path.is_dir() and file.is_symlink():
            inside(file, path.resolve())
        part = next((p for word, p in PART_NAMES.items() if file.name.startswith(word)), None)
        if spec.heldout == "official" and part is None:
            raise DataError(f"heldout is 'official', and the name of {file} begins with neither train nor test")
        with arrow_said(pa, file), pq.ParquetFile(file) as opened_file:
            schema = opened_file.schema_arrow
            image, label = image_column(pa, schema, file), label_column(schema, file) if spec.labels else None
            names = class_names(schema, label) or names
            total += opened_file.metadata.num_rows
        streams.append((file, image, label, part if spec.heldout == "official" else None))

    def items() -> Iterator[Item]:
        for file, image, label, part in streams:
            with arrow_said(pa, file), pq.ParquetFile(file) as stream:
                k = 0
                for batch in stream.iter_batches(64, columns=[c for c in (image, label) if c], use_threads=False):
                    labels = batch.column(label).to_pylist() if label else [None] * len(batch)
                    for value, y in zip(batch.column(image).to_pylist(), labels, strict=True):
                        content = value.get("bytes") if isinstance(value, dict) else value
                        if label and (not isinstance(y, (int, str)) or (isinstance(y, int) and not 0 <= y < total)):
                            raise DataError(f"{file}[{k}] is label {y!r}; classes are names, or whole numbers from 0")
                        yield Item(f"{file}[{k}]", content or b"", y, part)
                        k += 1

    return Listing(total, items(), names)


@contextmanager
def arrow_said(pa: Any, path: Path) -> Iterator[None]:
    """Arrow's words for a damaged file."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{path} is damaged ({first_line(error)}); fetch it again") from None


def image_column(pa: Any, schema: Any, path: Path) -> str:
    """The one column of images.

    Raises:
        DataError: there is none, or more than one.
    """
    found = [
        f.name
        for f in schema
        if (pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0)
        or pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)
    ]  # fmt: skip
    if len(found) != 1:
        raise DataError(f"{path} must have one column of images, and has {found or 'none'} among {schema.names}")
    return str(found[0])


def label_column(schema: Any, path: Path) -> str:
    """The column of labels.

    Raises:
        DataError: there is none.
    """
    for name in LABELS:
        if name in schema.names:
            return name
    raise DataError(f"{path} has no column of labels ({', '.join(LABELS)}) among {schema.names}; set labels to false")


def class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """The names of numbered classes, where the file's notes tell them."""
    try:
        notes = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(map(str, notes["info"]["features"][label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()
