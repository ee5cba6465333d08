"""Jobs on a Ray cluster: a stage is a task, which another node takes over where one is lost.

A training of several processes is a placement group, an actor a process; whoever of them is lost, all begin again
from the last saved state.
"""

from __future__ import annotations

import importlib
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from gan_core.cluster import node
from gan_core.cluster.carry import TOKEN, Carrier, Keeper
from gan_core.cluster.job import Job, outdated
from gan_core.cluster.resources import Resources
from gan_core.runtime import machine
from gan_core.runtime.errors import EnvironmentFailure, FoundryError, InputError, first_line

NOT_INSTALLED = (
    "Ray is not installed; `pip install --constraint constraints.txt --editable '.[ray]'` brings it, on every node"
)
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Ray reports to nobody, and what it starts has the priority of what a shell starts."""
STARTED_HERE = "local"
RETRIES = 10
"""So often a stage is begun again after a node or a process was lost."""
ANSWERS = 5.0
"""Seconds to wait for an address."""
OBJECTS = 80_000_000
"""Bytes of a local node's object store: nothing but a few words goes through it."""
PACKAGES = ("torch", "dvc", "numpy")
"""What is part of every result, and must be the same everywhere."""


def installed() -> ModuleType:
    """Ray.

    Raises:
        EnvironmentFailure: it is not there.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise EnvironmentFailure(NOT_INSTALLED) from None


@contextmanager
def connected(address: str, nodes: int, work: Path) -> Iterator[tuple[ModuleType, str]]:
    """Ray, and the address of a cluster: ``local`` starts one of so many nodes here, anything else must be there.

    Raises:
        EnvironmentFailure: nobody answers there, or Ray is not installed.
    """
    ray = installed()
    if address not in (STARTED_HERE, "auto"):
        answers(address)
    local = started(nodes) if address == STARTED_HERE else None
    log = work / "logs/ray.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file, redirect_stdout(file):  # of each node that is lost Ray prints a page
        try:
            at = local.address if local else address
            init(ray, at, {"env_vars": {"PYTHONPATH": str(work / "code")}})
            yield ray, at
        finally:
            ray.shutdown()
            if local:
                local.shutdown()


def init(ray: ModuleType, address: str, environment: dict[str, Any]) -> None:
    """Join a cluster, whose processes for this program get an environment.

    Raises:
        EnvironmentFailure: there is none.
    """
    how = {"log_to_driver": False, "logging_level": "CRITICAL", "runtime_env": environment}
    try:
        ray.init(address, **how)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EnvironmentFailure(
            f"--address {address}: {first_sentence(error)}; `ray start --head` starts one"
        ) from None


def started(nodes: int) -> Any:
    """A cluster of so many nodes on this machine, which share its cores."""
    from ray.cluster_utils import Cluster

    cpus = max(1, int(machine.usable_cores()) // nodes)
    cluster = Cluster()
    for k in range(nodes):
        with_gpus = {} if k == 0 else {"num_gpus": 0}
        cluster.add_node(num_cpus=cpus, object_store_memory=OBJECTS, include_dashboard=False, **with_gpus)
    return cluster


def answers(address: str) -> None:
    """Whether somebody listens there; Ray itself would try for minutes.

    Raises:
        InputError: it is no address.
        EnvironmentFailure: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--address {address} is none of local, auto, HOST:PORT and ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), ANSWERS).close()
    except OSError as error:
        raise EnvironmentFailure(
            f"--address {address}: nobody answers there ({error.strerror or error}); `ray start --head` starts one"
        ) from None


def check_nodes(ray: ModuleType, work: Path, wanted: Resources) -> list[str]:
    """Whether there is room for a run, and every node has the packages of this machine; who sees no work folder.

    Raises:
        EnvironmentFailure: naming the node, and what to do.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    alive = [each for each in ray.nodes() if each["Alive"]]
    if not any(fits(each["Resources"], wanted.of_process) for each in alive):
        raise EnvironmentFailure(
            f"no node has {said(wanted.of_process)} for a process of a run; the largest have "
            f"{said({k: max(e['Resources'].get(k, 0) for e in alive) for k in wanted.of_process})}"
        )
    here, token, folder, name_of = versions(), secrets.token_hex(8), str(work), TOKEN
    (work / TOKEN).write_text(token)
    apart = []

    def look() -> tuple[str, dict[str, str]]:
        found = Path(folder) / name_of
        return found.read_text() if found.is_file() else "", {name: metadata.version(name) for name in here}

    look.__module__ = "__main__"  # so that it travels as it is, and nodes need not have this file yet
    task = ray.remote(look)
    for each in alive:
        where = NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)
        name = named(each["NodeManagerAddress"], each["NodeID"])
        try:
            shown, there = ray.get(
                task.options(num_cpus=0, max_retries=0, scheduling_strategy=where).remote(), timeout=60
            )
        except ray.exceptions.RayError as error:
            raise EnvironmentFailure(f"node {name} cannot run a task ({first_sentence(error)})") from None
        if there != here:
            raise EnvironmentFailure(f"node {name} has {said(there)}, and this machine {said(here)}; let them be alike")
        if shown != token:
            apart.append(name)
    return apart


def carrier(ray: ModuleType, address: str, work: Path) -> Carrier:
    """How nodes that do not see the work folder reach it: joins the cluster again, with the code for them.

    Raises:
        EnvironmentFailure: this machine is no node itself, so nothing can be kept on it.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if address.startswith("ray://"):
        raise EnvironmentFailure(
            f"--address {address}: some nodes do not see {work}, and files are carried from a node alone; run this on "
            "one of the nodes (--address auto), or give a folder that all nodes share with --work"
        )
    ray.shutdown()
    init(ray, address, {"working_dir": str(work / "code")})
    mine = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    keeper = ray.remote(Keeper).options(num_cpus=0, max_concurrency=16, scheduling_strategy=mine).remote(str(work))
    return Carrier(keeper, (work / TOKEN).read_text())


