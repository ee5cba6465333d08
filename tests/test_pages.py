"""The pages on the papers say what the papers' files say."""

import re

import pytest

from gan_core import config, pages
from tests.conftest import ROOT

TRAPS = (ROOT / "docs/papers.md").read_text()


@pytest.mark.parametrize("variant", config.variants())
def test_a_page_is_what_its_paper_says(variant: str) -> None:
    """Figures may be of an earlier run, words may not: `python -m gan_core pages` writes them."""
    page = (ROOT / f"docs/variants/{variant}.md").read_text()
    for part in [*pages.paper(variant), pages.traps_of(variant, TRAPS)]:
        assert part
        assert part in page, "python -m gan_core pages"


def test_every_trap_names_a_paper_that_exists() -> None:
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\* (`[^:]+): ", TRAPS, re.M))))
    assert named == set(config.variants())


def test_every_declared_run_is_shown() -> None:
    params = config.load(ROOT / "params.yaml")
    assert {run.variant for run in params.runs.values()} == set(config.variants()), "one of each paper"
    for name, run in params.runs.items():
        page = (ROOT / f"docs/variants/{run.variant}.md").read_text()
        assert f"![samples of {name}]({name}.png)" in page
        assert (ROOT / f"docs/variants/{name}.png").is_file()
