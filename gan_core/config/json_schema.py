"""params.yaml as a JSON schema, for editors: made from the types that `gan check` reads it by. Without torch.

It holds what a single value or key may be. What values must be to each other, and what must be there on this machine,
only `gan check` knows: docs/params.md lists it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from gan_core.config import meanings, papers, rules, schema
from gan_core.config.places import IMPORTS, WARM

Node = dict[str, Any]
DIALECT = "http://json-schema.org/draft-07/schema#"
"""What language servers of editors read."""
NAMES = {"pattern": f"^{rules.NAME.pattern}$"}
CODE: dict[str, Node] = {
    "Schedule": {
        "start": {"description": "The value at first."},
        "end": {"description": "The value at last, where it stays."},
        "images": {
            "minimum": 1,
            "description": "Real images that the change takes; left out: it takes from `begin` to the end of the run.",
        },
        "begin": {
            "minimum": 0,
            "exclusiveMaximum": 1,
            "description": "Share of the run after which the change begins; not beside `images`.",
        },
        "shape": {"description": "A straight line, or half a cosine."},
    },
    "Adaptive": {
        "target": {
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
            "description": "The measure of overfitting at which the probability rests.",
        },
        "images": {"minimum": 1, "description": "Real images within which it could go from 0 to 1."},
        "aside": {
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
            "description": "Share of the training samples that is not trained on, to compare with (r_v); left out: the "
            "sign of the scores of real samples (r_t).",
        },
    },
}
"""What the code of two classes refuses, beyond the types of their fields, and what their fields mean."""
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
"""Of numbers, with the word that names a schedule between such numbers."""


def build() -> Node:
    """All of it."""
    made = Maker()
    said = described(schema.Params)
    sections: Node = {
        "torch": {"type": "string"},
        "threads": {"type": "integer", "minimum": 1},
        "datasets": entries(made.one_of("source", {rules.source_name(s): made.of(s) for s in rules.SOURCE_SCHEMAS})),
        "images": entries(made.images()),
        "runs": entries(made.run(warm=False)),
        "train": made.ref("train", made.of(schema.Train)),
        "extractor": made.of(schema.Extractor),
        "evaluate": made.of(schema.Evaluate),
        "export": made.of(schema.Export),
        IMPORTS: entries(made.imported()),
        WARM: entries(made.run(warm=True)),
    }
    said[WARM] = "Runs that begin with the networks of an earlier run: docs/warm-start.md. May be left out."
    properties = {name: {**section, "description": said[name]} for name, section in sections.items()}
    return {
        "$schema": DIALECT,
        "title": "params.yaml",
        "description": "Every choice a user makes. Written by `gan schema`.",
        **closed(properties, [name for name in schema.SECTIONS if name not in schema.OPTIONAL]),
        "$defs": dict(sorted(made.definitions.items())),
    }


class Maker:
    """Makes the parts, and collects what several of them refer to."""

    def __init__(self) -> None:
        self.definitions: Node = {}

    def ref(self, name: str, node: Node) -> Node:
        """A reference to a part that gets a name."""
        self.definitions[name] = node
        return {"$ref": f"#/$defs/{name}"}

    def of(self, declared: Any) -> Node:
        """What pydantic says of a type, less what no editor shows, plus what fields mean."""
        found = TypeAdapter(declared).json_schema()
        parts = {name: plain(part) for name, part in found.pop("$defs", {}).items()}
        names = {name: name_of(part, name) for name, part in parts.items()}
        kinds = {kind.__name__: kind for kind in vars(schema).values() if isinstance(kind, type)}
        for name, part in parts.items():
            kind = name.partition("_")[0]
            about(part, CODE.get(kind, {}))
            if kind == "Schedule":
                part |= {
                    "if": {"properties": {"images": {"type": "integer"}}, "required": ["images"]},
                    "then": {"properties": {"begin": {"const": 0}}},
                }
            say(part, described(kinds.get(kind)))
            self.definitions[names[name]] = renamed(part, names)
        node = renamed(plain(found), names)
        say(node, described(declared))
        return node

    def one_of(self, key: str, choices: Mapping[str, Node], said: str = "", told: Iterable[str] = ()) -> Node:
        """A mapping whose keys depend on the value of one of them."""
        rules_of = [when(key, value, self.ref(f"{key}_{value}", node)) for value, node in choices.items()]
        chosen: Node = {"enum": list(choices)} | ({"enumDescriptions": list(told)} if told else {})
        return {
            "type": "object",
            "required": [key],
            "properties": {key: chosen | ({"description": said} if said else {})},
            "allOf": rules_of,
        }

    def images(self) -> Node:
        """An entry of a user's own pictures, of one domain or two."""
        node = self.of(schema.ImageDomains)
        node["properties"]["pairs"] = self.of(schema.ImagePairs)["properties"]["pairs"]
        node["required"] = [key for key in node["required"] if key not in ("min_per_class", "domains")]
        return node | {"description": sentence(schema.Images.__doc__)}

    def network(self) -> Node:
        """What every family has, and the options of each."""
        common = self.of(schema.Network)
        del common["properties"]["options"]
        common["required"].remove("options")
        choices = {}
        for family in papers.families():
            own = self.of(papers.options_of(family)).get("properties", {})
            family_is = {"const": family, "description": title(papers.NETWORKS, family)}
            choices[family] = closed(common["properties"] | {"family": family_is} | own, common["required"])
            remarks = papers.remarks(papers.NETWORKS / f"{family}.py", "Options")
            say(choices[family], meaning(family, remarks, meanings.OPTIONS))
        told = [title(papers.NETWORKS, family) for family in choices]
        return self.one_of("family", choices, described(schema.Network)["family"], told)

    def imported(self) -> Node:
        """A network that was trained elsewhere: an ONNX graph, or weights of a family."""
        said = described(schema.Import)
        graph = self.ref("onnx", self.of(schema.OnnxNetwork) | {"description": sentence(schema.OnnxNetwork.__doc__)})
        properties: Node = {
            "file": {"type": "string", "minLength": 1},
            "dataset": {"type": "string", **NAMES},
            "network": {"oneOf": [graph, {"$ref": "#/$defs/network"}]},
        }
        say({"properties": properties}, said)
        return closed(properties, list(properties))

    def settings(self, variant: str) -> Node:
        """The symbols of a paper."""
        remarks = papers.remarks(papers.PAPERS / f"{variant}.py", papers.paper(variant).name)
        node = self.of(papers.settings_of(variant)) | {"description": title(papers.PAPERS, variant)}
        say(node, meaning(variant, remarks, meanings.SYMBOLS))
        return node

    def run(self, warm: bool) -> Node:
        """A declared run; ``warm``: one that begins with another's networks."""
        said, variants = described(schema.Run), papers.variants()
        about_settings = {"type": "object", "description": said["settings"]}
        properties: Node = {
            "variant": {"enum": variants, "enumDescriptions": [title(papers.PAPERS, v) for v in variants]},
            "dataset": {"type": "string", **NAMES},
            "network": self.ref("network", self.network()),
            "train": self.ref("train_of_a_run", {k: v for k, v in self.of(schema.Train).items() if k != "required"}),
            "settings": about_settings,
            "augment": {"anyOf": [self.ref("augment", self.of(schema.Augment)), {"type": "null"}]},
        }
        if warm:
            properties["init"] = self.ref("init", self.of(schema.Init))
        say({"properties": properties}, said)
        chosen = {v: self.ref(f"settings_{v}", self.settings(v)) for v in variants}
        return closed(properties, ["variant", "dataset", "network", *(["init"] if warm else [])]) | {
            "allOf": [when("variant", v, {"properties": {"settings": node}}) for v, node in chosen.items()]
        }


