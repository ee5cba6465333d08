"""Several processes that train one run: each computes its shards of every batch, and all take the same step.

In a single process every function here does the obvious. Several use torch.distributed: gloo on CPUs; on GPUs gradients
by NCCL, all else by gloo.
Gradients travel once an update, in one flat buffer, after all of backward is done: a loss may be differentiated twice,
and may be a function of several players.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from gan_core.runtime.errors import EnvironmentFailure, InputError

T = TypeVar("T")
LOCKS: list[IO[str]] = []
"""Locks that this process holds until it ends."""
WANTED = "GAN_PROCESSES"
"""The variable that asks for a number of processes; without it there is one for each GPU."""


def rank() -> int:
    """Which of them this one is: 0, 1, ..."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wanted(shards: int, device: str) -> int:
    """How many processes share the shards: as many as asked for, or as there are GPUs; never more than shards.

    Raises:
        InputError: the number asked for is none, or does not divide the shards.
    """
    asked = os.environ.get(WANTED)
    if asked is None:
        most = torch.cuda.device_count() if device == "cuda" else 1
        return max(n for n in range(1, shards + 1) if n <= max(most, 1) and shards % n == 0)
    if not asked.isdecimal() or int(asked) < 1 or shards % int(asked):
        raise InputError(f"{WANTED} is {asked}, which does not divide train.shards {shards}; change one of them")
    return int(asked)


def init_distributed(shards: int, device: str, module: str, *arguments: str) -> None:
    """Be as many processes as the shards and the machine allow: become torchrun, or join the others it has started.

    Whoever calls torchrun himself, on one machine or on several, decides how many there are.

    Raises:
        InputError: their number does not divide the shards.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        if (count := wanted(shards, device)) > 1:
            launch(count, module, *arguments)
        if device == "cuda":
            torch.cuda.set_device(claim_gpu(torch.cuda.device_count(), Path(tempfile.gettempdir())))
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=timedelta(minutes=5))
    atexit.register(dist.destroy_process_group)
    if shards % world_size():
        raise InputError(
            f"{world_size()} processes were started, which do not divide train.shards {shards}; change one"
        )


def claim_gpu(count: int, folder: Path) -> int:
    """The first of some GPUs that no other run on this machine has; ours until this process ends. None: the first."""
    for k in range(count):
        file = (folder / f"gan-gpu-{k}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            LOCKS.append(file)
            return k
    return 0


def launch(count: int, module: str, *arguments: str) -> None:
    """Become torchrun, which starts ``count`` processes of a module and ends them together."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # every process sets its own; said here, torchrun does not warn
    sys.stdout.flush()
    os.execv(sys.executable, [*torchrun, "-m", module, *arguments])


def sum_over_processes(gradients: list[Tensor], stats: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make every gradient the sum over all processes; returns every named scalar as such a sum.

    Raises:
        EnvironmentFailure: another process has ended.
    """
    if world_size() == 1:
        return stats
    flat = torch.cat([*(g.flatten() for g in gradients), torch.stack(list(stats.values()))])
    collective(lambda: dist.all_reduce(flat))
    *sums, totals = flat.split([*(g.numel() for g in gradients), len(stats)])  # type: ignore[no-untyped-call]
    for gradient, total in zip(gradients, sums, strict=True):
        gradient.copy_(total.view(gradient.shape))
    return dict(zip(stats, totals.unbind(), strict=True))


def any_of(ask: Callable[[], object]) -> bool:
    """Whether any process says yes."""
    if world_size() == 1:
        return bool(ask())
    flag = torch.tensor(float(bool(ask())))  # gloo's: nobody waits for a GPU, and a process that has ended is noticed
    collective(lambda: dist.all_reduce(flag, dist.ReduceOp.MAX))
    return bool(flag.item())


def broadcast_from_rank0(make: Callable[[], T]) -> T:
    """What the first process makes, for all of them; the others wait for it."""
    if world_size() == 1:
        return make()
    made: list[Any] = [make() if rank() == 0 else None]
    collective(lambda: dist.broadcast_object_list(made))
    return made[0]  # type: ignore[no-any-return]


def all_gather(own: dict[str, Any]) -> list[dict[str, Any]]:
    """What each process holds, where there is more than one."""
    if world_size() == 1:
        return []
    all_: list[Any] = [None] * world_size()
    collective(lambda: dist.all_gather_object(all_, own))
    return all_


def collective(operation: Callable[[], object]) -> None:
    """An operation in which all processes take part.

    Raises:
        EnvironmentFailure: one of them is not there any more.
    """
    try:
        operation()
    except (RuntimeError, ValueError) as error:
        raise EnvironmentFailure(
            f"another process of this run has ended ({str(error).splitlines()[0]}); the same command goes on from the "
            "last saved state"
        ) from None
