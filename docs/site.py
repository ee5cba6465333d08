"""A hook of mkdocs: what pages link to outside docs/ becomes part of the site, so that every link can be checked."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s#:]+)(#[^)\s]*)?\)")
AS_THEY_ARE = (".md", ".svg", ".png")
SOURCE = "source"
"""The folder of the site that holds what lies outside docs/."""


def origin(page: str) -> str:
    """Where a page of the site lies in the project."""
    return page.removeprefix(f"{SOURCE}/") if page.startswith(f"{SOURCE}/") else f"docs/{page}"


def target(page: str, link: str) -> str:
    """The file of the project that a link of a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin(page)), link))


def placed(name: str) -> str:
    """Where a file of the project is in the site: code and data as a page."""
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    return f"{SOURCE}/{name}" if name.endswith(AS_THEY_ARE) else f"{SOURCE}/{name}.md"


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside docs/ that pages in it link to."""
    for page in list(files.documentation_pages()):
        for name in sorted({target(page.src_uri, link) for link, _ in LINK.findall(page.content_string)}):
            path = placed(name)
            if name.startswith("docs/") or not (ROOT / name).is_file() or files.get_file_from_path(path):
                continue
            content = (ROOT / name).read_bytes()
            if not name.endswith(AS_THEY_ARE):
                content = f"# {name}\n\n```{Path(name).suffix[1:]}\n{content.decode()}\n```\n".encode()
            files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links lead to where the files are in the site; one that leads nowhere stays so, and the build fails."""
    here = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        path = posixpath.relpath(placed(target(here, link[1])), posixpath.dirname(here) or ".")
        return f"]({path}{link[2] or ''})"

    return LINK.sub(moved, markdown)
