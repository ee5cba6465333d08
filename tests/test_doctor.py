"""``gan doctor``: what it says is so, and what is wrong is said."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from gan_core.__main__ import COMMANDS, parser
from gan_core.config.load import load_params
from gan_core.report import doctor
from tests.conftest import DECLARED, ROOT


def test_it_runs_and_names_what_is_installed() -> None:
    done = subprocess.run([sys.executable, "-m", "gan_core", "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for package in ("torch", "onnxruntime-gpu", "dvc"):
        assert f"{package} {metadata.version(package)}" in done.stdout
    assert f"cores: {len(os.sched_getaffinity(0))} of {os.cpu_count()}" in done.stdout


def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path) -> None:
    params = load_params(DECLARED)
    odd = replace(params, torch="1.0.0", threads=10_000)
    more = [line for line in doctor.lines(odd, tmp_path) if line.startswith("!")]
    assert any("params.yaml says torch 1.0.0" in line and "make .venv/.done" in line for line in more)
    assert any("threads: 10000" in line for line in more)
    assert f"Triton: none in {tmp_path}" in "\n".join(doctor.lines(params, tmp_path))


@pytest.mark.parametrize("command", ["", *(function.__name__ for function in COMMANDS)])
def test_help_is_for_users(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of docstrings, no option without a word, and it fits a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    made = parser()
    if command:
        (commands,) = (a for a in made._actions if isinstance(a, argparse._SubParsersAction))
        made = commands.choices[command]
    assert [a.dest for a in made._actions if not a.help and not isinstance(a, argparse._SubParsersAction)] == []
    said = made.format_help()
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert re.findall(r"Raises|Args:|Returns|``|^ *command$|None", said, re.M) == []
    assert not made.description or made.description.endswith((".", ')".'))


def test_where_graphs_are_computed_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that ONNX Runtime was built with need not work."""
    assert list(doctor.computing(gpu_is_there=False)) == ["ONNX Runtime computes on: cpu"]
    monkeypatch.setattr("shutil.which", lambda _: None)
    able, *missing = doctor.computing(gpu_is_there=True)
    assert able == "ONNX Runtime computes on: cpu"
    assert len(missing) == 3
    assert all("cannot be computed on" in line for line in missing)
