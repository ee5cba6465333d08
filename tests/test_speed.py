"""How numbers are computed, and that they stay the same numbers: shards, processes, memory formats, precision."""

import copy
import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared
from gan_core.errors import InputError
from gan_core.game import Game, Optimizer, Update, players
from gan_core.networks.dcgan import Doubling
from gan_core.signature import Body
from gan_core.training import loop, processes
from gan_core.training.loop import Means, play_step, start
from gan_core.types import Batch, Terms
from tests.conftest import ROOT


@dataclass(frozen=True)
class Fit:
    """A game without noise: a network is to give the mean of what it sees."""

    network: nn.Module

    def loss(self, batch: Batch) -> Terms:
        return {"error": (self.network(batch.x) - batch.x.flatten(1).mean(1)).square().mean()}

    def updates(self) -> tuple[Update, ...]:
        return (Update((self.network,), self.loss, Optimizer("sgd", 0.1)),)  # type: ignore[arg-type]

    def exports(self) -> dict[str, Any]:
        return {}


def batch_at(i: int) -> Batch:
    return Batch(torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(i)))


def played(game: Any, means: Means, steps: int, at=batch_at) -> Any:
    run = start(copy.deepcopy(game), 0.9, means=means)
    for _ in range(steps):
        terms = play_step(run, at, 0)
        run.step += 1
    return run, terms


def test_shards_are_the_whole_batch_where_nothing_is_drawn() -> None:
    """Without batch statistics and noise, the mean over shards is the mean over the batch."""
    torch.manual_seed(0)
    game = Fit(assemble("gan", Body("dcgan", 4, 4, (1, 8, 8)), {}).discriminator)
    (whole, error), (parts, same) = played(game, Means(), 20), played(game, Means(shards=4), 20)
    for a, b in zip(whole.game.network.parameters(), parts.game.network.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert error["error"].item() == pytest.approx(same["error"].item(), rel=1e-4)


def test_memory_is_that_of_a_shard() -> None:
    """What autograd keeps for the backward pass at once: a quarter, for a quarter of the batch."""
    game = Fit(assemble("gan", Body("dcgan", 4, 4, (1, 8, 8)), {}).discriminator)

    def most(shards: int) -> int:
        kept, peak = 0, 0
        weights = {p.data_ptr() for p in game.network.parameters()}

        class Kept:
            def __init__(self, t: torch.Tensor) -> None:
                nonlocal kept, peak
                self.t, self.size = t, 0 if t.data_ptr() in weights else t.nbytes
                kept += self.size
                peak = max(peak, kept)

            def __del__(self) -> None:
                nonlocal kept
                kept -= self.size

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda k: k.t):
            loop.descend(
                game.updates()[0], torch.optim.SGD(game.network.parameters(), 0.1), batch_at(0), Means(shards=shards)
            )
        return peak

    assert most(4) <= most(1) / 3.5


def test_each_shard_draws_noise_of_its_own(digits: Prepared) -> None:
    update = assemble("gan", Body("mlp", 8, 4, digits.shape), {}).updates()[0]
    draws = []
    for part in loop.shards(Batches(digits, 16, 0).at(0), 2, 0, 0, 0, 0):
        assert len(part) == 8
        draws.append(torch.randn(3))
    assert not torch.equal(*draws)
    assert update.loss(part)


@pytest.mark.parametrize(
    ("asked", "shards", "count"),
    [(None, 4, 1), ("2", 4, 2), ("4", 4, 4), ("3", 4, None), ("0", 1, None), ("x", 1, None)],
)
def test_processes_divide_the_shards(monkeypatch, asked: str | None, shards: int, count: int | None) -> None:
    monkeypatch.delenv(processes.WANTED, raising=False)
    if asked is not None:
        monkeypatch.setenv(processes.WANTED, asked)
    if count is None:
        with pytest.raises(InputError, match=f"GAN_PROCESSES is {asked}, which does not divide train.shards {shards}"):
            processes.wanted(shards, "cpu")
    else:
        assert processes.wanted(shards, "cpu") == count


def test_runs_at_once_take_a_gpu_each(tmp_path: Path) -> None:
    """Three runs on a machine of two: the third shares the first. A run that ends gives its own back."""
    try:
        assert [processes.free(2, tmp_path) for _ in range(3)] == [0, 1, 0]
        processes.HELD.pop().close()
        assert processes.free(2, tmp_path) == 1
    finally:
        while processes.HELD:
            processes.HELD.pop().close()


