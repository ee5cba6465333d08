"""The table of losses as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gan_core import files


def write_losses(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """One row a logged step, one column a term."""
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, list(history[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    files.write(path, buffer.getvalue().encode())
