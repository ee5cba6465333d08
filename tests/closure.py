"""Which files of ours a stage runs, read from its imports: what dvc.yaml must list."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

EXEMPT = {
    "gan_core/__init__.py": "a docstring",
    "gan_core/datasets/__init__.py": "a docstring",
    "gan_core/export/__init__.py": "a docstring",
    "gan_core/metrics/__init__.py": "a docstring",
    "gan_core/objectives/__init__.py": "a docstring",
    "gan_core/report/__init__.py": "a docstring",
    "gan_core/training/__init__.py": "a docstring",
    "stages/__init__.py": "starts no work",
    "stages/paths.py": "names paths; dvc.yaml names them too, and DVC compares",
    "gan_core/config.py": "holds no values: what it reads is listed as params",
    "gan_core/bounds.py": "says what a declaration may hold",
    "gan_core/lifetime.py": "ends processes, and computes nothing",
    "gan_core/errors.py": "speaks only when a stage fails",
    "gan_core/training/progress.py": "only prints",
    "gan_core/training/guard.py": "starts, stops and refuses, but computes nothing",
    "gan_core/networks/__init__.py": "a table; the row in use is listed",
    "gan_core/variants/__init__.py": "a table; the row in use is listed",
}
TABLES = ("gan_core/networks/__init__.py", "gan_core/variants/__init__.py")


def imports(path: Path) -> set[Path]:
    """The files of ours that a file imports when it runs (not under TYPE_CHECKING)."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        base = ROOT / name.replace(".", "/")
        found |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()}
    return found


def walk(node: ast.AST):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from walk(child)


def closure(start: Path) -> set[str]:
    """Every file a stage runs, less the exempt; rows behind a table are not followed."""
    seen: set[Path] = set()
    open_ = {start}
    while open_:
        path = open_.pop()
        seen.add(path)
        if str(path.relative_to(ROOT)) not in TABLES:
            open_ |= imports(path) - seen
    return {str(p.relative_to(ROOT)) for p in seen} - EXEMPT.keys()


if __name__ == "__main__":
    for stage in sorted((ROOT / "stages").glob("[a-z]*.py")):
        print(stage.name, *sorted(closure(stage)), sep="\n    ")
