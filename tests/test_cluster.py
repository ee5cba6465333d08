"""Runs on a cluster of Ray: nodes and processes that are lost change no byte, and all comes home."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gan_core.cluster import carry, node, on_ray, run, status
from gan_core.cluster.job import Job
from gan_core.cluster.resources import Resources
from gan_core.config.load import load_params
from gan_core.metrics.record import write_figures
from gan_core.propose import seeds
from gan_core.report import compare
from gan_core.runtime import files
from gan_core.runtime.errors import EnvironmentFailure, FoundryError, InputError
from tests.conftest import DECLARED, Workspace
from tests.remote import content
from tests.test_pipeline import copy_of

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is absent: pip install --constraint constraints.txt -e '.[ray]'",
)
MADE = ("models", "players", "reports", "exported")
GAN = (sys.executable, "-m", "gan_core")
WORKERS, OBJECTS = 3, 80_000_000
QUIETLY: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}


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
    (gone,) = (each for each in cluster.list_all_nodes() if each.node_id.startswith(short))
    cluster.remove_node(gone, allow_graceful=False)


def alive(cluster: Any) -> int:
    """How many nodes are there."""
    return sum(each["Alive"] for each in cluster.global_state.node_table())


def state_of(made: Workspace, run: str, step: int) -> Callable[[], list[Path]]:
    """Whether a run on the cluster has saved a state of so many steps."""
    return lambda: [
        path
        for path in made.folder.glob(f".cluster/workspaces/{run}/.state/{run}/*/step-*.state")
        if int(path.stem[5:]) >= step
    ]


def unmade(
    built: Workspace, folder: Path, runs: Sequence[str], datasets: Sequence[str] = ()
) -> tuple[Workspace, dict[str, Any]]:
    """A copy of a project in which some runs and data sets were never made, and all that dvc.lock held before."""
    made = copy_of(built, folder)
    for name in (
        *(f"{of}/{name}" for of in (*MADE, ".state") for name in runs),
        *(f"data/prepared/{d}" for d in datasets),
    ):
        shutil.rmtree(folder / name)
    locked = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    gone = {*(f"prepare@{d}" for d in datasets), *(f"{s}@{r}" for s in ("train", "evaluate", "export") for r in runs)}
    rest = {name: entry for name, entry in locked.items() if name not in gone}
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": rest}))
    return made, locked


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvironmentFailure, match=r"Ray is not installed; `pip install .*\[ray\]'` brings it"):
        on_ray.installed()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", "--address 127.0.0.1:9: nobody answers there"),
        ("ray://127.0.0.1:9", "--address ray://127.0.0.1:9: nobody answers there"),
        ("somewhere", "--address somewhere is none of local, auto, HOST:PORT and ray://HOST:PORT"),
    ],
)
def test_an_address_at_which_nobody_is_is_said(address: str, said: str) -> None:
    with pytest.raises(FoundryError, match=re.escape(said)):
        on_ray.answers(address)


def test_what_cannot_be_made_is_refused_before_anything_begins(tmp_path: Path) -> None:
    params = load_params(DECLARED)
    for names, processes, sentence in (
        (["gna"], 1, "declares no run 'gna', only .*; did you mean gan"),
        (["gan"], 2, "--processes 2 does not divide train.shards 1 of 'gan'"),
    ):
        with pytest.raises(InputError, match=sentence):
            run.run(params, names, tmp_path, "local", 1, Resources(processes))
    assert not list(tmp_path.iterdir())


def test_seeds_are_entries_that_compare_takes_as_one_experiment(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(DECLARED.read_text().replace("settings: {r1: 0.1}", "settings: {}", 1))
    before = load_params(path)
    assert seeds.declare(path, ["gan"], [0, 3, 4, 3]) == (["gan", "gan-3", "gan-4"], ["gan-3", "gan-4"])
    assert seeds.declare(path, ["gan"], [4, 5]) == (["gan-4", "gan-5"], ["gan-5"])
    after = load_params(path)
    assert {name: run for name, run in after.runs.items() if name in before.runs} == before.runs
    assert after.runs["gan-3"].train.seed == 3
    for name in ("gan", "gan-3", "gan-4", "gan-5"):
        figures = {"generator": {"fd_own": 1.0, "protocol": {"features": "own"}}}
        write_figures(tmp_path / name / "metrics.json", figures)
    assert [(g.name, len(g.found)) for g in compare.groups(after.runs, tmp_path)] == [("gan", 4)]
    path.write_text(path.read_text().replace("gan-5:", "gan-6:"))
    with pytest.raises(InputError, match="'gan-6' is declared, and is not 'gan' with seed 6"):
        seeds.declare(path, ["gan"], [6])


def test_a_job_knows_where_it_is(tmp_path: Path) -> None:
    """A stage that begins again is another attempt; of a bar the newest state is its last line."""
    job = Job(tmp_path, "gan", ("train@gan", "evaluate@gan"))
    at = [status.note(job, state, "n/1") for state in ("train@gan", "train@gan", "evaluate@gan")]
    assert [s.attempt for s in at] == [1, 2, 1]
    files.write(job.log, b"first\ngan: 10%\rgan: 20%\n")
    (head, row) = status.table(tmp_path)
    assert row.split() == ["gan", "evaluate@gan", "n/1", "1", "gan:", "20%"]
    assert head.index("node") == row.index("n/1")


@pytest.mark.parametrize(
    ("code", "said", "again"),
    [
        (-9, "ERROR: failed to reproduce 'train@gan': failed to run: exec python, exited with -9", True),
        (4, "error: the disk is full", True),
        (0, "ERROR: Unable to acquire lock. Most likely another DVC process is running", True),
        (0, "ERROR: failed to reproduce 'train@gan': missing data 'source': players/gan", False),
        (2, "error: params.yaml:3: runs.gan.nework is unknown", False),
        (3, "error: data/prepared/digits is damaged", False),
        (5, "error: real became nan", False),
        (1, "Traceback (most recent call last):", False),
    ],
)
def test_only_what_another_node_may_mend_is_tried_again(code: int, said: str, again: bool) -> None:
    failure = node.failure("train@gan", code, said)
    assert isinstance(failure, node.Lost) == again
    assert str(failure).startswith("train@gan: ")
    assert code not in (2, 3, 4, 5) or failure.exit_code == code


def test_files_travel_in_pieces_and_only_the_latest_attempt_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "PIECE", 10)
    here, home = tmp_path / "here", tmp_path / "home"
    made = {
        "workspaces/gan/models/a": b"0123456789" * 3,
        "workspaces/gan/.state/empty": b"",
        "logs/gan.log": b"said",
    }
    left = {
        "workspaces/gan/.dvc/cache/b": b"own",
        "workspaces/gan/.state/.shards/d": b"own",
        "workspaces/gan/new.tmp": b"half",
        "workspaces/gans/c": b"another's",
    }
    for name, written in (made | left).items():
        files.write(here / name, written)
    keeper = carry.Keeper(str(home))
    first = keeper.begin("gan")
    there = carry.stats(here, "gan")
    assert there.keys() == made.keys()
    for some in carry.pieces(here, there):
        assert sum(len(piece.content) for piece in some) <= 2 * 10
        keeper.write("gan", first, some)
    assert {name: (home / name).read_bytes() for name in made} == made
    assert keeper.there("gan") == there, "times travel too, so what has not changed is known"
    keeper.keep("gan", first, ["logs/gan.log"], "workspaces/gan/.state/")
    assert keeper.there("gan").keys() == made.keys() - {"workspaces/gan/.state/empty"}
    keeper.begin("gan")
    for late in (lambda: keeper.write("gan", first, []), lambda: keeper.keep("gan", first, [], "workspaces/gan/")):
        with pytest.raises(node.Lost, match="gan: another node has taken it over"):
            late()


def apart(address: str, work: Path) -> list[str]:
    """The command of a node with a file system of its own at the work folder."""
    start = f"{sys.executable} -m ray.scripts.scripts start --block --num-cpus 1 --address {address}"
    return ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs none {work} && exec {start}"]


@needs_ray
@pytest.mark.slow
def test_nodes_that_share_no_disk_are_brought_what_they_need(built: Workspace, tmp_path: Path) -> None:
    """One is lost while it trains: what it saved is with the machine that asked, and the next goes on from it."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody have a file system of his own")
    from ray.cluster_utils import Cluster

    made, locked = unmade(built, tmp_path / "made", ("gan",))
    (work := made.folder / ".cluster").mkdir()
    alone = Cluster()
    alone.add_node(num_cpus=0, include_dashboard=False, object_store_memory=OBJECTS)
    nodes = [subprocess.Popen(apart(alone.address, work), **QUIETLY)]
    try:
        while alive(alone) < 2:
            time.sleep(0.1)
        process, log = started(made, alone, "gan")
        until(state_of(made, "gan", 20), process, log)
        os.killpg(nodes[0].pid, signal.SIGKILL)
        nodes.append(subprocess.Popen(apart(alone.address, work), **QUIETLY))
        assert process.wait(300) == 0, log.read_text()
    finally:
        for each in nodes:
            each.terminate()
            each.wait()
        alone.shutdown()
    assert re.search(r"not seen there, so files are carried through Ray", log.read_text())
    for name in MADE:
        assert content(made.folder / name) == content(built.folder / name), name
    assert yaml.safe_load((made.folder / "dvc.lock").read_text())["stages"] == locked


