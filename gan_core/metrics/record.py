"""The file of figures of a run: written by ``evaluate``, read without torch by reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_core.runtime import files

FORMAT = 2
"""Of metrics.json."""


def write_figures(path: Path, roles: Mapping[str, Any]) -> None:
    """Role -> its figures, intervals and protocol."""
    files.write_json(path, {"format": FORMAT, "roles": dict(roles)})


def read_figures(path: Path) -> dict[str, Any]:
    """The inverse of ``write_figures``.

    Raises:
        DataError: it is missing, damaged, or of another format.
    """
    roles: dict[str, Any] = files.read_json(path, FORMAT)["roles"]
    return roles
