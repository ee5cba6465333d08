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

from gan_core.cluster import status
from tests.conftest import Workspace
from tests.remote import content
from tests.test_pipeline import copy_of

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is absent: pip install --constraint constraints.txt -e '.[ray]'",
)
MADE = ("models", "players", "reports", "exported")
GAN = (sys.executable, "-m", "gan_core")
WORKERS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that computes nothing, and nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    made = Cluster()
    made.add_node(num_cpus=0, include_dashboard=False, object_store_memory=80_000_000)
    for _ in range(WORKERS):
        made.add_node(num_cpus=1, object_store_memory=80_000_000)
    yield made
    made.shutdown()


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

    process, log = (
        made.start(*GAN, "cluster", "run", *runs, "--address", cluster.address),
        made.folder / ".started.log",
    )
    until(lambda: "extractor: step" in status.last_line(work / "logs/digits.log"), process, log)
    lose_node_of(cluster, work, "digits")
    cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
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
