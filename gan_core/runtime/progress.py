"""What a person sees during long work: a moving bar on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from math import inf
from statistics import median
from typing import TextIO

from tqdm import tqdm

from gan_core.runtime.machine import slower

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""
SLOW, FEWEST = 2.0, 5
"""So many times as long as before, a step takes so long that it is said; and of how many steps it is known."""


def is_terminal(stream: TextIO) -> bool:
    """Whether a bar can move there: it is a terminal and knows its size, which some that programs open do not."""
    return stream.isatty() and min(os.get_terminal_size(stream.fileno())) > 0


class Progress:
    """Steps done of ``total``, speed, time left, and the latest figures."""

    def __init__(self, name: str, total: int, start: int = 0, silent: bool = False, unit: str = "step") -> None:
        self.name, self.total, self.start, self.unit = name, total, start, unit
        self.begun = self.said = time.monotonic()
        self.last, self.lasted, self.quickest = self.begun, list[float](), inf
        self.figures, self.silent = "", silent
        shown = is_terminal(sys.stderr) and not silent
        self.bar = tqdm(total=total, initial=start, desc=name, unit=unit) if shown else None
        if self.bar is None and not silent:
            print(f"{name}: {unit} {start} of {total}", file=sys.stderr, flush=True)

    def show(self, figures: Mapping[str, float]) -> None:
        """The latest figures, shown with the next line."""
        self.figures = " ".join(f"{name} {value:.3g}" for name, value in figures.items())
        if self.bar is not None:
            self.bar.set_postfix_str(self.figures, refresh=False)

    def step(self, done: int) -> None:
        """``done`` steps are behind us."""
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
        if self.silent:
            return
        now = time.monotonic()
        if self.unit == "step":
            self.lasted.append(now - self.last)
        self.last = now
        if not (now - self.said > EVERY or done == self.total):
            return
        slow, self.said = self.slowed(), now
        if self.bar is None:
            speed = (done - self.start) / max(self.said - self.begun, 1e-9)
            left = (self.total - done) / max(speed, 1e-9)
            said = (f"{self.unit} {done} of {self.total}", f"{speed:.1f} {self.unit}s/s", f"{left:.0f} s left")
            print(f"{self.name}: {', '.join(filter(None, (*said, self.figures, slow)))}", file=sys.stderr, flush=True)
        elif slow:
            self.bar.write(f"{self.name}: {slow}", file=sys.stderr)

    def slowed(self) -> str:
        """What there is to say if steps have come to take much longer; the median, as between some it is evaluated."""
        if len(self.lasted) < FEWEST:
            return ""
        usual, self.lasted = median(self.lasted), []
        slow = slower(usual / self.quickest, os.getloadavg()[0]) if usual > SLOW * self.quickest else ""
        self.quickest = min(self.quickest, usual)
        return slow

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self.bar is not None:
            self.bar.close()