@pytest.mark.slow
def test_the_script_for_slurm_saves_when_its_time_is_over_and_goes_on(built: Workspace, tmp_path: Path) -> None:
    """Run as Slurm would: with its variables, and its signal before the end of the time."""
    made, locked = unmade(built, tmp_path / "made", ("gan",))
    made.declare({"export.engines.targets": []})
    wrote = made.run(*GAN, "cluster", "write", "slurm", "gan")
    assert wrote.returncode == 0, wrote.stderr
    command = ("env", "SLURM_ARRAY_TASK_ID=0", "bash", "deploy/slurm.sh")
    process, log = made.start(*command), made.folder / ".started.log"
    until(state_of(made, "gan", 10), process, log)
    process.send_signal(signal.SIGUSR1)
    process.wait(60)
    assert "gan: stopped at step" in log.read_text()
    assert "came home: none" in made.run(*GAN, "cluster", "fetch").stdout
    again = made.run(*command)
    assert again.returncode == 0, again.stderr
    assert "came home: gan" in made.run(*GAN, "cluster", "fetch").stdout
    for name in ("models", "players", "reports"):
        assert content(made.folder / name) == content(built.folder / name), name
    assert yaml.safe_load((made.folder / "dvc.lock").read_text())["stages"]["train@gan"] == locked["train@gan"]


