"""Experiments as DVC shows them: few columns, which say how good a run is, and what differs."""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import Any

import pytest

from gan_core.metrics.record import read_figures
from gan_core.report.facts import Facts
from gan_core.report.headline import headline
from gan_core.report.words import health
from gan_core.runtime import files
from tests import foreign
from tests.conftest import MORE, ROOT, SMALL, Workspace
from tests.test_pipeline import copy_of

MOST = 9
"""Columns that a run may add to `dvc exp show`."""


@pytest.fixture(scope="module")
def tried(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project of which one run was tried with a narrower network."""
    made = copy_of(built, tmp_path_factory.mktemp("tried"))
    made.git("config", "user.name", "t")
    made.git("config", "user.email", "t@localhost")
    made.git("add", "-A")
    made.git("commit", "-qm", "built")
    done = made.run("dvc", "exp", "run", "-n", "narrow", "-S", "runs.gan.network.width=6", "evaluate@gan")
    assert done.returncode == 0, done.stderr
    return made


def test_the_columns_of_a_run_are_few_and_say_what_its_report_says(tried: Workspace) -> None:
    _, baseline = json.loads(tried.run("dvc", "exp", "show", "--json").stdout)
    metrics = {run: shown for of in baseline["data"]["metrics"].values() for run, shown in of["data"].items()}
    assert metrics.keys() == {*SMALL["runs"], MORE, *foreign.NAMES}
    for run, shown in metrics.items():
        facts = Facts.read(run, tried.folder / "reports" / run, tried.folder / "exported" / run)
        assert {"step", "verdict"} - ({"step"} if run in foreign.NAMES else set()) < shown.keys()
        assert len(shown) <= MOST
        if run != "gan":  # whose folder is of the experiment
            assert shown["verdict"] == health(facts)[1]
            assert shown == headline(facts.measured, facts.alarms if facts.monitored else None)
    both = read_figures(tried.folder / "reports/cycle_gan/metrics.json").values()
    assert metrics["cycle_gan"]["fd_own"] == sum(of["fd_own"] for of in both) / 2, "of several roles the mean"
    assert metrics["cycle_gan"]["fd_own_real"] == sum(of["real"]["fd_own"] for of in both) / 2


def test_what_differs_is_shown_without_code_and_hashes(tried: Workspace) -> None:
    """The command of docs/experiments.md."""
    command = "dvc exp show --only-changed --drop '.*/'"
    assert command in (ROOT / "docs/experiments.md").read_text()
    workspace, baseline, narrow = csv.DictReader(io.StringIO(tried.run(*shlex.split(command), "--csv").stdout))
    assert narrow["Experiment"] == "narrow"
    assert [row["runs.gan.network.width"] for row in (baseline, narrow, workspace)] == ["8", "6", "6"]
    of_gan = files.read_json(tried.folder / "reports/gan/headline.json")["gan"]
    allowed = {"Experiment", "rev", "typ", "Created", "parent", *(f"gan.{name}" for name in of_gan)}
    assert narrow.keys() - allowed == {"runs.gan.network.width"}
    assert float(narrow["gan.fd_own"]) == of_gan["fd_own"] != float(baseline["gan.fd_own"])


def of(features: str, **more: Any) -> dict[str, Any]:
    figures = {f"fd_{features}": 2.0, f"kid_{features}": 0.1, "recognised": 0.5, "modes": 7}
    return {**figures, "real": {f"fd_{features}": 0.5}, "protocol": {"features": features, "step": 40}, **more}


def test_the_headline_has_what_was_measured_and_no_more() -> None:
    few = headline({"generator": of("lite0", unknown=["few"])}, [])
    assert few == {
        "fd_lite0": 2.0,
        "kid_lite0": 0.1,
        "fd_lite0_real": 0.5,
        "modes": 7,
        "step": 40,
        "verdict": "nothing wrong is seen, of few samples",
    }
    wrong = of("own", verdicts={"covers_little": "recall is low"})
    found = headline({"a_to_b": of("own"), "b_to_a": wrong}, [{"kind": "mode_collapse"}])
    assert found["verdict"] == "covers little and mode collapse"
    assert headline({}, None) == {"verdict": "not monitored"}
