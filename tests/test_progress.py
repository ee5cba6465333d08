"""What a person sees during long work, on a terminal and elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from tests.conftest import ROOT

WORK = """
import time
from gan_core.runtime.progress import Progress

progress = Progress("mine", 5)
for done in range(1, 6):
    progress.show({"loss": 0.25 * done})
    time.sleep(0.12)  # a bar moves ten times a second at most
    progress.step(done)
progress.close()
"""


def seen(rows: int, columns: int) -> str:
    """What the work shows on a terminal of a size."""
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, stderr=its, check=True, timeout=60)
    os.close(its)
    said = os.read(mine, 100_000).decode()
    os.close(mine)
    return said


@pytest.mark.parametrize("columns", [80, 100])
def test_a_bar_moves_on_a_terminal_and_fits_it(columns: int) -> None:
    frames = seen(30, columns).split("\r")
    assert max(len(frame.rstrip("\n")) for frame in frames) <= columns
    assert any("60%" in frame for frame in frames)
    assert any("5/5" in frame and "loss 1.25" in frame for frame in frames)


def test_lines_are_printed_where_no_bar_can_move() -> None:
    """A pipe, and a terminal that does not know its size."""
    done = subprocess.run([sys.executable, "-c", WORK], cwd=ROOT, capture_output=True, text=True, timeout=60)
    for said in (done.stderr, seen(0, 0)):
        first, last = said.replace("\r", "").splitlines()
        assert first == "mine: step 0 of 5"
        assert last.startswith("mine: step 5 of 5, ")
        assert last.endswith(" s left, loss 1.25")
