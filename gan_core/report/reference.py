"""docs/params.md: every key of params.yaml, written from the schema that editors read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gan_core.config import json_schema
from gan_core.config.json_schema import BOUNDS
from gan_core.config.schema import A_TABLE

Node = dict[str, Any]
HEAD = """\
# Every key of params.yaml

Written by `gan schema --page` from the types that `gan check` reads the declaration by. The same types are the JSON
schema [`params.schema.json`](params.schema.json), which `gan schema` prints: an editor with a YAML language server
(VS Code with the YAML extension, Neovim, Helix, Zed) completes keys and values from it, and shows these meanings, as
the first line of `params.yaml` names it. For editors that read no such line map the file by hand: in PyCharm,
*Settings, JSON Schema Mappings*.

```sh
make schema   # after a change of the types: writes both files anew
check-jsonschema --schemafile docs/params.schema.json params.yaml   # from `make .venv/.test`
```

Keys of the common sections have no defaults: whatever a result depends on is declared. Symbols of a paper have the
paper's values, options of a network family usual ones.\
"""
UNSEEN = """\
## What only gan check sees

A schema knows one value at a time. `gan check` also refuses:

* a name that nothing has: `dataset`, `export.engines.here`, `init.path`, `init.parts`, `init.freeze`, and one name in
  two sections;
* what does not fit together: a family without the networks that a variant asks for, a family and the sides of the
  pictures or the points of a data set, labels or a second domain that a data set lacks, `augment` without a
  discriminator or without pictures, an adaptive `p` where scores have no sign, noise on pictures that are translated;
* values that bound each other: `shards` and `pack` divide `batch_size`; the `weights` of a mixture sum to 1, with one
  of `means` and `stds` each; shifts of `shapes` are at most a quarter of `size`; the first end of `range` is the
  lower one; `max_steps` is not below `min_steps`; `start` lies between `lowest` and `highest`; a neural f has a
  `clip` of at most 8; `side` is 32 or more; an InfoGAN has a code; `min_per_class` and `spelling` need labels;
* names of precisions: `served` and `engines.precisions` are declared under `export.precisions`; `inception` names a
  file where `features` is `inception`;
* this machine: the version of torch, weights that are not installed, pictures that are not there, a `path` where
  commands write, or with `~` or `$`;
* the text: a key that is there twice, aliases and `${...}`, which DVC would not follow, and numbers such as `012` and
  `1_000`, which readers of YAML take for different ones. A whole number written as `2.0` is refused as well, and JSON
  schemas take it for one.\
"""
KINDS = {
    "boolean": "`true` or `false`", "integer": "whole number", "null": "`null`", "number": "number", "string": "text",
}  # fmt: skip
TABLE = ": `*.csv`, `*.tsv`, `*.json` or `*.jsonl`"
MOST = 2**62
"""A bound beyond this is that of the computer's numbers, and not said."""


def page() -> str:
    """The page, in Markdown."""
    return "\n\n".join(Page(json_schema.build()).parts()) + "\n"


