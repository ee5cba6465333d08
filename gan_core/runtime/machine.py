"""The cores of this machine, and who else works on them."""

from __future__ import annotations

import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much of its cores a container may use."""
SLACK = 0.5
"""Of a core, by which a load may be above what is free before anybody waits: its mean is of a minute."""


def cpu_quota(path: Path = CPU_MAX) -> float | None:
    """Cores that a container may use at once; None where nothing limits them."""
    try:
        most, period = path.read_text().split()
    except (OSError, ValueError):
        return None
    return None if most == "max" else int(most) / int(period)


def usable_cores() -> float:
    """Cores that this process may use: by its affinity, and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, cpu_quota() or cores)


def waits(threads: int, load: float) -> str:
    """Why ``threads`` of a process that begins will wait for cores, as a sentence; empty, where they need not.

    ``load``: processes that run or wait to, before it begins.
    """
    usable = usable_cores()
    if threads > usable:
        return f"threads: {threads} is more than the {usable:g} cores that may be used: a step takes many times as long"
    if load <= usable - threads + SLACK:
        return ""
    busy = f"the machine is busy (load {load:.1f} on {usable:g} cores): "
    if threads > 1:
        return busy + f"{threads} threads wait for each other, a step may take 20 times as long; threads: 1 does not"
    return busy + "steps take longer, results stay the same"


def slower(times: float, load: float) -> str:
    """What is said when a step takes so many times as long as before."""
    return f"steps take {times:.1f} times as long as before (load {load:.1f} on {usable_cores():g} cores)"
