"""What a run may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Resources:
    """Of one run: processes that train it together, and of each of them CPUs and GPUs."""

    processes: int = 1
    cpus: int = 1
    gpus: int = 0

    @property
    def of_process(self) -> dict[str, float]:
        """As Ray names them."""
        return {"CPU": float(self.cpus)} | ({"GPU": float(self.gpus)} if self.gpus else {})