class Page:
    """Writes the parts of the page; definitions are looked up where a key refers to one."""

    def __init__(self, schema: Node) -> None:
        self.schema, self.definitions = schema, schema["$defs"]

    def parts(self) -> Iterator[str]:
        """All of it, top to bottom."""
        sections = self.schema["properties"]
        yield HEAD
        yield "## Sections\n\n" + self.table(self.schema, linked=True)
        yield f"## datasets\n\n{sections['datasets']['description']}"
        for source, node in self.chosen(sections["datasets"]["additionalProperties"], "source"):
            yield f"### source: {source}\n\n{node['description']}\n\n{self.table(node)}"
        images = sections["images"]["additionalProperties"]
        yield (
            f"## images\n\n{sections['images']['description']} [Your own images](your-data.md) walks through it.\n\n"
            + (self.table(images))
        )
        labels = self.definitions["label_columns"]
        yield f"### labels\n\nAs a mapping. {labels['description']}\n\n{self.table(labels)}"
        run = sections["runs"]["additionalProperties"]
        yield f"## runs\n\n{sections['runs']['description']}\n\n{self.table(run, linked=True)}"
        yield "### network\n\n`family` says which other keys there are."
        for family, node in self.chosen(self.definitions["network"], "family"):
            yield f"#### family: {family}\n\n{node['properties']['family']['description']}\n\n{self.table(node)}"
        yield "### settings\n\nThe symbols of each paper; one that is left out keeps the value here."
        for variant, node in self.chosen(run, "variant"):
            settings = self.found(node["properties"]["settings"])
            about = f"{settings['description']} [All on this paper](variants/{variant}.md)."
            yield f"#### variant: {variant}\n\n{about}\n\n{self.table(settings)}"
        augment = self.definitions["augment"]
        yield f"### augment\n\n{augment['description']} [Augmentation](augmentation.md).\n\n{self.table(augment)}"
        for name in ("train", "extractor", "evaluate", "export"):
            node = self.found(sections[name])
            yield f"## {name}\n\n{sections[name]['description']}\n\n{self.table(node, linked=True)}"
        yield f"### precisions\n\nOf each precision:\n\n{self.table(self.definitions['tolerance'])}"
        yield f"### engines\n\n{self.table(self.definitions['engines'])}"
        init = self.definitions["init"]
        warm = "Runs that begin with the networks of an earlier one, written as under `runs`, with one key more."
        yield f"## warm_starts\n\n{warm} [Warm starts](warm-start.md)."
        yield f"### init\n\n{self.table(init)}"
        imported, graph = sections["imports"]["additionalProperties"], self.definitions["onnx"]
        yield f"## imports\n\n{sections['imports']['description']} [Imports](imports.md).\n\n{self.table(imported)}"
        yield f"### network: onnx\n\n{graph['description']}\n\n{self.table(graph)}"
        schedule, adaptive = self.definitions["schedule_from_0"], self.definitions["adaptive"]
        told = "Where a type says *schedule*, a mapping may stand in place of the number; its ends have the same range."
        yield f"## Schedules\n\n{told} {schedule['description']}\n\n{self.table(schedule)}"
        yield f"### Adaptive\n\n{adaptive['description']}\n\n{self.table(adaptive)}"
        yield UNSEEN

    def chosen(self, node: Node, key: str) -> Iterator[tuple[str, Node]]:
        """What holds for each value of a key."""
        for rule in node["allOf"]:
            yield rule["if"]["properties"][key]["const"], self.found(rule["then"])

    def found(self, node: Node) -> Node:
        """A definition, where a key refers to one; else what stands there."""
        name = node.get("$ref", "").rpartition("/")[2]
        return self.definitions[name] if name else node

    def table(self, node: Node, linked: bool = False) -> str:
        """The keys of a mapping that the heading does not name, a row each; ``linked``: some lead to a part below."""
        keys, required = {k: v for k, v in node["properties"].items() if "const" not in v}, node.get("required", ())
        optional = any(key not in required for key in keys)
        rows = [["key", "type", *(["default"] if optional else []), "meaning"]]
        rows.append(["---"] * len(rows[0]))
        for key, value in keys.items():
            name = f"[`{key}`](#{key})" if linked and key in LINKED else f"`{key}`"
            default = ["required" if key in required else shown(value)] if optional else []
            rows.append([name, self.kind(value, key in required), *default, words(value)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def kind(self, node: Node, null: bool = True) -> str:
        """What a value is, and its range; without ``null``, where leaving a key out says the same."""
        if options := [part for key in ("anyOf", "oneOf") for part in node.get(key, ())]:
            kinds = [self.kind(ranged(part, node)) for part in options if null or part.get("type") != "null"]
            return "; or ".join(kinds)
        if "const" in node or "enum" in node:
            return choice([f"`{value}`" for value in node.get("enum", [node.get("const")])])
        if name := node.get("$ref", "").rpartition("/")[2]:
            return next((f"[{said}](#{anchor})" for start, said, anchor in LINKS if name.startswith(start)), "mapping")
        if node.get("type") == "array":
            least, most = node.get("minItems"), node.get("maxItems")
            return f"list of {f'{least}: ' if least and least == most else ''}{self.kind(node['items'])}"
        return f"{KINDS.get(node.get('type', ''), 'mapping')}{limits(node)}" + (TABLE if is_table(node) else "")


LINKED = (
    *("datasets", "images", "runs", "train", "extractor", "evaluate", "export", "imports", "warm_starts"),
    *("network", "settings", "augment", "precisions", "engines"),
)
"""Keys whose mapping has a part of the page with their name."""
LINKS = (
    ("schedule", "schedule", "schedules"),
    ("adaptive", "adaptive", "adaptive"),
    ("label_columns", "columns", "labels"),
)
"""Of definitions: how the name begins, what is said, and the part of the page."""


def ranged(part: Node, node: Node) -> Node:
    """One of several forms, with what is said of numbers or texts whatever the form."""
    over = (
        [*BOUNDS] if part.get("type") in ("integer", "number") else ["pattern"] if part.get("type") == "string" else []
    )
    return {**{key: node[key] for key in over if key in node}, **part}


def is_table(node: Node) -> bool:
    """Whether a text is the name of a table."""
    return bool(node.get("pattern") == A_TABLE)


def choice(values: list[str]) -> str:
    """Values with an *or* before the last."""
    return " or ".join(filter(None, [", ".join(values[:-1]), values[-1]]))


def limits(node: Mapping[str, Any]) -> str:
    """The range of a number, in words; empty where it has none."""
    least, above, most, below = (node.get(key) for key in BOUNDS)
    if node.get("type") == "integer" and above is not None:
        least, above = above + 1, None
    low = f"above {above:g}" if above is not None else f"{least:g}" if least is not None else ""
    if most is not None:
        return f", {low} to {most:g}"
    if below is not None and below < MOST:
        return f" {low} and below {below:g}" if above is not None else f", {low} or more, below {below:g}"
    return f" {low}" if above is not None else f", {low} or more" if low else ""


def shown(node: Node) -> str:
    """A default; a dash where a key may be left out and has none."""
    return f"`{scalar(node['default'])}`" if "default" in node else "-"


def scalar(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {scalar(one)}" for key, one in value.items() if one is not None) + "}"
    return json.dumps(value) if isinstance(value, bool | list) else str(value)


def words(node: Node) -> str:
    """What a key means, for a cell of a table."""
    return str(node.get("description", "")).replace("|", "\\|")
