"""Which files of this project a stage runs, read from their imports: dvc.yaml lists them, a fingerprint covers them.

Papers and network families are imported by name (``gan_core/core/build_*.py``), so imports do not show them: a stage
that builds a game or a network has the one that a run declares, and whatever those files import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from gan_core.runtime.errors import DataError

ROOT = Path(__file__).parents[2]
EXEMPT = {
    "stages/__init__.py": "starts no work",
    "stages/paths.py": "names paths; dvc.yaml names them too, and DVC compares",
    "gan_core/config": "holds no values: what it reads is listed as params",
    "gan_core/runtime/closure.py": "reads imports, and computes no result",
    "gan_core/runtime/errors.py": "speaks only when a stage fails",
    "gan_core/runtime/machine.py": "counts cores and who works on them; any number of processes makes the same bytes",
    "gan_core/runtime/process.py": "starts, stops and refuses, but computes no result",
    "gan_core/runtime/progress.py": "only prints",
}
"""Files, and folders, that change no output of a stage."""
WHOLE = ("gan_core/networks/layers", "gan_core/objectives")
"""Folders that are listed as one."""
NETWORKS, VARIANTS = ROOT / "gan_core/networks", ROOT / "gan_core/variants"


@cache
def parsed(path: Path) -> ast.Module:
    """A file as a tree."""
    return ast.parse(path.read_text())


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node of a tree that is run, not those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from walk(child)


@cache
def imported(path: Path) -> frozenset[str]:
    """The dotted names that a file imports when it runs."""
    names: set[str] = set()
    for node in walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def read_by(path: Path) -> set[Path]:
    """The files beside a program that it names: templates, style sheets."""
    words = {node.value for node in walk(parsed(path)) if isinstance(node, ast.Constant)}
    return {p for p in path.parent.iterdir() if p.name in words and p.suffix not in ("", ".py")}


def closure(starts: Iterable[Path]) -> set[Path]:
    """These files and every file of the project that they import or read, one through another, less the exempt."""
    seen: set[Path] = set()
    left = set(starts)
    while left:
        path = left.pop()
        seen.add(path)
        if path.suffix != ".py":
            continue
        bases = (ROOT / name.replace(".", "/") for name in imported(path))
        found = {p for base in bases for p in (base.with_suffix(".py"), base / "__init__.py")}
        found |= {folder / "__init__.py" for folder in path.parents if folder.is_relative_to(ROOT)}
        found = {p for p in found if p.is_file()}
        left |= {p for p in found - seen if not exempt(p)} | (read_by(path) - seen)
    return seen


def exempt(path: Path) -> bool:
    """Whether a file changes no output: it is listed above, or holds a docstring and nothing else."""
    name = relative(path)
    listed = any(name == entry or name.startswith(f"{entry}/") for entry in EXEMPT)
    return listed or all(isinstance(node, ast.Expr) for node in parsed(path).body)


def relative(path: Path) -> str:
    """A path within the project."""
    return path.relative_to(ROOT).as_posix()


def builds(files: Iterable[Path], what: str) -> bool:
    """Whether ``build_game`` or ``build_network`` is among some files."""
    return ROOT / f"gan_core/core/{what}.py" in set(files)


def rows(folder: Path) -> list[Path]:
    """The files of papers or families."""
    return sorted(folder.glob("[a-z]*.py"))


def named_families() -> set[Path]:
    """The network families that stages and papers name themselves, as in "classifier.conv"; others are declared."""
    files = closure([*(ROOT / "stages").glob("[a-z]*.py"), *rows(VARIANTS)])
    programs = [path for path in files if path.suffix == ".py"]
    words = {node.value for path in programs for node in walk(parsed(path)) if isinstance(node, ast.Constant)}
    return {row for row in rows(NETWORKS) if any(re.fullmatch(rf"{row.stem}\.[a-z]+", str(w)) for w in words)}


def run_files(stage: str, variant: str, family: str) -> list[Path]:
    """The files that a stage runs for one run."""
    starts = {ROOT / f"stages/{stage}.py", VARIANTS / f"{variant}.py", NETWORKS / f"{family}.py"}
    return sorted(closure({*starts, *named_families()}))


def listed(stage: str, of_runs: bool) -> list[str]:
    """What dvc.yaml lists for a stage: files, folders, and what depends on the run; ``of_runs``: each run has one."""
    files = closure([ROOT / f"stages/{stage}.py"])
    extra: set[str] = set()
    used: set[Path] = set()
    if builds(files, "build_network"):
        used |= closure(named_families())
        if of_runs:
            papers_own = {path for row in rows(VARIANTS) for path in closure([row]) if path.parent == NETWORKS}
            declared = closure(rows(NETWORKS)) - set(rows(NETWORKS))
            used |= papers_own | declared
            extra.add("gan_core/networks/${item.network.family}.py")
    if builds(files, "build_game"):
        used |= closure(rows(VARIANTS)) - set(rows(VARIANTS))
        extra.add("gan_core/variants/${item.variant}.py")
    names = {relative(path) for path in files | used} | extra
    folders = {folder for folder in WHOLE if any(name.startswith(f"{folder}/") for name in names)}
    kept = {name for name in names if not name.startswith(tuple(f"{folder}/" for folder in WHOLE))} | folders
    return sorted(kept, key=lambda name: (not name.startswith("stages/"), name))


OF_RUNS = ("foreach: ${runs}", "foreach: ${warm_starts}", "foreach: ${imports}")
STAGE, PROGRAM = re.compile(r"  (\w+):"), re.compile(r" +cmd: .*-m stages\.(\w+)")
DEPS, ITEM = re.compile(r"( +)deps:\s*$"), re.compile(r" +- (gan_core|stages)\b")


def with_lists(text: str) -> str:
    """The text of dvc.yaml with the code of every stage listed anew; all else stays.

    Raises:
        DataError: a stage's program is not there.
    """
    stage, program, of_runs, indent, lines = "", "", False, "", list[str]()
    for line in text.splitlines():
        if found := STAGE.match(line):
            stage, program, of_runs, indent = found[1], found[1], False, ""
        if found := PROGRAM.match(line):
            program = found[1]
        of_runs = of_runs or line.strip() in OF_RUNS
        if indent and ITEM.match(line):
            continue
        if indent and not line.startswith(f"{indent}  "):
            if not (ROOT / f"stages/{program}.py").is_file():
                raise DataError(f"dvc.yaml: stage '{stage}' has no stages/{program}.py")
            lines += [f"{indent}  - {name}" for name in listed(program, of_runs)]
            indent = ""
        if found := DEPS.match(line):
            indent = found[1]
        lines.append(line)
    return "\n".join(lines) + "\n"
