"""Runs on a cluster of Ray: nodes and processes that are lost change no byte, and all comes home."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gan_core.cluster import on_ray, status
from tests.conftest import Workspace
from tests.remote import content
from tests.test_pipeline import copy_of

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is absent: pip install --constraint constraints.txt -e '.[ray]'",
)
MADE = ("models", "players", "reports", "exported")
GAN = (sys.executable, "-m", "gan_core")
WORKERS, OBJECTS = 3, 80_000_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that computes nothing, and nodes of one CPU each."""
    on_ray.installed()
    from ray.cluster_utils import Cluster

    made = Cluster()
    made.add_node(num_cpus=0, include_dashboard=False, object_store_memory=OBJECTS)
    for _ in range(WORKERS):
        made.add_node(num_cpus=1, object_store_memory=OBJECTS)
    yield made
    made.shutdown()


def started(made: Workspace, cluster: Any, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
    """``gan cluster run``, and what it says."""
    command = (*GAN, "cluster", "run", *arguments, "--address", cluster.address)
    return made.start(*command), made.folder / ".started.log"


def until(what: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    """What is there at last, while a process works on it."""
    deadline = time.monotonic() + 120
    while not (found := what()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found


def lose_node_of(cluster: Any, work: Path, name: str) -> None:
    """Take away the node at which a job is."""
    short = status.read(work / f"status/{name}.json").node.partition("/")[2]
    (gone,) = (node for node in cluster.list_all_nodes() if node.node_id.startswith(short))
    cluster.remove_node(gone, allow_graceful=False)


def state_of(made: Workspace, run: str, step: int) -> Callable[[], list[Path]]:
    """Whether a run on the cluster has saved a state of so many steps."""
    return lambda: [
        path
        for path in made.folder.glob(f".cluster/workspaces/{run}/.state/{run}/*/step-*.state")
        if int(path.stem[5:]) >= step
    ]


@needs_ray
def test_nodes_lost_in_preparing_and_in_training_change_no_byte(built: Workspace, cluster: Any, tmp_path: Path) -> None:
    made, work = copy_of(built, tmp_path / "made"), tmp_path / "made/.cluster"
    runs = ("gan", "wgan_gp")
    for name in (*(f"{folder}/{run}" for folder in (*MADE, ".state") for run in runs), "data/prepared/digits"):
        shutil.rmtree(made.folder / name)
    locked = yaml.safe_load((made.folder / "dvc.lock").read_text())["stages"]
    gone = {"prepare@digits", *(f"{stage}@{run}" for stage in ("train", "evaluate", "export") for run in runs)}
    rest = {"schema": "2.0", "stages": {name: entry for name, entry in locked.items() if name not in gone}}
    (made.folder / "dvc.lock").write_text(yaml.safe_dump(rest))

    process, log = started(made, cluster, *runs)
    until(lambda: "extractor: step" in status.last_line(work / "logs/digits.log"), process, log)
    lose_node_of(cluster, work, "digits")
    cluster.add_node(num_cpus=1, object_store_memory=OBJECTS)
    until(state_of(made, "gan", 20), process, log)
    lose_node_of(cluster, work, "gan")
    assert process.wait(300) == 0, log.read_text()

    for name in (*MADE, "data"):
        assert content(made.folder / name) == content(built.folder / name), name
    assert yaml.safe_load((made.folder / "dvc.lock").read_text())["stages"] == locked
    assert "up to date" in made.run("dvc", "status", *sorted(gone)).stdout
    said = made.run(*GAN, "cluster", "run", *runs, "--address", cluster.address)
    assert (said.returncode, said.stderr) == (0, "nothing to do: every run is up to date\n")
    lines = made.run(*GAN, "cluster", "status").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["digits", "done"], ["gan", "done"], ["wgan_gp", "done"]]


@needs_ray
def test_one_two_and_two_processes_on_nodes_of_which_one_is_lost_train_the_same_bytes(
    built: Workspace, cluster: Any, tmp_path: Path
) -> None:
    made, alone, two = (copy_of(built, tmp_path / name) for name in ("made", "alone", "two"))
    for copy in (made, alone, two):
        copy.declare({"runs.wgan_gp.train": {"steps": 150, "shards": 2}})
    process, log = started(made, cluster, "wgan_gp", "--processes", "2")
    until(state_of(made, "wgan_gp", 20), process, log)
    lose_node_of(cluster, made.folder / ".cluster", "wgan_gp")
    cluster.add_node(num_cpus=1, object_store_memory=OBJECTS)
    for copy, count in ((alone, "1"), (two, "2")):
        done = copy.run("env", f"GAN_PROCESSES={count}", sys.executable, "-m", "stages.train", "wgan_gp")
        assert done.returncode == 0, done.stderr
    assert process.wait(300) == 0, log.read_text()
    for name in ("models/wgan_gp", "players/wgan_gp"):
        assert content(made.folder / name) == content(alone.folder / name) == content(two.folder / name)
    for table in ("loss.csv", "progress.csv", "health.json"):
        assert len({(copy.folder / "reports/wgan_gp" / table).read_bytes() for copy in (made, alone, two)}) == 1
