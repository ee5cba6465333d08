"""How numbers are computed, and that they stay the same numbers: shards, processes, memory formats, precision."""

import copy
import ctypes
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from gan_core.core.build_game import build_game
from gan_core.core.game import SGD, Game, Update, modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Losses, Moment
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.networks.layers.doubling import Doubling
from gan_core.runtime import distributed
from gan_core.runtime.errors import InputError
from gan_core.runtime.seeds import fold
from gan_core.training.run import ExecutionConfig
from gan_core.training.update import Applied, apply_update, reseed, set_requires_grad, shards_of, train_step
from tests.conftest import ROOT, begin, plan, take_steps


@dataclass(frozen=True)
class Fit:
    """A game without noise: a network is to give the mean of what it sees."""

    network: nn.Module
    exports: ClassVar[tuple[str, ...]] = ()

    def loss(self, batch: Batch, _: Moment) -> Losses:
        return Losses({"error": (self.network(batch.x) - batch.x.flatten(1).mean(1)).square().mean()})

    def optimizers(self) -> SGD:
        return SGD(0.1)

    def updates(self) -> tuple[Update, ...]:
        return (Update(("network",), self.loss),)


def batch_at(i: int) -> Batch:
    return Batch(torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(i)))


def played(game: Any, execution: ExecutionConfig, steps: int, at=batch_at) -> Any:
    run = take_steps(begin(copy.deepcopy(game), plan(steps), "cpu", execution), at, steps - 1)
    return run, train_step(run, at)


def test_shards_are_the_whole_batch_where_nothing_is_drawn() -> None:
    """Without batch statistics and noise, the mean over shards is the mean over the batch."""
    torch.manual_seed(0)
    game = Fit(build_game("gan", NetworkSpec("dcgan", 4, 4, (1, 8, 8)), {}).discriminator)
    (whole, error), (parts, same) = played(game, ExecutionConfig(), 20), played(game, ExecutionConfig(shards=4), 20)
    for a, b in zip(whole.game.network.parameters(), parts.game.network.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert error["error"].item() == pytest.approx(same["error"].item(), rel=1e-4)


def test_memory_is_that_of_a_shard() -> None:
    """What autograd keeps for the backward pass at once: a quarter, for a quarter of the batch."""
    game = Fit(build_game("gan", NetworkSpec("dcgan", 4, 4, (1, 8, 8)), {}).discriminator)

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
            train_step(begin(game, plan(), "cpu", ExecutionConfig(shards=shards)), batch_at)
        return peak

    assert most(4) <= most(1) / 3.5


def test_each_shard_draws_noise_of_its_own(digits: Prepared, monkeypatch) -> None:
    run = begin(build_game("gan", NetworkSpec("mlp", 8, 4, digits.shape), {}), plan(), "cpu", ExecutionConfig(shards=2))
    drawn: list[torch.Tensor] = []
    kept = type(run.game.z).like
    monkeypatch.setattr(type(run.game.z), "like", lambda z, x: drawn.append(kept(z, x)) or drawn[-1])
    train_step(run, Batches(digits, 16, 0).at)
    assert [len(z) for z in drawn] == [8] * 4
    assert not torch.equal(drawn[0], drawn[1])


@dataclass(frozen=True)
class Handing(Fit):
    """Its second update sees the batch of the first, and what that one has computed of it."""

    def first(self, batch: Batch, _: Moment) -> Losses:
        y = self.network(batch.x)
        return Losses({"first": y.square().mean()}, {"largest": y.max()}, {"made": y})

    def second(self, batch: Batch, at: Moment) -> Losses:
        assert not batch.made.requires_grad
        assert batch.made.shape == (len(batch),)
        return Losses({"second": (self.network(batch.x) - batch.made).square().mean() + at.images * batch.made.mean()})

    def updates(self) -> tuple[Update, ...]:
        return Update(("network",), self.first), Update(("network",), self.second, reuse_batch=True)


def test_an_update_may_hand_on_what_it_computed_shard_by_shard() -> None:
    """Whatever the number of shards; one batch is used; statistics are means, and are seen by what follows."""
    torch.manual_seed(0)
    game = Handing(build_game("gan", NetworkSpec("mlp", 8, 4, (1, 8, 8)), {}).discriminator)
    ends = []
    for shards in (1, 4):
        run, stats = played(game, ExecutionConfig(shards=shards), 3)
        assert run.drawn == 3
        assert stats.keys() == {"first", "largest", "second"}
        ends.append((run.game.network.body[0].weight, stats["first"]))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*ends, strict=True))


def test_what_follows_an_update_sees_means_over_shards() -> None:
    game = Handing(build_game("gan", NetworkSpec("mlp", 8, 4, (1, 8, 8)), {}).discriminator)
    run = begin(game, plan(), "cpu", ExecutionConfig(shards=4))
    seen: list[dict[str, torch.Tensor]] = []
    update = Update(("network",), game.first, after=lambda stats: seen.append(dict(stats)))
    largest = [game.network(shard.x).max() for shard in shards_of(batch_at(0), 4)]
    set_requires_grad(run, update)
    applied = apply_update(run, update, shards_of(batch_at(0), 4), run.at, 0, 0, 0, 0)
    assert isinstance(applied, Applied)
    assert seen[0]["largest"].item() == pytest.approx(torch.stack(largest).mean().item(), rel=1e-5)
    assert not seen[0]["largest"].requires_grad


