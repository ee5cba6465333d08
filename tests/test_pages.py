"""The pages on the papers say what the papers' files say; links lead somewhere, commands and sentences are there."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core import __main__
from gan_core.config import papers
from gan_core.config.load import load_params
from gan_core.report import pages
from tests.conftest import DECLARED, ROOT, SMALL_FILE

TRAPS = (ROOT / "docs/papers.md").read_text()


@pytest.mark.parametrize("variant", papers.variants())
def test_a_page_is_what_its_paper_says(variant: str) -> None:
    """Figures may be of an earlier run, words may not: `gan pages` writes them."""
    page = (ROOT / f"docs/variants/{variant}.md").read_text()
    for part in [*pages.paper(variant), pages.traps_of(variant, TRAPS)]:
        assert part
        assert part in page, "gan pages"


def test_every_trap_names_a_paper_that_exists() -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\* (`[^:]+): ", TRAPS, re.M))))
    assert named == set(papers.variants())


@pytest.mark.parametrize("variant", sorted({run.variant for run in load_params(DECLARED).runs.values()}))
def test_the_page_of_a_paper_that_is_played_shows_samples_that_are_there(variant: str) -> None:
    page = (ROOT / f"docs/variants/{variant}.md").read_text()
    assert "![samples of " in page
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", page)
    assert [name for name in shown if not (ROOT / "docs/variants" / name).is_file()] == []


PAGES = sorted({*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"})
NEW = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def outside_of_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def anchors(page: Path) -> set[str]:
    """What headings can be linked by, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.S), re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.strip().lower())) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = outside_of_code(page.read_text())
    for link in (found for found in NEW.findall(text) if "://" not in found):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def lines_of(page: Path, starts: str) -> list[str]:
    """The lines of a page's shell blocks that run a program."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith(starts)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one(page: Path) -> None:
    """As far as its arguments say; the walk-throughs are run as they stand."""
    targets = set(re.findall(r"^([\w.-]+(?:/\.\w+)?):", (ROOT / "Makefile").read_text(), re.M))
    for line in lines_of(page, "gan "):
        __main__.parser().parse_args(shlex.split(line.partition(" > ")[0], comments=True)[1:])
    for line in lines_of(page, "make "):
        asked = [word for word in shlex.split(line.partition("&&")[0], comments=True)[1:] if "=" not in word]
        assert set(asked) <= targets, line


def test_the_site_has_every_page_once() -> None:
    named = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(named) == sorted(str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md"))


def said_by_the_program() -> str:
    """All texts in the code, with ``\\0`` for what is filled in."""
    texts = []
    for path in (p for folder in ("gan_core", "stages") for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(v.value if isinstance(v, ast.Constant) else "\0" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_what_people_see_is_what_the_program_says() -> None:
    """Each quoted sentence of docs/troubleshooting.md, piece by piece between what is filled in."""
    text, corpus = (ROOT / "docs/troubleshooting.md").read_text(), said_by_the_program()
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+) \|", text, re.M)
    pieces = [piece.strip() for row in rows for said in re.findall(r"`([^`]+)`", row) for piece in said.split("...")]
    assert len(pieces) > 50
    assert [piece for piece in pieces if piece not in corpus] == []


def test_the_quick_start_declares_what_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/quick-start.md up to `gan check`; what follows, the walk through docs/your-data.md runs as it stands."""
    shutil.copy(SMALL_FILE, tmp_path / "params.yaml")
    page = ROOT / "docs/quick-start.md"
    _, pictures, _ = re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)
    subprocess.run(["bash", "-ec", pictures.replace("python", sys.executable, 1)], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    for line in lines_of(page, "gan ")[:2]:
        arguments = __main__.parser().parse_args(shlex.split(line, comments=True)[1:])
        arguments.function(arguments)
    params = load_params(tmp_path / "params.yaml")
    assert (params.runs["mine"].variant, params.runs["mine"].train.steps) == ("cgan", 2000)
    assert (params.images["mine"].size, params.images["mine"].labels) == (24, True)
