"""One stage in a process of its own: ``python -m gan_core.forecast.child <module> <steps> <arguments>``.

It runs the module's ``main`` in this folder and writes ``measured.json``: the peak of its memory, and how long each
call of some functions took. ``steps``: of the whole run, of which these are the first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import reduce, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from gan_core.runtime import errors, files

MEASURED = Path("measured.json")
WATCHED = {
    "prepare": (
        "gan_core.runtime.progress:Progress.step",
        "gan_core.metrics.extractor:train_classifier",
        "gan_core.metrics.extractor:accuracy",
        "gan_core.metrics.extractor:clusters",
    ),
    "train": (
        "gan_core.training.loop:advance",
        "gan_core.training.loop:save",
        "gan_core.training.monitor:Monitor.on_step_end",
    ),
    "evaluate": ("gan_core.metrics.evaluate:last_step", "gan_core.metrics.measure:likeness"),
    "export": ("gan_core.export.ship:Case.fd_of", "gan_core.export.engine:build"),
}
"""The functions of a stage that are called more often, or for more, by the whole run, or for no more than here."""


class Watch:
    """When each call of a function began and ended, in seconds: of the clock, and of all cores used."""

    def __init__(self, name: str) -> None:
        module, _, path = name.partition(":")
        *holder, self.name = path.split(".")
        self.calls: list[list[float]] = []
        self.first: tuple[Any, ...] = ()
        self.kept = 0
        owner = reduce(getattr, holder, import_module(module))
        setattr(owner, self.name, self.timed(getattr(owner, self.name)))

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its calls noted."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if not self.calls:
                self.first = arguments
            begun = now()
            result = function(*arguments, **named)
            self.calls.append([*begun, *now()])
            if self.name == "save":
                self.kept = max(self.kept, size_of(arguments[2].folder))
            return result

        return call


def now() -> list[float]:
    """Seconds of the clock and of all cores used by this process, once a GPU has done what it was given."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return [time.perf_counter(), time.process_time()]


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def updates(run: Any, steps: int) -> list[int]:
    """How many updates each step of a run of so many steps applies."""
    from gan_core.core.types import Moment

    size = run.plan.batch_size
    moments = (Moment(k, k * size, k / steps, size) for k in range(steps))
    return [sum(update.times(at) for update in run.updates) for at in moments]


def main() -> None:
    """Run the stage and write what it took."""
    name, steps, *arguments = sys.argv[1:]
    stage = import_module(name)
    watches = [Watch(watched) for watched in WATCHED[name.rpartition(".")[2].removesuffix("_images")]]
    stage.main(*arguments)
    torch = sys.modules["torch"]
    used = torch.cuda.is_initialized()
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    trained = next((w.first[0] for w in watches if w.name == "advance"), None)
    files.write_json(
        MEASURED,
        {
            "memory": peak * 1024,
            "device": torch.cuda.max_memory_reserved() if used else 0,
            "state": max((w.kept for w in watches), default=0),
            "updates": updates(trained, int(steps)) if trained else [],
            "calls": {w.name: w.calls for w in watches},
        },
    )


if __name__ == "__main__":
    errors.run(main)
