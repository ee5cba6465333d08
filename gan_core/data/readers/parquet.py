"""Parquet, as data sets on the Hugging Face hub are laid out: a column of {bytes, path}, a column of labels."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gan_core.config.schema import Images, LabelColumns
from gan_core.data.readers.items import NO_CLASS, PART_NAMES, Item, Listing, first_line, inside, label_of, listed
from gan_core.runtime.errors import DataError, EnvironmentFailure

IMAGE_COLUMNS = ("image", "images", "img", "picture")
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
    kinds: dict[str, Path] = {}
    for file in files:
        if path.is_dir() and file.is_symlink():
            inside(file, path.resolve(), spec.links)
        part = next((p for word, p in PART_NAMES.items() if file.name.startswith(word)), None)
        if spec.heldout == "official" and part is None:
            raise DataError(f"heldout is 'official', and the name of {file} begins with neither train nor test")
        with arrow_said(pa, file), pq.ParquetFile(file) as opened_file:
            schema = opened_file.schema_arrow
            images = [image_column(pa, schema, name, file) for name in spec.folders or (spec.image_column,)]
            label = label_column(schema, spec.labels, file) if spec.labels else None
            names = class_names(schema, label) or names
            total += opened_file.metadata.num_rows * len(images)
            kinds.setdefault(kind(pa, schema, label), file)
        streams.append((file, images, label, part if spec.heldout == "official" else None))
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise DataError(f"labels are {one} in {first} and {other} in {second}; write them as one type")

    def items() -> Generator[Item]:
        for file, images, label, part in streams:
            with arrow_said(pa, file), pq.ParquetFile(file) as stream:
                k = 0
                for batch in stream.iter_batches(64, columns=[*images, *([label] if label else [])], use_threads=False):
                    labels = batch.column(label).to_pylist() if label else [None] * len(batch)
                    columns = [batch.column(name).to_pylist() for name in images]
                    for *row, y in zip(*columns, labels, strict=True):
                        of, fault = labelled(y, names, label)
                        for domain, value in enumerate(row):
                            content = value.get("bytes") if isinstance(value, dict) else value
                            name = f"{file}[{k}]" + (f".{images[domain]}" if spec.folders else "")
                            yield Item(name, content or b"", of, part, domain, fault)
                        k += 1

    numbers = set(kinds) == {"numbers"}
    return Listing(
        total, items(), names, numbers, labels_from=f"column '{streams[0][2]}'" if spec.labels and streams else ""
    )


def labelled(value: Any, names: tuple[str, ...], column: str | None) -> tuple[str | None, str | None]:
    """A row's class, or its fault."""
    if column is None:
        return None, None
    if (name := label_of(value)) is None:
        return None, f"{NO_CLASS} ({column}: {value!r})"
    if names and name.isdecimal():
        known = int(name) < len(names)
        return (names[int(name)], None) if known else (None, f"is class {name}, and only {len(names)} are named")
    return name, None


def kind(pa: Any, schema: Any, column: str | None) -> str:
    """What type labels are of, in a word."""
    if column is None:
        return ""
    of = schema.field(column).type
    of = of.value_type if pa.types.is_dictionary(of) else of
    return "numbers" if pa.types.is_integer(of) or pa.types.is_floating(of) else "words"


@contextmanager
def arrow_said(pa: Any, path: Path) -> Iterator[None]:
    """Arrow's words for a damaged file."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{path} is damaged ({first_line(error)}); fetch it again") from None


def image_column(pa: Any, schema: Any, asked: str | None, path: Path) -> str:
    """The column of images: the one that is declared, the only one, or the only one that is called as such.

    Raises:
        DataError: there is none, or more than one.
    """
    found = [
        f.name
        for f in schema
        if (pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0)
        or pa.types.is_binary(f.type) or pa.types.is_large_binary(f.type)
    ]  # fmt: skip
    if asked is not None and asked not in found:
        raise DataError(f"'{asked}' is declared, and the columns of images in {path} are {listed(found) or 'none'}")
    likely = (
        [asked] if asked else found if len(found) == 1 else [name for name in found if name.lower() in IMAGE_COLUMNS]
    )
    if len(likely) == 1:
        return str(likely[0])
    if found:
        raise DataError(
            f"{path} has the columns of images {listed(found)}; declare image_column: {found[0]}, or another"
        )
    raise DataError(f"{path} must have a column of images, and has none among {listed(schema.names)}")


def label_column(schema: Any, asked: bool | LabelColumns, path: Path) -> str:
    """The column of labels: the one that is declared, or that is called as such.

    Raises:
        DataError: there is none.
    """
    declared = asked.label if isinstance(asked, LabelColumns) else None
    for name in [declared] if declared else LABELS:
        if name in schema.names:
            return name
    lacks = f"no column '{declared}'" if declared else f"no column of labels ({', '.join(LABELS)})"
    raise DataError(
        f"{path} has {lacks} among {listed(schema.names)}; declare labels: {{label: <column>}}, or set labels to false"
    )


def class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """The names of numbered classes, where the file's notes tell them."""
    try:
        notes = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(map(str, notes["info"]["features"][label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()