def versions() -> dict[str, str]:
    """The packages that must be alike."""
    return {name: metadata.version(name) for name in PACKAGES}


def fits(there: dict[str, float], wanted: dict[str, float]) -> bool:
    """Whether a node has so much."""
    return all(there.get(name, 0) >= count for name, count in wanted.items())


def said(values: dict[str, Any]) -> str:
    """Names and values in words."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items()
    )


def first_sentence(error: BaseException) -> str:
    """What an error says first."""
    return first_line(error).partition(". ")[0]


def submit(ray: ModuleType, job: Job, wanted: Resources, carried: Carrier | None) -> Any:
    """Start a job; returns a reference to its end. Each stage waits for the one before.

    ``carried``: where some nodes do not see the work folder. A data set is then prepared on this one, where its
    pictures are.
    """
    again = {"max_retries": RETRIES, "retry_exceptions": [node.Lost], "scheduling_strategy": "SPREAD"}
    if carried and job.is_data:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        mine = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        again, wanted = again | {"scheduling_strategy": mine}, replace(wanted, cpus=0)
    alone, together = (
        ray.remote(stage_task).options(num_cpus=cpus, num_gpus=gpus, **again)
        for cpus, gpus in ((wanted.cpus, wanted.gpus), (0, 0))
    )
    end = None
    for stage in job.stages:
        several = wanted.processes > 1 and stage.startswith("train")
        end = together.remote(job, stage, end, carried, wanted) if several else alone.remote(job, stage, end, carried)
    return end


def stage_task(
    job: Job, stage: str, _before: None, carried: Carrier | None = None, wanted: Resources | None = None
) -> None:
    """A stage, on this node, or its processes on several."""
    if wanted:
        train_together(job, stage, wanted, carried)
    else:
        with at_hand(job, carried) as mine:
            node.run_stage(mine, stage, here())


def at_hand(job: Job, carried: Carrier | None, writes: bool = True) -> AbstractContextManager[Job]:
    """The job where this node may work on it."""
    return carried.at_hand(job, writes) if carried else nullcontext(job)


def here() -> str:
    """This node's name."""
    ray = installed()
    return named(ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id())


def named(address: str, node: str) -> str:
    """A node, for a person: its address, and what tells it from others there."""
    return f"{address}/{node[:6]}"


class Process:
    """One of the processes that train a run together."""

    def meeting_point(self) -> dict[str, str]:
        """Where the others find this one."""
        return {"MASTER_ADDR": installed().util.get_node_ip_address(), "MASTER_PORT": str(node.free_port())}

    def train(self, job: Job, stage: str, rank: int, together: dict[str, str], carried: Carrier | None) -> None:
        """Train as one of them."""
        own = {**together, "RANK": str(rank), "LOCAL_RANK": "0"}
        with at_hand(job, carried, rank == 0) as mine:
            if rank == 0:
                node.run_stage(mine, stage, here(), own)
            else:
                node.run_rank(mine, stage, rank, own)


def train_together(job: Job, stage: str, wanted: Resources, carried: Carrier | None) -> None:
    """Train a run in several processes, on different nodes while there are enough.

    Raises:
        Lost: one of them is gone, so the others have ended too.
    """
    ray = installed()
    from ray.util.placement_group import (
        get_placement_group,
        placement_group,
        placement_group_table,
        remove_placement_group,
    )
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    with at_hand(job, carried, writes=False) as mine:
        if not outdated([replace(mine, stages=(stage,))], mine.folder):
            return
    for group in placement_group_table().values():  # of an attempt whose node is lost, which else holds its place
        if group["name"].startswith(f"{job.key}:") and group["state"] != "REMOVED":
            with suppress(ValueError):  # of another call, or just gone
                remove_placement_group(get_placement_group(group["name"]))
    name = f"{job.key}:{secrets.token_hex(4)}"
    group = placement_group([wanted.of_process] * wanted.processes, strategy="SPREAD", name=name)
    try:
        ray.get(group.ready())
        own = {"num_cpus": wanted.cpus, "num_gpus": wanted.gpus}
        places = (PlacementGroupSchedulingStrategy(group, k) for k in range(wanted.processes))
        processes = [ray.remote(Process).options(scheduling_strategy=place, **own).remote() for place in places]
        found = ray.get(processes[0].meeting_point.remote())
        together = {**found, "WORLD_SIZE": str(wanted.processes), "TORCHELASTIC_RUN_ID": job.name}
        left = [each.train.remote(job, stage, rank, together, carried) for rank, each in enumerate(processes)]
        while left:
            ended, left = ray.wait(left)
            ray.get(ended)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise node.Lost(f"{stage}: a process on another node is gone ({first_sentence(error)})") from None
    finally:
        remove_placement_group(group)


def cause(ray: ModuleType, error: Exception) -> FoundryError:
    """Why a job failed."""
    if isinstance(found := getattr(error, "cause", None), FoundryError):
        return found
    return EnvironmentFailure(f"its nodes were lost {RETRIES + 1} times ({first_sentence(error)})")


def finished(ray: ModuleType, ends: Sequence[Any], seconds: float) -> list[Any]:
    """Of some jobs the ends that are there, after at most so many seconds."""
    ended, _ = ray.wait(list(ends), num_returns=1, timeout=seconds)
    return list(ended)
