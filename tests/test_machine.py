"""Cores that may be used, and what is said where others work on them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core.runtime import machine
from gan_core.runtime.progress import Progress
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("written", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_container_s_quota_is_read(tmp_path: Path, written: dict[str, str], cores: float | None) -> None:
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.cpu_quota(tmp_path) == cores


def test_affinity_and_quota_bound_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    for quota, usable in ((None, 3), (1.5, 1.5), (8.0, 3)):
        monkeypatch.setattr(machine, "cpu_quota", lambda quota=quota: quota)
        assert machine.usable_cores() == usable


def test_who_waits_is_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing while there is room on the machine; then threads above one are what to change."""
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert [bool(machine.waits(1, others)) for others in (0, 3, 4, 9)] == [False, False, True, True]
    assert [bool(machine.waits(2, others)) for others in (0, 2, 3)] == [False, False, True]
    assert "4 others work on its 4 cores" in machine.waits(1, 4)
    assert "results stay the same" in machine.waits(1, 4)
    assert "threads: 1 does not" in machine.waits(2, 4)
    assert "threads: 3 is more than the 2 cores" in machine.waits(3, 0)


def test_who_runs_is_counted() -> None:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        assert machine.running() >= 2
    finally:
        for other in others:
            other.kill()
            other.wait()


WORK = """
import time
from gan_core.runtime import progress

progress.EVERY = 0.2
shown = progress.Progress("mine", 70)
for done in [*range(1, 41), 20, *range(21, 71)]:  # after a rollback it counts again
    time.sleep({jump} if done > 60 else 0.01)
    if done % 15 == 0:
        time.sleep(0.4)  # an evaluation between two steps
    shown.step(done)
"""


@pytest.mark.parametrize(("jump", "said"), [(0.01, False), (0.1, True)])
def test_a_jump_of_a_step_s_time_is_said_and_an_evaluation_is_none(jump: float, said: bool) -> None:
    work = WORK.replace("{jump}", str(jump))
    done = subprocess.run([sys.executable, "-c", work], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "times as long as before (load " in line]
    assert bool(lines) == said, done.stderr
    assert all("step 6" in line or "step 70" in line for line in lines)


def test_what_nobody_is_shown_keeps_nothing() -> None:
    """Of millions of steps in another process, or of pictures, no time of each stays."""
    for shown in (Progress("mine", 10**6, silent=True), Progress("mine", 10**6, unit="picture")):
        for done in range(1_000):
            shown.step(done)
        assert shown.lasted == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are those of another kind of processor")
def test_numpy_s_kernels_do_not_depend_on_the_processor() -> None:
    """So figures do not, either: those of one processor are those of the next."""
    asked = "import gan_core, scipy.linalg, threadpoolctl as t; "
    asked += "print({(x['architecture'], x['num_threads']) for x in t.threadpool_info() if x['user_api'] == 'blas'})"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "{('Haswell', 1)}\n", done.stderr