def together(folder: Path, count: int, dies: int = 0) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"] if count > 1 else []
    command = [sys.executable, *torchrun, "-m", "tests.together", str(folder), str(dies)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)


def test_two_processes_are_one_and_a_killed_one_ends_both_and_goes_on(tmp_path: Path) -> None:
    """The same weights and losses from one process, from two, and from two of which one was killed at step 5."""
    alone = together(tmp_path / "one", 1)
    assert alone.returncode == 0, alone.stderr
    killed = together(tmp_path / "two", 2, dies=5)
    assert killed.returncode != 0
    assert "the same command goes on from the last saved state" in killed.stderr or "Signal 9" in killed.stderr
    assert (tmp_path / "two/wgan_gp/f/step-000000003.state").exists()
    resumed = together(tmp_path / "two", 2)
    assert resumed.returncode == 0, resumed.stderr
    one, two = (torch.load(tmp_path / n / "wgan_gp.end") for n in ("one", "two"))
    assert all(torch.equal(one["weights"][k], two["weights"][k]) for k in one["weights"])
    assert one["history"] == two["history"]
    # Power iterations of spectral normalisation go on with each forward pass, so a process that computes fewer shards
    # is a few behind: close, not equal.
    one, two = (torch.load(tmp_path / n / "gan.end") for n in ("one", "two"))
    assert all(torch.allclose(one["weights"][k], two["weights"][k], atol=5e-3) for k in one["weights"])


def test_seeding_is_manual_seed() -> None:
    loop.reseed(1, "a", 2)
    ours = torch.rand(3)
    torch.manual_seed(loop.fold(1, "a", 2))
    assert torch.equal(ours, torch.rand(3))


def test_only_movers_take_gradients(game: Game, data: Prepared) -> None:
    """After a pass, who moved last has gradients, and nobody has one who never moved with them."""
    run, _ = played(game, Means(), 1, Batches(data, 16, 0).at)
    last = {id(p) for player in run.updates[-1].players for p in player.parameters()}
    for weights in run.weights.values():
        for w in weights:
            assert w.requires_grad == (id(w) in last)


def test_channels_last_gives_the_same_numbers(digits: Prepared) -> None:
    torch.manual_seed(0)
    game = assemble("gan", Body("dcgan", 4, 4, digits.shape), {})
    (flat, _), (last, _) = (
        played(game, Means(channels_last=c), 10, Batches(digits, 16, 0, 0.05, channels_last=c).at)
        for c in (False, True)
    )
    assert last.game.discriminator.body[2].weight.is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(flat.game.generator.parameters(), last.game.generator.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)  # ten steps of Adam at 2e-4: rounding alone may move a weight as far
    z = torch.randn(32, 4)
    with torch.no_grad():
        assert torch.allclose(flat.game.generator(z), last.game.generator(z), atol=2e-2)


@pytest.mark.parametrize("variant", ["gan", "wgan_gp", "vae"])
def test_bfloat16_multiplies_less_exactly_and_nothing_else(digits: Prepared, variant: str) -> None:
    torch.manual_seed(0)
    game = assemble(variant, Body("mlp", 64, 8, digits.shape), {})
    at = Batches(digits, 64, 0).at
    (exact, terms), (coarse, rough) = played(game, Means(), 1, at), played(game, Means(precision="bfloat16"), 1, at)
    assert terms.keys() == rough.keys()
    for name, value in terms.items():
        assert rough[name].dtype == torch.float32
        assert rough[name].item() != value.item()
        assert rough[name].item() == pytest.approx(value.item(), rel=0.03, abs=0.02)
    assert all(p.dtype == torch.float32 for n in players(coarse.game).values() for p in n.parameters())
    assert exact.step == coarse.step


