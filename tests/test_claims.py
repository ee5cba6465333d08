"""The fast claims hold, and the table tells the truth about those that do not."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from claims import CLAIMS, table
from claims.__main__ import measure
from claims.table import Claim, Row

ROOT = Path(__file__).parents[1]


def seven(seed: int) -> table.Figures:
    return {"seven": 7.0 + seed, "aside": 1.0}


def crash(seed: int) -> table.Figures:
    raise ValueError("no such thing")


def die(seed: int) -> table.Figures:
    os._exit(3)


def nothing(seed: int) -> table.Figures:
    return {"loss": float("nan")}


def claim(name: str, measured: table.Measure = seven, at_least: float = 7, **changes: object) -> Claim:
    bar = table.each(lambda f: f["seven"] >= at_least)
    made = Claim(name, "A 1999, B", "It is seven", "count", f">= {at_least}", measured, bar, shows=("seven",))
    return replace(made, **changes)


def rows(folder: Path) -> dict[str, Row]:
    return table.read(folder)


@pytest.mark.slow
def test_the_fast_claims_hold(tmp_path: Path) -> None:
    assert measure([c for c in CLAIMS.values() if c.fast], 1, tmp_path) == 0
    assert all(row.holds for row in rows(tmp_path).values())


def test_every_claim_has_its_own_name_and_says_everything() -> None:
    assert len({c.says for c in CLAIMS.values()}) == len(CLAIMS)
    for name, c in CLAIMS.items():
        assert name == c.id
        assert all((c.paper, c.says, c.protocol, c.bar, c.seeds))


def test_a_missed_bar_is_the_exit_code_and_stays_in_the_table(tmp_path: Path) -> None:
    assert measure([claim("low"), claim("high", at_least=8)], 2, tmp_path) == 1
    assert {name: row.holds for name, row in rows(tmp_path).items()} == {"low": True, "high": False}
    text = (tmp_path / "claims.md").read_text()
    assert "| high | It is seven | count | >= 8 | seven 7 | 0 | does not hold |" in text


def test_a_known_miss_is_shown_with_its_reason_and_is_no_failure(tmp_path: Path) -> None:
    assert measure([claim("high", at_least=8, known="seven is less than eight")], 1, tmp_path) == 0
    assert not rows(tmp_path)["high"].holds
    assert "does not hold: seven is less than eight" in (tmp_path / "claims.md").read_text()


def test_every_seed_counts_and_the_range_is_shown(tmp_path: Path) -> None:
    assert measure([claim("both", seeds=(0, 2), at_least=8)], 1, tmp_path) == 1
    row = rows(tmp_path)["both"]
    assert row.figures == [{"seven": 7.0}, {"seven": 9.0}]
    assert row.measured == "seven 8 (7 to 9)"


@pytest.mark.parametrize(
    ("broken", "said"),
    [(crash, "ValueError: no such thing"), (die, "exit code 3"), (nothing, "loss is nan")],
    ids=["raises", "dies", "nan"],
)
def test_a_broken_claim_does_not_take_the_others_along(broken: table.Measure, said: str, tmp_path: Path) -> None:
    assert measure([claim("broken", broken), claim("whole")], 1, tmp_path) == 1
    found = rows(tmp_path)
    assert found["whole"].holds
    assert not found["broken"].holds
    assert said in found["broken"].verdict


def test_claims_that_share_a_measure_are_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, int]] = []

    def counted(measured: table.Measure, seed: int) -> table.Outcome:
        calls.append((measured, seed))
        return table.Outcome(measured(seed), 0.0)

    monkeypatch.setattr(table, "alone", counted)
    measure([claim("one", seeds=(0, 1)), claim("two", at_least=6)], 1, tmp_path)
    assert calls == [(seven, 0), (seven, 1)]


def test_measuring_some_keeps_the_other_rows(tmp_path: Path) -> None:
    measure([claim("one"), claim("two", at_least=9)], 1, tmp_path)
    before = json.loads((tmp_path / "claims.json").read_text())
    measure([claim("two", at_least=7)], 1, tmp_path)
    after = json.loads((tmp_path / "claims.json").read_text())
    assert after["one"] == before["one"]
    assert (before["two"]["holds"], after["two"]["holds"]) == (False, True)
    assert "| one |" in (tmp_path / "claims.md").read_text()


def test_the_written_table_is_of_these_claims() -> None:
    """A claim that was edited, or never measured, has no figure to show."""
    found = rows(ROOT / "docs")
    for name, c in CLAIMS.items():
        row = found[name]
        assert (row.paper, row.says, row.protocol, row.bar) == (c.paper, c.says, c.protocol, c.bar), name
        assert (tuple(row.seeds), row.known) == (c.seeds, c.known), name
        assert row.holds or row.known, name
