"""One page a paper, written from its file, the runs that play it, and the traps listed in docs/papers.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from gan_core.config import papers
from gan_core.config.schema import Params
from gan_core.metrics.record import read_figures
from gan_core.report.facts import figures, interval
from gan_core.report.pictures import caption
from gan_core.report.words import named, number
from gan_core.runtime import files

NOT_LOSSES = ("build_spec", "optimizers", "updates", "scorers")


def write(params: Params, docs: Path, reports: Path) -> list[Path]:
    """Write ``docs/variants/<variant>.md`` of every paper, with the pictures of its runs beside it."""
    traps = (docs / "papers.md").read_text()
    written = []
    for variant in papers.variants():
        page = docs / "variants" / f"{variant}.md"
        runs = {name: reports / name for name, run in params.runs.items() if run.variant == variant}
        text = "\n\n".join(filter(None, [*paper(variant), traps_of(variant, traps), *shown(runs)]))
        files.write(page, f"{text}\n".encode())
        for name, folder in runs.items():
            pictures = {name: folder / "samples.png"}
            pictures |= {f"{name}-{p.stem}": p for p in sorted((folder / "pictures").glob("*.png"))}
            for beside, picture in pictures.items():
                if picture.is_file():
                    files.write(page.parent / f"{beside}.png", picture.read_bytes())
        written.append(page)
    return written


def paper(variant: str) -> Iterator[str]:
    """What the file says: title, what it is, its objectives, its update rule, its symbols."""
    file = papers.PAPERS / f"{variant}.py"
    source = file.read_text()
    tree = ast.parse(source)
    game = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    methods = [node for node in game.body if isinstance(node, ast.FunctionDef)]
    yield f"# {ast.get_docstring(tree)}"
    yield f"`variant: {variant}`, the file [`gan_core/variants/{variant}.py`](../../gan_core/variants/{variant}.py)."
    yield str(ast.get_docstring(game)).replace("``", "`")
    said = [(m.name, str(ast.get_docstring(m)).splitlines()[0]) for m in methods if m.name not in NOT_LOSSES]
    yield "## Objectives\n\n" + "\n".join(f"* `{name}`: {text}" for name, text in said)
    rule = [ast.get_source_segment(source, m, padded=True) for m in methods if m.name in ("optimizers", "updates")]
    yield "## Update rule\n\n```python\n" + "\n\n\n".join(dedent(str(part)) for part in rule) + "\n```"
    symbols = [n for n in game.body if isinstance(n, ast.AnnAssign) and n.value is not None and not papers.literal(n)]
    rows = [
        f"| `{ast.unparse(n.target)}` | `{ast.unparse(n.value)}` | {comment(file, n)} |" for n in symbols if n.value
    ]
    yield "## Settings\n\n| symbol | value | |\n| --- | --- | --- |\n" + "\n".join(rows)


def comment(file: Path, node: ast.AnnAssign) -> str:
    """What stands behind a symbol, or the values that it may have."""
    choices = re.findall(r"'([^']+)'", ast.unparse(node.annotation))
    return papers.remark(file, node) or ", ".join(f"`{c}`" for c in choices)


def traps_of(variant: str, text: str) -> str:
    """The items of the list of traps that name a paper."""
    items = re.findall(r"^\* (.*(?:\n  .*)*)", text, re.M)
    mine = [item.partition(": ")[2] for item in items if f"`{variant}`" in item.partition(": ")[0]]
    return "## Traps avoided\n\n" + "\n".join(f"* {item}" for item in mine) if mine else ""


def shown(runs: dict[str, Path]) -> Iterator[str]:
    """The declared runs that play it: settings are in params.yaml, here what came out."""
    for name, folder in runs.items():
        if not (folder / "metrics.json").is_file():
            continue
        found = {role: f for role, f in read_figures(folder / "metrics.json").items() if "protocol" in f}
        measures = list(dict.fromkeys(k for of in found.values() for k in figures(of)))
        rows = [f"| {named(k)} | {' | '.join(figure(of, k) for of in found.values())} |" for k in measures]
        head = f"| measure | {' | '.join(found)} |\n| --- |{' --- |' * len(found)}"
        protocol = next(iter(found.values()))["protocol"]
        counts = f"{protocol['fake_count']} samples against {protocol['real_count']} held-out ones"
        yield f"## Run `{name}`\n\n![samples of {name}]({name}.png)\n\n{head}\n" + "\n".join(rows) + f"\n\nOf {counts}."
        for picture in sorted((folder / "pictures").glob("*.png")):
            title, says = caption(picture.read_bytes())
            yield f"**{title}.** {says}\n\n![{title} of {name}]({name}-{picture.name})"


def figure(of: Mapping[str, Any], name: str) -> str:
    """A figure, where it may well lie, and what real samples score."""
    span, real = interval(of, name), of.get("real", {}).get(name)
    said = number(of.get(name)) + (f" ({number(span[0])} to {number(span[1])})" if span else "")
    return said if real is None else f"{said}; real {number(real)}"