def entries(node: Node) -> Node:
    """A section of named entries."""
    return {"type": "object", "propertyNames": NAMES, "additionalProperties": node}


def closed(properties: Node, required: Iterable[str]) -> Node:
    """A mapping with these keys and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def when(key: str, value: str, then: Node) -> Node:
    """What holds where a key has a value."""
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then}


def say(node: Node, words: Mapping[str, str]) -> None:
    """Say what a mapping's keys mean; of keys that it has not, nothing."""
    about(node, {key: {"description": text} for key, text in words.items()})


def about(node: Node, more: Mapping[str, Node]) -> None:
    """Add to what is said of a mapping's keys; of keys that it has not, nothing."""
    for key, words in more.items():
        if key in node.get("properties", {}):
            node["properties"][key] = node["properties"][key] | words


def name_of(node: Node, name: str) -> str:
    """The name of a part: a class's, or of a schedule the range of its ends."""
    if not name.startswith("Schedule"):
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    start = node["properties"]["start"]
    return "_".join(["schedule", *(f"{word}_{start[bound]}" for bound, word in BOUNDS.items() if bound in start)])


def renamed(node: Node, names: Mapping[str, str]) -> Node:
    """With the new names of parts in all references."""

    def change(at: Node) -> Node:
        old = at.get("$ref", "").rpartition("/")[2]
        return at | {"$ref": f"#/$defs/{names[old]}"} if old else at

    return walked(node, change)


