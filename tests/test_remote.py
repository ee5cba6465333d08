"""Remotes and the registry, with real git and DVC and a folder as the remote; through S3: ``make test-remote``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from gan_core.runtime import files
from tests.conftest import ROOT, Workspace
from tests.remote import clone, content, done, push


@pytest.fixture(scope="module")
def origin(built: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The built project, committed and pushed to a folder."""
    folder = tmp_path_factory.mktemp("remote")
    shutil.copytree(built.folder, folder / "origin", ignore=shutil.ignore_patterns(".venv*"))
    made = Workspace.at(folder / "origin")
    push(made, str(folder / "store"), {})
    return made


def test_a_clone_that_pulls_has_all_of_it_and_nothing_to_do(origin: Workspace, tmp_path: Path) -> None:
    copy = clone(origin, tmp_path / "clone", str(origin.folder.parent / "store"), {})
    for name in ("data", "models", "exported"):
        assert content(copy.folder / name) == content(origin.folder / name)
    assert (copy.folder / "report.html").read_bytes() == (origin.folder / "report.html").read_bytes()
    assert "up to date" in done(copy, "dvc", "status")


def test_a_registered_version_is_fetched_by_name_and_taken_back(origin: Workspace, tmp_path: Path) -> None:
    """Without a network: versions and stages are git tags."""
    shutil.copytree(origin.folder, tmp_path / "origin")
    made = Workspace.at(tmp_path / "origin")
    first = content(made.folder / "exported/gan")
    done(made, "gto", "register", "gan", "--version", "v1.0.0")
    done(made, "gto", "assign", "gan", "--version", "v1.0.0", "--stage", "prod")
    assert fetched(made, tmp_path / "first") == first

    card = made.folder / "exported/gan/README.md"
    card.unlink()
    card.write_text("another export")
    done(made, "dvc", "commit", "-f", "export@gan")
    made.git("commit", "-qam", "another export")
    done(made, "gto", "register", "gan", "--version", "v1.1.0")
    done(made, "gto", "assign", "gan", "--version", "v1.1.0", "--stage", "prod")
    assert fetched(made, tmp_path / "second") == first | {"README.md": files.digest(b"another export")}

    done(made, "gto", "assign", "gan", "--version", "v1.0.0", "--stage", "prod", "--force")
    assert fetched(made, tmp_path / "back") == first


def fetched(origin: Workspace, folder: Path) -> dict[str, str]:
    """What is in production."""
    done(origin, "dvc", "artifacts", "get", ".", "gan", "--stage", "prod", "-o", str(folder))
    return content(folder)


def test_a_name_in_the_registry_is_that_of_an_export() -> None:
    """DVC has no ``foreach`` for artifacts, so they are listed; a run that was removed may stay in the list."""
    named = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]
    assert {run: said["path"] for run, said in named.items()} == {run: f"exported/{run}" for run in named}
