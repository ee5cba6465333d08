"""A table of a run as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core.runtime import files

HEALTH_FORMAT = 1
"""Of health.json: what was detected while a run was trained."""


def write_table(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """One row a step, one column a figure; an empty cell where there was none."""
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in history for name in row))
    table = csv.DictWriter(buffer, names, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    files.write(path, buffer.getvalue().encode())