def plain(node: Node) -> Node:
    """Without titles and nulls for defaults, with texts in one line, and with keys of an enumeration by name."""

    def change(at: Node) -> Node:
        kept = {
            k: v for k, v in at.items() if not (k == "title" and isinstance(v, str)) and (k, v) != ("default", None)
        }
        if isinstance(text := kept.get("description"), str):
            kept["description"] = sentence(text)
        if choices := kept.get("propertyNames", {}).get("enum"):
            del kept["propertyNames"]
            kept |= {"properties": dict.fromkeys(choices, kept["additionalProperties"]), "additionalProperties": False}
        return kept

    return walked(node, change)


def walked(node: Node, change: Callable[[Node], Node]) -> Node:
    """A tree in which every mapping is changed, the inner ones first."""

    def inner(value: Any) -> Any:
        if isinstance(value, list):
            return [inner(each) for each in value]
        return walked(value, change) if isinstance(value, dict) else value

    return change({key: inner(value) for key, value in node.items()})


def sentence(text: str | None) -> str:
    """A docstring in one line, without what it raises."""
    return " ".join((text or "").partition("Raises:")[0].replace("``", "`").split())


def title(folder: Path, name: str) -> str:
    """The first line of a paper's or a family's file."""
    return sentence(papers.title(folder / f"{name}.py"))


def meaning(owner: str, remarks: Mapping[str, str], table: Mapping[str, str]) -> dict[str, str]:
    """What the symbols of a paper, or the options of a family, mean: by the table, or by the comments in their file."""
    shared = {key: words for key, words in table.items() if "." not in key}
    own = {key.partition(".")[2]: words for key, words in table.items() if key.startswith(f"{owner}.")}
    return {key: f"{words[0].upper()}{words[1:]}." for key, words in remarks.items()} | shared | own


def described(declared: Any) -> dict[str, str]:
    """Field -> the docstring below it, of a class in schema.py and those that it extends."""
    classes = reversed(declared.__mro__) if isinstance(declared, type) else ()
    return {key: words for kind in classes for key, words in docstrings().get(kind.__name__, {}).items()}


@cache
def docstrings() -> Mapping[str, Mapping[str, str]]:
    """Class -> field -> the docstring below it, of all in schema.py."""
    tree = ast.parse(Path(schema.__file__).read_text())
    found: dict[str, dict[str, str]] = {}
    for node in (n for n in tree.body if isinstance(n, ast.ClassDef)):
        for field, below in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                found.setdefault(node.name, {})[ast.unparse(field.target)] = sentence(str(below.value.value))
    return found
