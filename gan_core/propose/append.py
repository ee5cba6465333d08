"""Entries added to params.yaml as text, so that its comments and all else in it stay as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import yaml

from gan_core.config.checker import Checker, Tree
from gan_core.config.load import load_params
from gan_core.runtime.errors import InputError


def indent_of(text: str, section: str) -> int:
    """How far the entries of a section are indented."""
    value = section_of(text, section)[1]
    return value.value[0][0].start_mark.column if isinstance(value, yaml.MappingNode) and value.value else 2


def section_of(text: str, section: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The key and the value of a section; None, if there is none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    entries = root.value if isinstance(root, yaml.MappingNode) else []
    return next(((key, value) for key, value in entries if key.value == section), (None, None))


def added(text: str, section: str, entry: str) -> str:
    """The text with an entry, lines of YAML, at the end of a section.

    Raises:
        InputError: the section is written in braces.
    """
    key, value = section_of(text, section)
    if key is None or value is None:
        return f"{text.rstrip()}\n\n{section}:\n{entry}"
    if isinstance(value, yaml.MappingNode) and value.flow_style and value.value:
        raise InputError(f"{section} is written in braces; write it as lines, or use --print and add the entry by hand")
    start = key.start_mark.index
    if isinstance(value, yaml.MappingNode) and not value.flow_style:
        end = last_line(text, value)
        return f"{text[:end]}{'' if text[end - 1 : end] == chr(10) else chr(10)}{entry}{text[end:]}"
    head, rest = text[: start + len(section)], text[value.end_mark.index :]
    comment, _, after = rest.partition("\n")
    return f"{head}:{f' {comment.strip()}' if comment.strip() else ''}\n{entry}{after}"


def last_line(text: str, value: yaml.Node) -> int:
    """Where the last line of a block ends: before blank lines and comments that belong to what follows."""
    lines = text[: value.end_mark.index].splitlines(keepends=True)
    column = value.start_mark.column
    while lines and (not lines[-1].strip() or re.match(rf" {{0,{max(column - 1, 0)}}}#", lines[-1])):
        lines.pop()
    return sum(map(len, lines))


def parsed(path: Path, text: str) -> Tree:
    """What a text declares that is to take the place of a declaration, checked.

    Raises:
        InputError: there are mistakes in it.
    """
    with NamedTemporaryFile("w", suffix=".yaml", dir=path.parent, prefix=".params-") as trial:
        trial.write(text)
        trial.flush()
        load_params(Path(trial.name))
        return Checker(Path(trial.name)).parse()


def written(path: Path, entries: Mapping[str, tuple[str, str]]) -> str:
    """The text of a declaration with an entry in each section, checked; ``entries``: name and lines by section.

    Raises:
        InputError: a name is taken, or the declaration was wrong before.
    """
    load_params(path)
    old = text = path.read_text()
    tree = Checker(path).parse()
    for section, (name, lines) in entries.items():
        taken = [
            s for s in {section, *(("datasets", "images") if section == "images" else ())} if name in tree.get(s, {})
        ]
        if taken:
            raise InputError(f"{path} has '{name}' under {taken[0]} already; give another with --name")
        text = added(text, section, lines)
    new = parsed(path, text)
    for section, (name, _) in entries.items():
        new[section].pop(name)
        if not new[section] and not tree.get(section):
            tree[section] = new[section]
    assert new == tree, f"what stood in {path} before is not the same:\n{old}"
    return text