@needs_ray
@pytest.mark.slow
def test_nodes_lost_in_preparing_and_in_training_change_no_byte(built: Workspace, cluster: Any, tmp_path: Path) -> None:
    runs = ("gan",)
    made, locked = unmade(built, tmp_path / "made", runs, ("digits",))
    work = made.folder / ".cluster"
    process, log = started(made, cluster, *runs)
    until(lambda: "extractor: step" in status.last_line(work / "logs/digits.data.log"), process, log)
    lose_node_of(cluster, work, "digits.data")
    cluster.add_node(num_cpus=1, object_store_memory=OBJECTS)
    until(state_of(made, "gan", 20), process, log)
    lose_node_of(cluster, work, "gan")
    assert process.wait(300) == 0, log.read_text()
    assert "raylet" not in log.read_text(), "what Ray prints is in a log of its own"

    for name in (*MADE, "data"):
        assert content(made.folder / name) == content(built.folder / name), name
    assert yaml.safe_load((made.folder / "dvc.lock").read_text())["stages"] == locked
    assert "up to date" in made.run("dvc", "status", *(name for name in locked if "@" in name)).stdout
    said = made.run(*GAN, "cluster", "run", *runs, "--address", cluster.address)
    assert (said.returncode, said.stderr) == (0, "nothing to do: every run is up to date\n")
    lines = made.run(*GAN, "cluster", "status").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["digits.data", "done"], ["gan", "done"]]


@needs_ray
@pytest.mark.slow
def test_one_two_and_two_processes_on_nodes_of_which_one_is_lost_train_the_same_bytes(
    built: Workspace, cluster: Any, tmp_path: Path
) -> None:
    made, alone, two = (copy_of(built, tmp_path / name) for name in ("made", "alone", "two"))
    for copy in (made, alone, two):
        copy.declare({"runs.wgan_gp.train": {"steps": 150, "shards": 2}, "export.engines.targets": []})
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
