"""The cores of this machine, and who else works on them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says how much of its cores a container may use."""
LOOKS, BETWEEN = 9, 0.03
"""How often it is counted who runs, and seconds between two counts."""


def cpu_quota(cgroup: Path = CGROUP) -> float | None:
    """Cores that a container may use at once; None where nothing limits them."""
    both = cgroup / "cpu.max", cgroup / "cpu"
    try:
        if both[0].is_file():  # version 2
            most, period = both[0].read_text().split()
        else:
            most, period = ((both[1] / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return None if most in ("max", "-1") else int(most) / int(period)


def running() -> float:
    """How many others run or wait for a core now, on the whole machine: the median of a few looks."""
    looks = []
    for _ in range(LOOKS):
        looks.append(int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1)
        time.sleep(BETWEEN)
    return median(looks)


def usable_cores() -> float:
    """Cores that this process may use: by its affinity, and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, cpu_quota() or cores)


def waits(threads: int, others: float) -> str:
    """Why ``threads`` of a process that begins will wait for cores, as a sentence; empty, where they need not.

    ``others``: who runs on the machine before it begins (``running``).
    """
    usable, cores = usable_cores(), os.cpu_count() or 1
    if threads > usable:
        return f"threads: {threads} is more than the {usable:g} cores that may be used: a step takes many times as long"
    if others + threads <= cores:
        return ""
    busy = f"the machine is busy ({others:g} others work on its {cores} cores): "
    if threads > 1:
        return busy + f"{threads} threads wait for each other, a step may take 20 times as long; threads: 1 does not"
    return busy + "steps take longer, results stay the same"


def slower(times: float, load: float) -> str:
    """What is said when a step takes so many times as long as before."""
    return f"steps take {times:.1f} times as long as before (load {load:.1f} on {os.cpu_count()} cores)"