@pytest.mark.parametrize(
    ("asked", "shards", "count"),
    [(None, 4, 1), ("2", 4, 2), ("4", 4, 4), ("3", 4, None), ("0", 1, None), ("x", 1, None)],
)
def test_processes_divide_the_shards(monkeypatch, asked: str | None, shards: int, count: int | None) -> None:
    monkeypatch.delenv(distributed.WANTED, raising=False)
    if asked is not None:
        monkeypatch.setenv(distributed.WANTED, asked)
    if count is None:
        with pytest.raises(InputError, match=f"GAN_PROCESSES is {asked}, which does not divide train.shards {shards}"):
            distributed.wanted(shards, "cpu")
    else:
        assert distributed.wanted(shards, "cpu") == count


def test_runs_at_once_take_a_gpu_each(tmp_path: Path) -> None:
    """Three runs on a machine of two: the third shares the first. A run that ends gives its own back."""
    try:
        assert [distributed.claim_gpu(2, tmp_path) for _ in range(3)] == [0, 1, 0]
        distributed.LOCKS.pop().close()
        assert distributed.claim_gpu(2, tmp_path) == 1
    finally:
        while distributed.LOCKS:
            distributed.LOCKS.pop().close()


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
    for name in ("wgan_gp", "r3gan", "f_gan"):
        one, two = (torch.load(tmp_path / n / f"{name}.end") for n in ("one", "two"))
        assert all(torch.equal(one["weights"][k], two["weights"][k]) for k in one["weights"])
        assert one["history"] == two["history"]
    assert one["history"][-1]["augment_p"] > 0
    # Power iterations of spectral normalisation go on with each forward pass, so a process that computes fewer shards
    # is a few behind: close, not equal.
    for name in ("gan", "projected_gan"):
        one, two = (torch.load(tmp_path / n / f"{name}.end") for n in ("one", "two"))
        assert all(torch.allclose(one["weights"][k], two["weights"][k], atol=5e-3) for k in one["weights"])


def test_seeding_is_manual_seed() -> None:
    reseed(1, "a", 2)
    ours = torch.rand(3)
    torch.manual_seed(fold(1, "a", 2))
    assert torch.equal(ours, torch.rand(3))


def test_only_movers_take_gradients(game: Game, data: Prepared) -> None:
    """After a step, who moved last has gradients, and nobody has one who never moved with them."""
    run, _ = played(game, ExecutionConfig(), 1, Batches(data, 16, 0).at)
    last = run.updates[-1].players
    for name, network in run.modules.trained.items():
        assert all(w.requires_grad == (name in last) for w in network.parameters()), name


def test_channels_last_gives_the_same_numbers(digits: Prepared) -> None:
    torch.manual_seed(0)
    game = build_game("gan", NetworkSpec("dcgan", 4, 4, digits.shape), {})
    (flat, _), (last, _) = (
        played(game, ExecutionConfig(channels_last=c), 10, Batches(digits, 16, 0, 0.05, channels_last=c).at)
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
    game = build_game(variant, NetworkSpec("mlp", 64, 8, digits.shape), {})
    at = Batches(digits, 64, 0).at
    (exact, terms), (coarse, rough) = (
        played(game, ExecutionConfig(), 1, at),
        played(game, ExecutionConfig(precision="bfloat16"), 1, at),
    )
    assert terms.keys() == rough.keys()
    for name, value in terms.items():
        assert rough[name].dtype == torch.float32
        assert rough[name].item() != value.item()
        assert rough[name].item() == pytest.approx(value.item(), rel=0.03, abs=0.02)
    assert all(p.dtype == torch.float32 for n in modules(coarse.game).saved.values() for p in n.parameters())
    assert exact.step == coarse.step


@pytest.mark.parametrize("last", [False, True])
def test_a_generators_pictures_lie_as_its_weights(last: bool) -> None:
    """From the first convolution on, so that no layer copies them from one form to the other, forward or backward."""
    network = build_game("gan", NetworkSpec("dcgan", 4, 4, (3, 16, 16)), {}).generator
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
        "import torch, resource; from gan_core.runtime.device import keep_memory; keep_memory()\n"
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
    """Captured or not, the same weights, as after a restored state."""
    data = domains if variant == "cycle_gan" else digits
    family = "resnet" if variant == "cycle_gan" else "dcgan"
    torch.manual_seed(0)
    game = build_game(
        variant, NetworkSpec(family, 8, 8, data.shape, data.classes), {"warm_up": 0} if variant == "wgan" else {}
    )
    ends = []
    for graph in (False, True):
        run = begin(copy.deepcopy(game), plan(), "cuda", ExecutionConfig(True, precision, cuda_graph=graph))
        batches = Batches(data, 16, 0, 0.05, "cuda", True)
        take_steps(run, batches.at, 7)
        run.restore(copy.deepcopy(run.state()))
        take_steps(run, batches.at, 5)
        ends.append({k: v for n in modules(run.game).saved.values() for k, v in n.state_dict().items()})
    assert all(g.graph is not None for g in run.graphs)
    assert all(torch.allclose(ends[0][k], ends[1][k], atol=1e-5) for k in ends[0])


def test_intels_library_knows_its_processor_before_two_threads_ask() -> None:
    """Asked by two at once it may take another processor's tanh: a process in 2,000 began with other numbers."""
    code = (
        "import ctypes, pathlib, sys, torch\n"
        "from gan_core.runtime.device import set_up\n"
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
    code = "from gan_core.runtime.device import set_up; set_up(1); import torch; torch.mm(*[torch.ones(64, 64)] * 2)"
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
