"""Samples from the same fixed inputs at several steps of a run, as one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from gan_core.runtime import files
from gan_core.runtime.errors import DataError

FORMAT = "2"
"""Of the file: tensors named ``<step>.<role>``, images in 8 bits (N, H, W, C) or points (N, D)."""


def write_snapshots(path: Path, snapshots: Mapping[str, Tensor]) -> None:
    """Write them under their names."""
    files.write(path, safetensors.torch.save(dict(snapshots), {"format": FORMAT}))


def read_snapshots(path: Path) -> dict[int, list[Tensor]]:
    """Step -> samples of each role.

    Raises:
        DataError: there is none, it is damaged, or of another format.
    """
    found: dict[int, list[Tensor]] = {}
    try:
        with safetensors.safe_open(path, "pt") as file:
            if (written := (file.metadata() or {}).get("format")) != FORMAT:
                raise files.other_format(path, written, FORMAT)
            for key in sorted(file.keys()):
                found.setdefault(int(key.partition(".")[0]), []).append(file.get_tensor(key))
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); run `dvc repro` to make it") from None
    return found
