"""An update as one CUDA graph: forward, backward, step and projection are launched at once, not kernel by kernel."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from gan_core.errors import EnvironmentFailure
from gan_core.types import Batch, Terms

Descend = Callable[[Batch], Terms]
WARM_UP = 3
"""Steps taken as ever before one is captured: optimizers make their state, libraries choose their kernels."""


class Captured:
    """Takes the same steps as ``descend``, from a graph where it can be captured.

    It cannot where a step asks the GPU for a number, or draws one on the CPU (a pool of old fakes does): such a step is
    taken as ever. A graph draws its noise from torch's seed at the time it is replayed, as a step does.
    """

    def __init__(self, descend: Descend, forget: Callable[[], object]) -> None:
        self.descend, self.forget = descend, forget
        self.taken, self.able = 0, True
        self.graph: torch.cuda.CUDAGraph | None = None
        self.fed: list[Tensor] = []
        self.terms: Terms = {}

    def __call__(self, batch: Batch) -> Terms:
        """One step. The terms are the caller's to keep.

        Raises:
            EnvironmentFailure: the GPU does not let a step be captured that seemed fit for it.
        """
        self.taken += 1
        if self.able and self.taken == WARM_UP:
            return self.watch(batch)
        if self.able and self.graph is None and self.taken > WARM_UP:
            self.capture(batch)
        if self.graph is None:
            return self.descend(batch)
        for mine, given in zip(self.fed, tensors(batch), strict=True):
            mine.copy_(given)
        self.graph.replay()
        return {name: value.clone() for name, value in self.terms.items()}

    def drop(self) -> None:
        """Forget the recorded step: the tensors it moves are others now, as after a restored state."""
        self.taken, self.graph = 0, None

    def watch(self, batch: Batch) -> Terms:
        """Take a step, and see whether it can be captured: a capture that fails cannot be undone."""
        drawn, mode = torch.get_rng_state(), torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                terms = self.descend(batch)
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        waited = any("synchronizing CUDA operation" in str(warning.message) for warning in said)
        self.able = not waited and torch.equal(drawn, torch.get_rng_state())
        if not self.able:
            print("one update asks the GPU for a number or draws on the CPU: it is no CUDA graph", file=sys.stderr)
        return terms

    def capture(self, batch: Batch) -> None:
        """Record a step without taking it."""
        self.forget()  # gradients made outside the graph's memory
        fed = Batch(*(None if t is None else t.clone() for t in (batch.x, batch.y, batch.other)))  # type: ignore[arg-type]
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        try:
            with torch.cuda.graph(graph):
                terms = self.descend(fed)
        except RuntimeError as error:
            why = str(error).splitlines()[0]
            raise EnvironmentFailure(
                f"an update is refused as a CUDA graph ({why}); set train.graph to false"
            ) from None
        self.graph, self.fed, self.terms = graph, tensors(fed), terms


def tensors(batch: Batch) -> list[Tensor]:
    """What a batch holds."""
    return [value for f in fields(batch) if (value := getattr(batch, f.name)) is not None]
