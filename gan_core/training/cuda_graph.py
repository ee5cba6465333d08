"""An update as one CUDA graph: forward, backward, step and what follows are launched at once, not kernel by kernel."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_core.core.types import Batch, Moment
from gan_core.runtime.errors import EnvironmentFailure
from gan_core.training.update import Applied

WARM_UP = 3
"""Steps taken uncaptured before one is captured: optimizers make their state, libraries choose their kernels."""


class Clock(Moment):
    """A moment that knows whether it was read: a captured step would compute with the moment of its capture."""

    read = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("step", "images", "progress"):
            object.__setattr__(self, "read", True)
        return super().__getattribute__(name)


class Captured:
    """Takes the same steps as ``apply_update`` of one shard, from a graph where it can be captured.

    It cannot where a step asks the GPU for a number, draws one on the CPU, or depends on the moment (a scheduled
    symbol): such a step is taken uncaptured. A graph draws its noise from torch's seed at the time it is replayed.
    """

    def __init__(
        self,
        apply: Callable[[Sequence[Batch], Moment], Applied],
        forget: Callable[[], object],
        able: bool = True,
    ) -> None:
        self.apply, self.forget = apply, forget
        self.calls, self.able = 0, able
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Mapping[str, Tensor] = {}
        self.outputs: Applied | None = None

    def __call__(self, shards: Sequence[Batch], at: Moment) -> Applied:
        """One step. The statistics are the caller's to keep.

        Raises:
            EnvironmentFailure: the GPU does not let a step be captured that seemed fit for it.
        """
        self.calls += 1
        if self.able and self.calls == WARM_UP:
            return self.probe(shards, at)
        if self.able and self.graph is None and self.calls > WARM_UP:
            self.capture(shards[0], at)
        if self.graph is None or self.outputs is None:
            return self.apply(shards, at)
        for name, value in vars(shards[0]).items():
            if name in self.inputs:
                self.inputs[name].copy_(value)
        self.graph.replay()
        fields = vars(self.outputs.shards[0])
        shared = {name: value.clone() for name, value in fields.items() if value is not self.inputs.get(name)}
        stats = {name: value.clone() for name, value in self.outputs.stats.items()}
        return Applied(stats, [shards[0].extended(shared)])

    def drop(self) -> None:
        """Forget the recorded step: the tensors it moves are others now, as after a restored state."""
        self.calls, self.graph = 0, None

    def probe(self, shards: Sequence[Batch], at: Moment) -> Applied:
        """Take a step, and see whether it can be captured: a capture that fails cannot be undone."""
        drawn, mode = torch.get_rng_state(), torch.cuda.get_sync_debug_mode()
        clock = Clock(**vars(at))
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                applied = self.apply(shards, clock)
        finally:
            torch.cuda.set_sync_debug_mode(mode)
        waited = any("synchronizing CUDA operation" in str(warning.message) for warning in caught)
        self.able = not waited and not clock.read and torch.equal(drawn, torch.get_rng_state())
        if not self.able:
            print(
                "one update is no CUDA graph: it asks the GPU for a number, draws on the CPU or has a schedule",
                file=sys.stderr,
            )
        return applied

    def capture(self, batch: Batch, at: Moment) -> None:
        """Record a step without taking it."""
        self.forget()  # gradients made outside the graph's memory
        inputs = batch.map(torch.clone)
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        try:
            with torch.cuda.graph(graph):
                outputs = self.apply([inputs], at)
        except RuntimeError as error:
            why = str(error).splitlines()[0]
            raise EnvironmentFailure(
                f"an update is refused as a CUDA graph ({why}); set train.cuda_graph to false"
            ) from None
        self.graph, self.inputs, self.outputs = graph, vars(inputs), outputs
