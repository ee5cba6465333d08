"""A run under another name keeps its training; what runs that are gone have left is listed, and removed on request."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import yaml

from gan_core.config.load import load_params
from gan_core.propose import rename
from gan_core.runtime.errors import InputError
from tests.chaos import children
from tests.conftest import SMALL, SMALL_FILE, Workspace
from tests.remote import content as content_of
from tests.test_pipeline import copy_of, prepared_only, training

RUN = SMALL["runs"]["gan"] | {"network": {"family": "mlp", "width": 16, "latent": 8}}


@pytest.fixture(scope="module")
def small(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A project of one run, prepared and not trained."""
    made = prepared_only(built, tmp_path_factory.mktemp("small"))
    made.declare({"runs": {"gan": RUN}, "export.engines.flavour": "none"})
    return made


@pytest.fixture(scope="module")
def shipped(small: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same, its run shipped."""
    made = copy_of(small, tmp_path_factory.mktemp("shipped"))
    done = made.run("dvc", "repro", "export@gan")
    assert done.returncode == 0, done.stderr
    return made


def content(folder: Path, run: str) -> dict[str, str]:
    """The digests of everything that the pipeline made of a run."""
    made = {of: content_of(folder / of / run) for of in ("models", "players", "reports", "exported")}
    return {f"{of}/{run}/{name}": found for of, files in made.items() for name, found in files.items()}


def stages_run(said: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", said)


def test_a_renamed_run_is_what_it_would_be_had_it_always_had_that_name(
    small: Workspace, shipped: Workspace, tmp_path: Path
) -> None:
    made, always = copy_of(shipped, tmp_path / "renamed"), copy_of(small, tmp_path / "always")
    params = made.folder / "params.yaml"
    params.write_text(text := params.read_text().replace("  gan:\n", "  gan: # the first\n"))
    done = made.run("gan", "rename", "gan", "birds")
    assert done.returncode == 0, done.stderr
    assert "its training came along" in done.stdout
    assert params.read_text() == text.replace("  gan: # the first\n", "  birds: # the first\n")
    done = made.run("dvc", "repro", "export@birds")
    assert stages_run(done.stdout) == ["evaluate@birds", "export@birds"], done.stdout + done.stderr
    always.declare({"runs": {"birds": RUN}})
    assert "train@birds" in stages_run(always.run("dvc", "repro", "export@birds").stdout)
    mine, others = content(made.folder, "birds"), content(always.folder, "birds")
    assert mine.keys() == others.keys()
    assert [name for name in mine if mine[name] != others[name]] == []
    assert len(mine) > 20


def test_an_unfinished_training_goes_on_under_the_new_name(small: Workspace, tmp_path: Path) -> None:
    made = copy_of(small, tmp_path)
    process = training(made, "gan")
    os.kill(children(process.pid)[0], signal.SIGKILL)
    assert process.wait(60) != 0
    done = made.run("gan", "rename", "gan", "birds")
    assert "so it will be trained" in done.stdout, done.stderr
    done = made.run("dvc", "repro", "train@birds")
    assert re.search(r"birds: step [1-9]\d* of 60", done.stderr), done.stderr


def test_a_warm_start_keeps_its_training_and_its_lineage(shipped: Workspace, tmp_path: Path) -> None:
    """As had it always had that name: what it started from stays the same run's."""
    warm = RUN | {"init": {"path": "players/gan"}}
    named = {name: copy_of(shipped, tmp_path / name) for name in ("later", "newer")}
    for name, made in named.items():
        made.declare({"warm_starts": {name: warm}})
        done = made.run("dvc", "repro", f"train_warm@{name}")
        assert done.returncode == 0, done.stderr
    made = named["later"]
    done = made.run("gan", "rename", "later", "newer")
    assert done.returncode == 0, done.stderr
    assert "its training came along" in done.stdout
    assert "up to date" in made.run("dvc", "status", "train_warm@newer").stdout
    assert content(made.folder, "newer") == content(named["newer"].folder, "newer")


def test_a_training_that_is_out_of_date_does_not_become_one_that_is_not(shipped: Workspace, tmp_path: Path) -> None:
    made = copy_of(shipped, tmp_path)
    made.declare({"runs.gan.train.steps": 50})
    assert "so it will be trained" in made.run("gan", "rename", "gan", "birds").stdout
    assert not (tmp_path / "models/birds").exists()
    assert "train@birds" in made.run("dvc", "status", "train@birds").stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gna", "birds", "did you mean gan?"),
        ("gan", "cgan", "there is a run 'cgan' already"),
        ("gan", "../x", "'../x' is no name"),
        ("gan", "2024", "'2024' is no name"),
        ("wgan_gp", "birds", "later starts from the networks of 'wgan_gp'"),
        ("cgan", "birds", "export.engines.here names 'cgan'"),
    ],
)
def test_what_cannot_be_renamed_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    tree = yaml.safe_load(SMALL_FILE.read_text())
    tree["warm_starts"] = {"later": tree["runs"]["wgan_gp"] | {"init": {"path": "players/wgan_gp"}}}
    tree["export"]["engines"] |= {"flavour": "tensorrt_rtx", "here": ["cgan"]}
    (tmp_path / "params.yaml").write_text(json.dumps(tree))
    with pytest.raises(InputError, match=re.escape(said)):
        rename.refuse(load_params(tmp_path / "params.yaml"), old, new)


