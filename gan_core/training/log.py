"""The table of losses as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core import files


def write_losses(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """One row a logged step, one column a term; an empty cell where the term was not played."""
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for row in history for name in row))
    table = csv.DictWriter(buffer, names, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    files.write(path, buffer.getvalue().encode())
