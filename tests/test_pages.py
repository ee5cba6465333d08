"""The pages on the papers say what the papers' files say."""

import re

import pytest

from gan_core.config import papers
from gan_core.config.load import load_params
from gan_core.report import pages
from tests.conftest import DECLARED, ROOT

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
