"""Labels from a table beside the images: CSV, TSV, JSON, JSON lines, and the dataset.json of StyleGAN's tools.

A table names files and their classes. A file is found under its path from the folder that is read or from that of the
table, under its name alone, or under its name without suffix, where only one image is called so.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gan_core.config.schema import LabelColumns
from gan_core.data.readers.items import NO_CLASS, label_of, listed
from gan_core.runtime.errors import DataError

TABLES = (".csv", ".tsv", ".json", ".jsonl")
FILE_COLUMNS = (
    "file_name",
    "filename",
    "file",
    "filepath",
    "path",
    "image",
    "img",
    "image_path",
    "image_id",
    "name",
    "id",
)
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y")
"""Names of columns that are looked for where none is declared, the likeliest first."""
LOOKED_AT = 1_000
"""Rows that are looked at to find the column of files."""


@dataclass
class Labels:
    """What a table says of the images it was asked about."""

    of: dict[str, str]
    """The label of each image that has one row, or several that agree."""
    faults: dict[str, str]
    """Images of which the table says nothing that can be used, and why."""
    without_row: list[str]
    """Images that are not in it."""
    without_file: list[str]
    """What it names and no image is called."""


def labels_of(name: str, content: bytes, asked: LabelColumns | None, images: Iterable[str]) -> Labels:
    """The labels that the table ``name`` gives to ``images``; ``asked``: the columns that are declared, or none.

    Raises:
        DataError: it is no table, lacks a column, or names hardly any of the images.
    """
    rows = rows_of(name, content)
    if not rows:
        raise DataError(f"{name} has no rows; give it one row an image, with its file and its class")
    wanted = list(images)
    find = finder(wanted, PurePosixPath(name).parent)
    file, label = columns(name, rows, asked, find)
    found = Labels({}, {}, [], [])
    for row in rows:
        meant = row.get(file)
        if (image := find(str(meant))) is None:
            found.without_file.append(str(meant))
            continue
        said = label_of(row.get(label))
        if said is None:
            found.faults.setdefault(image, f"{NO_CLASS} in {name} ({label}: {row.get(label)!r})")
        elif found.of.setdefault(image, said) != said:
            found.faults[image] = f"has two classes in {name}, '{found.of[image]}' and '{said}'"
    found.of = {image: said for image, said in found.of.items() if image not in found.faults}
    found.without_row = [i for i in wanted if i not in found.of and i not in found.faults]
    if 2 * len(found.without_row) > len(wanted):
        raise DataError(
            f"{name} names {len(wanted) - len(found.without_row):,} of {len(wanted):,} images in its column '{file}', "
            f"which says for example {rows[0].get(file)!r}, where an image is called '{found.without_row[0]}'; "
            "declare labels: {table: ..., file: ..., label: ...} with the column of files, or mend the table"
        )
    return found


def rows_of(name: str, content: bytes) -> list[Mapping[str, Any]]:
    """The rows of a table by column.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
        if name.endswith(".json"):
            return json_rows(json.loads(text))
        if name.endswith(".jsonl"):
            return json_rows([json.loads(line) for line in text.splitlines() if line.strip()])
        return csv_rows(name, text)
    except UnicodeDecodeError:
        raise DataError(f"{name} is not in UTF-8; save it as UTF-8") from None
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(
            f"{name} cannot be read as a table ({error}); it is a list of objects, {{file: label}}, or StyleGAN's "
            '{"labels": [[file, label], ...]}, or has a head line with the names of its columns'
        ) from None


def csv_rows(name: str, text: str) -> list[Mapping[str, Any]]:
    """Rows below a head line; what parts columns is what the head line has most of."""
    head = text.split("\n", 1)[0]
    parts = "\t" if name.endswith(".tsv") else max(",;\t|", key=head.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=parts, skipinitialspace=True)
    if len(rows.fieldnames or ()) < 2:
        raise ValueError(f"its head line is {head.strip()!r}")
    return list(rows)


def json_rows(value: Any) -> list[Mapping[str, Any]]:
    """A list of objects; ``{file: label}`` or ``{file: object}``; or what StyleGAN's dataset.json holds."""
    if isinstance(value, dict) and isinstance(value.get("labels"), list):
        return [{"file": file, "label": label} for file, label in value["labels"]]
    if isinstance(value, dict):
        return [{"file": f, **(v if isinstance(v, dict) else {"label": v})} for f, v in value.items()]
    if not all(isinstance(row, dict) for row in value):
        raise ValueError("its rows are no objects")
    return list(value)


def finder(images: list[str], beside: PurePosixPath) -> Callable[[str], str | None]:
    """Finds the image that a table means by a name: None, if there is none, or more than one."""
    known: dict[str, str | None] = {}
    for called in (lambda p: p.name, lambda p: p.stem, lambda p: str(p.with_suffix("")), str):
        once: dict[str, str | None] = {}
        for image in images:
            name = called(PurePosixPath(image))
            once[name] = None if name in once else image
        known |= once

    def find(name: str) -> str | None:
        plain = str(PurePosixPath(name.strip().replace("\\", "/")))
        return known.get(plain) or known.get(str(beside / plain)) or known.get(PurePosixPath(plain).name)

    return find


def columns(
    name: str, rows: list[Mapping[str, Any]], asked: LabelColumns | None, find: Callable[[str], str | None]
) -> tuple[str, str]:
    """The columns of files and of labels: those declared, or those that are called and filled as such usually are.

    Raises:
        DataError: there is none, or it cannot be told which.
    """
    there = list(dict.fromkeys(key for row in rows[:LOOKED_AT] for key in row if key is not None))
    for column in (asked.file, asked.label) if asked else ():
        if column is not None and column not in there:
            raise DataError(f"{name} has no column '{column}', only {listed(there)}")

    def likely(column: str) -> tuple[int, bool]:
        hits = sum(find(str(row.get(column))) is not None for row in rows[:LOOKED_AT])
        return hits, column.lower() in FILE_COLUMNS

    file = asked.file if asked and asked.file else max(there, key=likely)
    if asked and asked.label:
        return file, asked.label
    others = [c for c in there if c != file]
    label = next((c for usual in LABEL_COLUMNS for c in others if c.lower() == usual), None)
    if label is None and len(others) == 1:
        label = others[0]
    if label is None:
        raise DataError(
            f"which column of {name} is the class? It has {listed(there)}; declare labels: "
            f"{{table: {PurePosixPath(name).name}, label: <column>}}"
        )
    return file, label
