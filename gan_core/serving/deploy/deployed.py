"""An exported run, as a fleet sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from gan_core.export.manifest import ModelEndpoint, endpoints_of, manifest_of
from gan_core.runtime.errors import DataError

NUMBER = 32
"""Bytes that a number takes in the longest form a request gives it, as JSON."""
MIN_REQUEST = 1 << 20
"""Bytes that a request may have in any case."""
PHOTOGRAPH = 64 << 20
"""Bytes that a request to a model of tiles may have: a binary picture of 22 megapixels in three channels."""
SHARED, PHOTOGRAPHS = 256, 1024
"""MiB of shared memory, and where whole photographs go through it (``tiles.MOST`` pixels come out)."""


@dataclass(frozen=True)
class Deployed:
    """One exported run."""

    run: str
    repository: Path
    largest_request: int
    """Bytes; no server takes a larger one."""
    shared_memory: int
    """MiB that a server needs to hand requests and answers to its own processes."""
    weights: dict[str, str]
    """The sha256 of the weights of each role."""

    @staticmethod
    def read(folder: Path) -> Deployed:
        """From its manifest.

        Raises:
            DataError: the folder holds no finished export.
        """
        manifest, repository = manifest_of(folder), folder / "model_repository"
        if not repository.is_dir():
            raise DataError(f"{folder} has no model_repository; `dvc repro export@{folder.name}` makes it")
        weights = {role: said["provenance"]["weights_sha256"] for role, said in manifest["roles"].items()}
        endpoints = endpoints_of(manifest)
        shared = PHOTOGRAPHS if any(e.tiles for e in endpoints) else SHARED
        return Deployed(manifest["run"], repository, largest_request(endpoints), shared, weights)

    @property
    def name(self) -> str:
        """As Kubernetes spells names: no underscores."""
        return self.run.replace("_", "-").lower()


def largest_request(endpoints: Iterable[ModelEndpoint]) -> int:
    """Bytes of the largest batch that one of these models takes, as JSON; of a whole photograph, where one takes it."""

    def largest(e: ModelEndpoint) -> int:
        return PHOTOGRAPH if e.tiles else NUMBER * e.max_batch_size * sum(prod(i.usual) for i in e.inputs)

    return max(MIN_REQUEST, *map(largest, endpoints))