@pytest.mark.parametrize("last", [False, True])
def test_a_generators_pictures_lie_as_its_weights(last: bool) -> None:
    """From the first convolution on, so that no layer copies them from one form to the other, forward or backward."""
    network = assemble("gan", Body("dcgan", 4, 4, (3, 16, 16)), {}).generator
    form = torch.channels_last if last else torch.contiguous_format
    network.to(memory_format=form)
    seen: list[bool] = []

    def note(_module: nn.Module, _x: object, y: torch.Tensor) -> None:
        assert y.is_contiguous(memory_format=form)
        y.register_hook(lambda grad: seen.append(grad.is_contiguous(memory_format=form)))

    for module in network.body[2:]:
        module.register_forward_hook(note)
    network(torch.randn(8, 4)).square().sum().backward()
    assert seen == [True] * (len(network.body) - 2)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_freed_memory_is_used_again() -> None:
    """Once it has room, a process asks for no more pages: here 10,000 for each tensor, by the allocator's defaults."""
    code = (
        "import torch, resource; from gan_core.training.setup import keep_memory; keep_memory()\n"
        "for k in range(40):\n"
        "    before = before if k > 20 else resource.getrusage(resource.RUSAGE_SELF).ru_minflt; torch.ones(10**7)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000


def test_folded_up_sampling_is_up_sampling_then_a_convolution() -> None:
    torch.manual_seed(0)
    module = Doubling(3, 5).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    written = nn.functional.conv2d(interpolate(x, scale_factor=2.0), module.weight, padding=1)
    folded, used = module.train()(x), module.eval()(x)
    assert torch.allclose(folded, written, atol=1e-12)
    assert torch.equal(used, written)
    push = torch.randn_like(written)
    for wanted, got in zip(
        torch.autograd.grad(written, [x, module.weight], push),
        torch.autograd.grad(folded, [x, module.weight], push),
        strict=True,
    ):
        assert torch.allclose(wanted, got, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("variant", ["gan", "wgan_gp", "wgan", "vae", "vae_gan", "cycle_gan"])
def test_a_graph_takes_the_same_steps(
    variant: str, precision: Literal["float32", "bfloat16"], digits: Prepared, domains: Prepared
) -> None:
    """Captured or not, the same weights, as after a restored state; what draws on the CPU, CycleGAN's pool, is not."""
    data = domains if variant == "cycle_gan" else digits
    family = "resnet" if variant == "cycle_gan" else "dcgan"
    torch.manual_seed(0)
    game = assemble(variant, Body(family, 8, 8, data.shape, data.classes), {"warm_up": 0} if variant == "wgan" else {})
    ends = []
    for graph in (False, True):
        run = start(copy.deepcopy(game), 0.9, "cuda", Means(True, precision, graph=graph))
        batches = Batches(data, 16, 0, 0.05, "cuda", True)
        for step in range(12):
            loop.set_rates(run, 0.5)
            play_step(run, batches.at, 0)
            run.step += 1
            if step == 6:
                run.restore(copy.deepcopy(run.state()))
        ends.append({k: v for n in players(run.game).values() for k, v in n.state_dict().items()})
    assert [g.graph is not None for g in run.graphs] == [
        variant != "cycle_gan" or k == 0 for k in range(len(run.graphs))
    ]
    assert all(torch.allclose(ends[0][k], ends[1][k], atol=1e-5) for k in ends[0])


def test_intels_library_knows_its_processor_before_two_threads_ask() -> None:
    """Asked by two at once it may take another processor's tanh: a process in 2,000 began with other numbers."""
    code = (
        "import ctypes, pathlib, sys, torch\n"
        "from gan_core.training.setup import set_up\n"
        "library = ctypes.CDLL(str(pathlib.Path(torch.__file__).parent / 'lib/libtorch_cpu.so'))\n"
        "if not hasattr(library, 'mkl_vml_serv_cpu_detect'): sys.exit(print('none'))\n"
        "at = ctypes.cast(library.mkl_vml_serv_cpu_detect, ctypes.c_void_p).value\n"
        "if ctypes.string_at(at, 2) != bytes([0x8B, 5]): sys.exit(print('none'))  # mov eax, [rip + offset]\n"
        "kept = ctypes.c_int32.from_address(at + 6 + ctypes.c_int32.from_address(at + 2).value)\n"
        "before = kept.value; set_up(2); print(before, kept.value)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    if done.stdout.strip() == "none":
        pytest.skip("torch has another library here")
    before, after = map(int, done.stdout.split())
    assert before == -1, "nobody has asked"
    assert after >= 0


def test_intels_library_is_held_to_the_same_bits() -> None:
    """It says so itself, even where the environment asked for something else."""
    code = "from gan_core.training.setup import set_up; set_up(1); import torch; torch.mm(*[torch.ones(64, 64)] * 2)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"MKL_VERBOSE": "1", "MKL_CBWR": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "MKL_VERBOSE" not in done.stdout:
        pytest.skip("torch multiplies without Intel's library here")
    assert "CNR:AUTO,STRICT" in done.stdout
