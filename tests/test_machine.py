"""Cores that may be used, and what is said where others work on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core.runtime import machine
from tests.conftest import ROOT


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 1.5), ("max 100000", None), ("", None)])
def test_a_container_s_quota_is_read(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert machine.cpu_quota(tmp_path / "cpu.max") == cores
    assert machine.cpu_quota(tmp_path / "none") is None


def test_affinity_and_quota_bound_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    for quota, usable in ((None, 3), (1.5, 1.5), (8.0, 3)):
        monkeypatch.setattr(machine, "cpu_quota", lambda quota=quota: quota)
        assert machine.usable_cores() == usable


def test_who_waits_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing while there is room; then threads above one are what to change; more threads than cores never fit."""
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    assert [bool(machine.waits(1, load)) for load in (0, 3, 3.4, 3.6, 9)] == [False, False, False, True, True]
    assert [bool(machine.waits(4, load)) for load in (0, 0.4, 0.6)] == [False, False, True]
    assert "load 3.6 on 4 cores" in machine.waits(1, 3.6)
    assert "results stay the same" in machine.waits(1, 3.6)
    assert "threads: 1 does not" in machine.waits(2, 3.6)
    assert "threads: 5 is more than the 4 cores" in machine.waits(5, 0)


WORK = """
import time
from gan_core.runtime import progress

progress.EVERY = 0.2
shown = progress.Progress("mine", 60)
for done in range(1, 61):
    time.sleep(0.01 if done <= 50 else 0.1)
    shown.step(done)
"""


def test_a_jump_of_a_step_s_time_is_said_once_it_lasts() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, timeout=60)
    lines = done.stderr.splitlines()
    assert not [line for line in lines[:3] if "as long as before" in line]
    assert "times as long as before (load " in "".join(lines[-3:])