def test_what_is_left_is_listed_then_removed_and_nothing_else_is(shipped: Workspace, tmp_path: Path) -> None:
    made, outside = copy_of(shipped, tmp_path / "project"), tmp_path / "outside"
    outside.mkdir()
    assert "its training came along" in made.run("gan", "rename", "gan", "birds").stdout
    (outside / "kept.txt").write_text("kept")
    (made.folder / "exported/linked").symlink_to(outside)
    for name in ("reports/gan/notes.txt", "models/gan/mine/a.txt", ".state/older/0123/step-000000010.state"):
        (made.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (made.folder / name).write_text("mine")
    (made.folder / "models/gan/link").symlink_to(outside)
    shutil.copytree(made.folder / "exported/gan", made.folder / "exported/copied")
    before, birds = tree_of(made.folder), content(made.folder, "birds")
    assert "`gan clean` lists it" in made.run("gan", "check").stdout
    listed = made.run("gan", "clean").stdout
    for line in ("exported/linked: 0.0 MB; no stage made it, which stays", "no stage made notes.txt, which stays"):
        assert line in listed
    assert "exported/gan: 0." in listed
    assert "dvc.lock: 3 stages" in listed
    assert tree_of(made.folder) == before, "it only lists"
    done = made.run("gan", "clean", "--yes")
    assert done.returncode == 0, done.stderr
    gone = {name for name in before - tree_of(made.folder) if not name.startswith((".dvc/", ".git/"))}
    removed = re.findall(r"^  (\S+): ", done.stdout, re.M)
    assert [name for name in gone if not name.startswith(tuple(f"{folder}/" for folder in removed))] == []
    assert "exported/gan/manifest.json" in gone
    assert [name for name in gone if "/birds" in name or name.startswith("data/")] == [], "of what is declared nothing"
    for folder in ("models", "reports"):
        left = {p.name for p in (made.folder / folder / "gan").rglob("*") if not p.is_dir() or p.is_symlink()}
        assert left == {"models": {"a.txt", "link"}, "reports": {"notes.txt"}}[folder]
    assert not (made.folder / "exported/gan").exists()
    assert not (made.folder / ".state/older").exists()
    assert (outside / "kept.txt").read_text() == "kept"
    assert "@gan" not in (made.folder / "dvc.lock").read_text()
    assert content(made.folder, "birds") == birds
    assert "up to date" in made.run("dvc", "status", "train@birds").stdout
    assert "exported/copied" in made.run("gan", "clean").stdout, "what no stage has made is named for ever"
    assert made.run("gan", "--params", "tests/small.yaml", "clean", "--yes").returncode == 2


def tree_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() or p.is_symlink()}
