"""All that ``gan check`` looks at, as text for a person or as values for a program."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_core.config import places
from gan_core.config.checker import Mistaken
from gan_core.config.load import load_params
from gan_core.runtime.errors import DataError, EnvironmentFailure, FoundryError

DVC_LOCK = Path(".dvc/tmp/rwlock")


class Missing(DataError):
    """What a declaration names is not there: key and sentence of each."""

    def __init__(self, missing: Iterable[tuple[str, str]]) -> None:
        self.missing = tuple(missing)
        super().__init__("\n".join(f"{where} {said}" for where, said in self.missing))


@dataclass(frozen=True)
class Checked:
    """What was found. ``runs`` and ``datasets``: how many are declared; None where mistakes kept it from being read."""

    failure: FoundryError | None
    runs: int | None = None
    datasets: int | None = None
    left_over: list[Path] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values; ``line`` is there where a mistake has one."""
        return {
            "ok": self.failure is None,
            "mistakes": list(mistakes(self.failure)),
            "runs": self.runs,
            "datasets": self.datasets,
            "left_over": [path.as_posix() for path in self.left_over],
        }


def mistakes(failure: FoundryError | None) -> Iterable[dict[str, Any]]:
    """Each mistake: ``where`` is its key, or empty."""
    if isinstance(failure, Mistaken):
        return [{"where": m.where, "line": m.line, "message": m.message} for m in failure.mistakes]
    if isinstance(failure, Missing):
        return [{"where": where, "message": said} for where, said in failure.missing]
    return [{"where": "", "message": str(failure)}] if failure else []


def check(path: Path) -> Checked:
    """Read a declaration, and look for what it names and for what earlier ones left."""
    try:
        dvc_lock_is_whole()
        params = load_params(path)
    except FoundryError as failure:
        return Checked(failure)
    root, datasets = path.parent, [*params.datasets, *params.images]
    gone = [*places.missing(params.images, root), *places.parents_missing(params.runs, root)]
    gone += places.files_missing(params.imports, root)
    left = places.left_over(root, params.shipped, datasets)
    return Checked(Missing(gone) if gone else None, len(params.shipped), len(datasets), left)


def dvc_lock_is_whole() -> None:
    """Whether DVC's lock can be read; DVC would not say what to do.

    Raises:
        EnvironmentFailure: it is cut short.
    """
    try:
        json.loads(DVC_LOCK.read_text() if DVC_LOCK.exists() else "{}")
    except ValueError:
        raise EnvironmentFailure(
            f"{DVC_LOCK} is cut short: DVC was killed while it wrote it; if no other dvc runs here, remove it"
        ) from None
