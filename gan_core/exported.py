"""What an exported folder says of itself. No torch, for a client reads it too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_core import files
from gan_core.errors import DataError

FORMAT = 2
"""Of the manifests that are written and read."""


def manifest_of(folder: Path) -> dict[str, Any]:
    """Its manifest.json.

    Raises:
        DataError: it holds no finished export, or one that another version of this project wrote.
    """
    path = folder / "manifest.json"
    manifest: dict[str, Any] = files.read_json(path)
    if (found := manifest.get("format")) != FORMAT:
        raise DataError(f"{path} has format {found}; this program reads format {FORMAT}, so export again")
    return manifest
