"""What a person sees during long work: a moving bar on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

EVERY = 10.0
"""Seconds between two lines where there is no terminal."""


def is_terminal(stream: TextIO) -> bool:
    """Whether a bar can move there: it is a terminal and knows its size, which some that programs open do not."""
    return stream.isatty() and min(os.get_terminal_size(stream.fileno())) > 0


class Progress:
    """Steps done of ``total``, speed, time left, and the latest figures."""

    def __init__(self, name: str, total: int, start: int = 0, silent: bool = False, unit: str = "step") -> None:
        self.name, self.total, self.start, self.unit = name, total, start, unit
        self.begun = self.said = time.monotonic()
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
        elif not self.silent and (time.monotonic() - self.said > EVERY or done == self.total):
            self.said = time.monotonic()
            speed = (done - self.start) / max(self.said - self.begun, 1e-9)
            left = (self.total - done) / max(speed, 1e-9)
            said = (f"{self.unit} {done} of {self.total}", f"{speed:.1f} {self.unit}s/s", f"{left:.0f} s left")
            print(f"{self.name}: {', '.join(filter(None, (*said, self.figures)))}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self.bar is not None:
            self.bar.close()
