"""Collects every mistake of a declaration, each with its line and the name that was probably meant."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import pydantic
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Tag

from gan_core.config.schema import SECTIONS
from gan_core.runtime.errors import InputError, did_you_mean

T = TypeVar("T")
TWO_WAYS = re.compile(r"[-+]?(0[0-9_]+|[0-9]+(_[0-9]*)+)")

Tree = dict[str, Any]
RENAMED = {
    "watch_every": ("evaluate_every", ""),
    "graph": ("cuda_graph", ""),
    "fid_share": ("fd_share", ""),
    "ema_decay": ("ema_half_life", ", in images: 0.69 x batch_size / (1 - decay)"),
}
"""Keys of earlier versions -> what they are called now, and what else has changed."""
TAGS = ("number", "schedule", "adaptive", "bool", "LabelColumns")
"""Of what a key may be declared as; pydantic puts them into the place of a mistake."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A mistake at a key (``runs.gan.train.steps``; empty: of the file) in a line of a file, and what to do."""

    file: Path
    line: int
    where: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.where} {self.message}"
            if self.where
            else f"{self.file}:{self.line}: {self.message}"
        )


class Mistaken(InputError):
    """A declaration with mistakes: all of them, one a line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


class Checker:
    """Collects every mistake of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mistakes: list[Mistake] = []
        self.lines: dict[tuple[str, ...], int] = {}
        self.nodes: set[int] = set()

    def mistake(self, where: tuple[str, ...], sentence: str) -> None:
        """Note a mistake at a key; the line is that of the nearest key that is in the file."""
        near = where
        while near and near not in self.lines:
            near = near[:-1]
        line = self.lines.get(near, 1)
        self.mistakes.append(Mistake(self.path, line, ".".join(where), sentence))

    def parse(self) -> Tree:
        """The file as plain values, with the line of every key."""
        try:
            text = self.path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path} cannot be read ({error}); run this in the project's folder") from None
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            self._index(root, ())
            if self.mistakes:
                raise Mistaken(self.mistakes)
            # OmegaConf, not PyYAML, decides values: 1e-4 is a number to it, and duplicates are errors.
            mapping = isinstance(root, yaml.MappingNode)
            tree = OmegaConf.to_container(OmegaConf.create(text), resolve=False) if mapping else None
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            raise Mistaken([not_yaml(self.path, error)]) from None
        if not isinstance(tree, dict):
            raise Mistaken([Mistake(self.path, 1, "", f"must hold {', '.join(SECTIONS)}")])
        return tree  # type: ignore[return-value]

    def _index(self, node: yaml.Node | None, where: tuple[str, ...]) -> None:
        if id(node) in self.nodes:
            self.mistake(where, "is an alias (*...) or a merge (<<): write the values out, the pipeline compares text")
            return
        self.nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*where, str(key.value))
                if here in self.lines:
                    self.mistake(here, f"appears twice (line {key.start_mark.line + 1}); keep one")
                self.lines[here] = key.start_mark.line + 1
                self._index(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for k, value in enumerate(node.value):
                self._index(value, (*where, str(k)))
        elif isinstance(node, yaml.ScalarNode) and "${" in node.value:
            self.mistake(
                where,
                f"holds '{node.value}': no ${{...}} here; the pipeline would not notice when what it refers to "
                "changes, so write the value",
            )
        elif isinstance(node, yaml.ScalarNode) and not node.style and TWO_WAYS.fullmatch(node.value):
            self.mistake(where, f"is {node.value}, which readers of YAML take for different numbers; write it plainly")

    def build(
        self, schema: type[T], tree: Any, where: tuple[str, ...], inherited: frozenset[str] = frozenset()
    ) -> T | None:
        """A typed value, or None and its mistakes noted. Mistakes in ``inherited`` keys belong to another place."""
        if not isinstance(tree, dict):
            self.mistake(where, f"must be a mapping, not {tree!r}")
            return None
        try:
            built: T = adapter(schema).validate_json(json.dumps(tree))  # type: ignore[arg-type]
            return built
        except pydantic.ValidationError as error:
            for e in error.errors(include_url=False):
                if str(e["loc"][0]) not in inherited:
                    self._say(e, schema, where)
            return None

    def _say(self, error: Any, schema: Any, where: tuple[str, ...]) -> None:
        here = (*where, *(str(part) for part in error["loc"] if part not in TAGS))
        if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            self.unknown(here, known_keys(schema, error["loc"][:-1]))
        elif error["type"] in ("missing", "missing_argument"):
            self.mistake(here, "is missing")
        else:
            message = error["msg"].removeprefix("Value error, ")
            message = message.replace("Input should", "must").replace("List should", "must")
            self.mistake(here, f"is {error['input']!r}: {message[0].lower()}{message[1:]}")

    def unknown(self, here: tuple[str, ...], known: list[str], what: str = "") -> None:
        """Note a name that nobody knows, and the one that was probably meant."""
        new, more = RENAMED.get(here[-1], ("", ""))
        if new in known and not what:
            self.mistake(here, f"is called {new} now{more}; rename it")
            return
        meant = did_you_mean(what or here[-1], known, 0.5)
        subject = f"'{what}' is not one of" if what else "is unknown, known are"
        self.mistake(here, f"{subject} {', '.join(known) or '(none)'}{meant}")


@cache
def adapter(schema: Any) -> pydantic.TypeAdapter[Any]:
    """What reads values of a schema; making it takes longer than all it reads."""
    return pydantic.TypeAdapter(schema)


def not_yaml(path: Path, error: Exception) -> Mistake:
    """What a parser said, as one sentence with the line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    said = f"is not plain YAML: {problem or ' '.join(str(error).split())}"
    return Mistake(path, mark.line + 1 if mark else 1, "", said)


def known_keys(schema: Any, path: tuple[Any, ...]) -> list[str]:
    """The keys a schema knows at a path inside it."""
    for part, below in zip_longest(path, path[1:]):
        if part in (known := fields_of(schema)):  # else a name that the user gave, of one entry of many
            declared = tagged(known[part], below)
            schema = next((a for a in alternatives(declared) if fields_of(a)), declared)
    return list(fields_of(schema))


def tagged(annotation: Any, tag: Any) -> Any:
    """Of what may be declared in several forms, the one of a tag; else all of it."""
    forms = (a for a in alternatives(annotation) if Tag(tag) in getattr(a, "__metadata__", ()))
    return next(forms, annotation)


def fields_of(schema: Any) -> dict[str, Any]:
    """The annotations of a schema's fields by name; none of what has no fields."""
    if found := getattr(schema, "__pydantic_fields__", None):
        return {name: field.annotation for name, field in found.items()}
    plain = get_origin(schema) or schema
    if not (isinstance(plain, type) and dataclasses.is_dataclass(plain)):
        return {}
    return {f.name: f.type for f in dataclasses.fields(plain)}


def alternatives(annotation: Any) -> Iterator[Any]:
    """An annotation, and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from alternatives(part)
