"""The pages on the papers say what the papers' files say, and the report what was measured."""

import re

import pytest

from gan_core import config, pages, report
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


def test_a_curve_runs_from_left_to_right() -> None:
    """Whatever order its figures were written in."""
    figures = {"generator": {"fid": 1.0, "protocol": {}}, "f": {"at +0.0": 0.5, "at -1.0": 0.7, "at +1.0": 0.2}}
    facts = report.Facts("r", figures, {}, [], b"")
    assert facts.curves == {"f": [(-1.0, 0.7), (0.0, 0.5), (1.0, 0.2)]}
    assert list(facts.measured) == ["generator"]
    drawn = report.curve("f", facts.curves["f"])
    (points,) = re.findall(r"<polyline[^>]*points='([^']*)'", drawn)
    places = [tuple(map(float, p.split(","))) for p in points.split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places), "it falls: y grows downwards"


def test_what_the_papers_claim_stands_in_the_report() -> None:
    claim = {"id": "Z9", "says": "it <holds>", "bar": ">= 1", "figures": [{"x": 1.0}, {"x": 3.0}], "holds": False}
    page = report.claimed([claim])
    assert "it &lt;holds&gt;" in page
    assert "x 2" in page, "the median of the seeds"
    assert "does not hold" in page
    assert report.claimed([]) == ""
