"""What keeps a run safe: state, average, lock, numbers, a full disk."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan_core.core.build_game import build_game
from gan_core.core.build_network import build_network
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Schedule
from gan_core.core.types import Batch
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.runtime import files, process
from gan_core.runtime.errors import EnvironmentFailure, NumericsError
from gan_core.training import fingerprint
from gan_core.training.checkpoint import State
from gan_core.training.ema import Average, decay, recalibrate
from gan_core.training.loop import train
from tests.conftest import ROOT, begin, fit, plan, take_steps


def test_the_two_newest_states_are_kept(tmp_path) -> None:
    state = State(tmp_path, "f")
    for step in (10, 20, 30):
        state.save(step, {"step": step})
    assert [step for step, _ in state.saved()] == [30, 20]
    assert state.newest() == {"step": 30}


@pytest.mark.parametrize("damage", ["empty", "cut", "flip", "text"])
def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, damage: str, capsys) -> None:
    state = State(tmp_path, "f")
    for step in (10, 20):
        state.save(step, {"step": step, "x": torch.randn(50)})
    newest = state.saved()[0][1]
    content = bytearray(newest.read_bytes())
    content[200] ^= 4
    newest.write_bytes({"empty": b"", "cut": bytes(content[:100]), "flip": bytes(content), "text": b"hello"}[damage])
    (state.folder / ".step-000000030.state.1.tmp").write_bytes(b"half")
    assert state.newest()["step"] == 10
    assert "the checkpoint of step 20" in capsys.readouterr().err
    assert not list(state.folder.glob(".*.tmp")), "what a kill left behind is swept"


def test_state_is_data_not_code(tmp_path) -> None:
    """A pickle that would run something is refused by the reader, also with a right checksum."""
    import io

    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path}/canary",))

    buffer = io.BytesIO()
    torch.save({"step": Evil()}, buffer)
    state = State(tmp_path, "f")
    content = buffer.getvalue()
    files.write(state.folder / "step-000000010.state", files.digest(content).encode() + content)
    with pytest.raises(Exception, match=r"[Ww]eights.only"):
        state.newest()
    assert not (tmp_path / "canary").exists()


def test_nan_stops_the_run_and_the_last_good_state_stays(digits: Prepared, tmp_path) -> None:
    game = build_game("gan", NetworkSpec("mlp", 8, 4, digits.shape), {})
    batches = Batches(digits, 16, 0)

    def poisoned(i: int) -> Batch:
        batch = batches.at(i)
        return Batch(batch.x * float("nan")) if i > 13 else batch

    state = State(tmp_path, "f")
    with pytest.raises(NumericsError, match=r"real became nan by step 8; lower settings\.learning_rate"):
        train(begin(game, plan(20, 2)), poisoned, state)
    saved = state.newest()
    assert saved["step"] == 6
    assert all(torch.isfinite(t).all() for k, p in saved["parts"].items() if "network" in k for t in p.values())


def test_the_average_is_a_convex_combination() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average, expected = Average(network), network.weight.item()
    for kept, value in [(0.0, 3.0), (0.5, 3.0), (0.25, -2.0), (0.9, 8.0)]:
        with torch.no_grad():
            network.weight.fill_(value)
        average.update(network, kept)
        expected = kept * expected + (1 - kept) * value
    assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("batch_size", [16, 80, 250])
def test_a_half_life_is_counted_in_images(batch_size: int) -> None:
    """Of what was there, half is left after as many images, whatever the batch size; at the start it is forgotten."""
    half_life, images, left = 4000, 10**6, 1.0
    for _ in range(half_life // batch_size):
        images += batch_size
        left *= decay(half_life, images, batch_size)
    assert left == pytest.approx(0.5, rel=1e-6)
    early = [decay(half_life, k * batch_size, batch_size) for k in range(1, 40)]
    assert early == sorted(early)
    assert early[0] < 1e-3, "the first weights are random"
    assert decay(0, images, batch_size) == 0


def test_a_half_life_may_have_a_schedule(digits: Prepared) -> None:
    """From 0, where the average is the weights themselves."""
    made = replace(plan(10), ema_half_life=Schedule(0.0, 1e6, begin=0.5))
    run = take_steps(begin(fit("gan", {}, "mlp", digits), made), Batches(digits, 16, 0).at, 5)
    mine, its = run.averages["generator"].network.state_dict(), run.exports["generator"].state_dict()
    assert all(torch.equal(mine[key], its[key]) for key in mine)
    take_steps(run, Batches(digits, 16, 0).at, 3)
    assert not torch.equal(run.averages["generator"].network.body[0].weight, run.exports["generator"].body[0].weight)


def test_recalibration_measures_the_statistics_of_the_averaged_weights() -> None:
    torch.manual_seed(0)
    config = NetworkSpec("mlp", 16, 8, (1, 8, 8)).generator(NetworkSpec("mlp", 16, 8, (1, 8, 8)).prior())
    network = build_network(config)
    recalibrate(network, config.inputs, 0, 256)
    hidden = network.body[0](torch.randn(20_000, 8))
    norm = network.body[1]
    assert norm.running_mean == pytest.approx(hidden.mean(0).detach(), abs=0.02)
    assert norm.running_var == pytest.approx(hidden.var(0).detach(), rel=0.06)
    assert norm.momentum == 0.1


def test_a_second_trainer_is_refused(tmp_path, monkeypatch) -> None:
    program = (
        "import time; from pathlib import Path; from gan_core.runtime import process\n"
        f"with process.exclusive_lock(Path({str(tmp_path / 'run')!r})): print('in', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "in\n"
        monkeypatch.setattr(process, "PATIENCE", 0.2)
        with (
            pytest.raises(EnvironmentFailure, match=f"run 'run' is being trained already by process {holder.pid}"),
            process.exclusive_lock(tmp_path / "run"),
        ):
            pass
        holder.kill()
    with process.exclusive_lock(tmp_path / "run"):
        pass  # a dead holder holds nothing


def test_an_orphan_stops(tmp_path) -> None:
    """Kill the parent with SIGKILL: the child gets SIGTERM from the kernel, and leaves by itself."""
    child = (
        "import stages, time, os\nfrom gan_core.runtime.process import Stop\nstop = Stop()\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "while not stop(): time.sleep(0.01)\n"
        f"open({str(tmp_path / 'left')!r}, 'w').write(str(stop.exit_code))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"], cwd=ROOT
    )
    wait_for(tmp_path / "pid")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(tmp_path / "left")
    assert (tmp_path / "left").read_text() == "143"


def wait_for(path: Path, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.02)


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_nothing_is_lost(tiny_disk: Path) -> None:
    good = tiny_disk / "good"
    files.write(good, b"a" * 30_000)
    with pytest.raises(EnvironmentFailure, match=r"the disk is full: .*good needs 60,000 bytes, [\d,]+ are free"):
        files.write(good, b"b" * 60_000)
    assert good.read_bytes() == b"a" * 30_000
    assert [p.name for p in tiny_disk.iterdir()] == ["good"], "no half file stays"


def test_changes_are_named() -> None:
    old, new = {"params.train.steps": "10", "data": "x"}, {"params.train.steps": "20", "data": "x", "torch": "2"}
    assert fingerprint.changes(old, new) == ["params.train.steps: 10 -> 20", "torch: - -> 2"]
    assert fingerprint.key(old) != fingerprint.key(new)
    assert fingerprint.key(old) == fingerprint.key(dict(reversed(old.items())))
