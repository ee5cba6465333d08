"""What the files of papers and network families say of themselves, read as text, so that a check needs no torch.

A paper states its symbols, and what it needs of networks and data, once: in its dataclass; a family its options.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pydantic

from gan_core.config import bounds
from gan_core.config.schema import STRICT
from gan_core.core.sides import Rule

PAPERS = Path(__file__).parents[1] / "variants"
NETWORKS = PAPERS.parent / "networks"
KNOWN = {
    "Literal": Literal,
    **{name: getattr(bounds, name) for name in bounds.__all__},
    "__builtins__": {"bool": bool, "float": float, "int": int, "str": str, "tuple": tuple},
}
"""What annotations and defaults of symbols may be written with."""


@cache
def parsed(path: Path) -> ast.Module:
    """A file as a tree."""
    return ast.parse(path.read_text())


def variants() -> list[str]:
    """The names of all variants: the files in gan_core/variants."""
    return sorted(p.stem for p in PAPERS.glob("[a-z]*.py"))


def families() -> list[str]:
    """The network families that can be declared: the files in gan_core/networks that make samples."""
    return sorted(
        p.stem
        for p in NETWORKS.glob("[a-z]*.py")
        if {"generator", "translator", "decoder"} & capabilities(p.stem).keys()
    )


@cache
def paper(variant: str) -> ast.ClassDef:
    """The dataclass of a paper: the one with updates."""
    classes = [node for node in parsed(PAPERS / f"{variant}.py").body if isinstance(node, ast.ClassDef)]
    return next(c for c in classes if any(isinstance(n, ast.FunctionDef) and n.name == "updates" for n in c.body))


@cache
def settings_of(variant: str) -> type[pydantic.BaseModel]:
    """The schema of a paper's symbols: the fields with a default in its dataclass."""
    return schema_of(paper(variant))


@cache
def options_of(family: str) -> type[pydantic.BaseModel]:
    """The schema of what only a family has: the fields of its ``Options``, if there are any."""
    body = parsed(NETWORKS / f"{family}.py").body
    return schema_of(next((n for n in body if isinstance(n, ast.ClassDef) and n.name == "Options"), None))


def schema_of(node: ast.ClassDef | None) -> type[pydantic.BaseModel]:
    """The fields with a default of a dataclass, as a schema of their own."""
    symbols = {
        n.target.id: tuple(eval(ast.unparse(part), dict(KNOWN)) for part in (n.annotation, n.value))
        for n in (node.body if node else ())
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.value is not None and not literal(n)
    }
    name = node.name if node else "Options"
    model: type[pydantic.BaseModel] = pydantic.create_model(name, __config__=STRICT, **symbols)  # type: ignore[call-overload]
    return model


def remark(path: Path, node: ast.AnnAssign) -> str:
    """The comment behind a symbol in its file; empty where there is none."""
    lines = path.read_text().splitlines()[node.lineno - 1 : node.end_lineno]
    said = (line.partition("  # ")[2] for line in lines)
    return next((words for words in said if words and "fmt:" not in words), "")


def remarks(path: Path, name: str) -> Mapping[str, str]:
    """Symbol or option -> the comment behind it, of a class in a file; without those that have none."""
    body = next((n.body for n in parsed(path).body if isinstance(n, ast.ClassDef) and n.name == name), [])
    said = {ast.unparse(n.target): remark(path, n) for n in body if isinstance(n, ast.AnnAssign)}
    return {key: words for key, words in said.items() if words}


def title(path: Path) -> str:
    """The first line of a file's docstring."""
    return (ast.get_docstring(parsed(path)) or "").partition("\n")[0]


def literal(node: ast.AnnAssign) -> bool:
    """Whether it is an attribute of the class, not a symbol."""
    return ast.unparse(node.annotation).startswith("ClassVar")


def needs(variant: str) -> Mapping[str, tuple[str, ...]]:
    """What a paper asks of networks and data: the literal ``needs`` of its dataclass."""
    found: Mapping[str, tuple[str, ...]] = class_literal(variant, "needs")
    return found


def roles(variant: str) -> Mapping[str, tuple[str, ...]]:
    """Role of a network -> what a paper asks of that network."""
    return {key: asked for key, asked in needs(variant).items() if key.partition(" ")[0] not in ("batch", "aligned")}


def batch_fields(variant: str, symbols: Mapping[str, Any]) -> list[str]:
    """The fields of a batch that a paper asks for where its symbols have these values."""
    found = [*needs(variant)["batch"]]
    for key, asked in needs(variant).items():
        _, _, symbol = key.partition("batch if ")
        found += asked if symbol and symbols.get(symbol) else ()
    return found


def exports(variant: str) -> tuple[str, ...]:
    """The roles that a paper keeps: the literal ``exports`` of its dataclass."""
    found: tuple[str, ...] = class_literal(variant, "exports")
    return found


INPUTS = ("Input", "tuple[Input, ...]", "Pool", "Frozen | None")
"""Types of fields without a default that hold no weights."""


def replaceable(variant: str, other: str) -> bool:
    """Whether another paper makes the same of the same data."""

    def about(name: str) -> tuple[Any, ...]:
        return exports(name), batch_fields(name, {}), len(networks(name))

    return variant != other and about(variant) == about(other)


def networks(variant: str) -> list[str]:
    """The fields of a paper that are networks, as its dataclass declares them."""
    declared = (n for n in paper(variant).body if isinstance(n, ast.AnnAssign) and n.value is None and not literal(n))
    return [ast.unparse(n.target) for n in declared if ast.unparse(n.annotation) not in INPUTS]


def has_discriminator(variant: str) -> bool:
    """Whether a paper has a discriminator or critic: a field declared as one."""
    declared = (n for n in paper(variant).body if isinstance(n, ast.AnnAssign) and n.value is None)
    return any(ast.unparse(n.annotation) == "Discriminator" for n in declared)


def signed(variant: str) -> Mapping[str, tuple[str, ...]] | None:
    """With which settings the sign of a score tells real from fake: the literal ``signed`` of a paper; None: never."""
    found: Mapping[str, tuple[str, ...]] | None = class_literal(variant, "signed")
    return found


def class_literal(variant: str, name: str) -> Any:
    """A literal attribute of a paper's dataclass; None where there is none."""
    found = (n for n in paper(variant).body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == name)
    node = next(found, None)
    return ast.literal_eval(node.value) if node and node.value else None


@cache
def capabilities(family: str) -> Mapping[str, tuple[str, ...]]:
    """Role -> what a family's network of this role offers: its literal ``CAPABILITIES``."""
    found: Mapping[str, tuple[str, ...]] = module_literal(family, "CAPABILITIES", {})
    return found


def samples(family: str) -> tuple[str, ...]:
    """What a family can draw, "images" and "points": its literal ``SAMPLES``."""
    found: tuple[str, ...] = module_literal(family, "SAMPLES", ())
    return found


def sides(family: str) -> Rule:
    """Which heights and widths a family can draw: its literal ``SIDES``."""
    found: Rule = module_literal(family, "SIDES", "any")
    return found


def module_literal(family: str, name: str, default: Any) -> Any:
    """A literal at the top of a family's file."""
    for node in parsed(NETWORKS / f"{family}.py").body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if target is not None and ast.unparse(target) == name:
            return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    return default
