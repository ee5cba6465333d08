"""Training: our loop, our loop with each optimisation off, and a plain loop, all in one run.

``python -m benchmarks.train``. Every column plays the same networks on the same data with the same batch, in turns;
figures are medians. An image is one of a batch, whatever a step does with it: a step is one pass over the algorithm
box. What holds for a whole process, as its allocator's settings do, cannot be turned off in ours: the plain loop, and
ours without them, have a process of their own. Writes results/train-cpu.json and .md.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.machine import described
from benchmarks.plain import PLAIN, as_written, doubled
from gan_core.config.load import load_params
from gan_core.core.build_game import build_game
from gan_core.core.game import Adam, Optimizer, Update, modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Moment
from gan_core.data.batches import Batches
from gan_core.data.packed import to_model
from gan_core.networks.layers.doubling import Doubling
from gan_core.objectives import penalties
from gan_core.runtime import files
from gan_core.runtime.device import keep_memory, set_up
from gan_core.runtime.seeds import fold
from gan_core.training import loop, update
from gan_core.training.run import ExecutionConfig, Plan, Run, set_symbols

RESULTS = Path(__file__).parent / "results"
ROUNDS, SECONDS = 5, 0.25
"""How often every column is played, and for how long at least."""
BFLOAT16 = "with bfloat16"
NOISE, EMA, HALF_LIFE, ENDLESS = 0.05, 0.995, 9000.0, 10**9
SET = ("CUBLAS_WORKSPACE_CONFIG", "MKL_CBWR")
"""What ``set_up`` puts into the environment, for child processes too."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    variant: str
    spec: NetworkSpec
    batch_size: int = 64
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def loop(self) -> str:
        """Its plain loop."""
        return f"{self.variant} with R1, R2" if self.settings == PENALISED else self.variant

    @property
    def name(self) -> str:
        """For a person."""
        c, h, w = self.spec.shape
        return f"{self.loop} · {self.spec.family} {self.spec.width} · {h}x{w}x{c} · batch {self.batch_size}"


PENALISED = {"objective": "relativistic", "r1": 1.0, "r2": 1.0}
CASES = (
    Case("gan", NetworkSpec("mlp", 256, 32, (1, 8, 8), 10)),
    Case("gan", NetworkSpec("mlp", 256, 32, (1, 8, 8), 10), 64, PENALISED),
    Case("f_gan", NetworkSpec("mlp", 256, 32, (1, 8, 8), 10)),
    Case("wgan", NetworkSpec("mlp", 256, 32, (1, 8, 8), 10), 64, {"warm_up": 0}),
    Case("wgan_gp", NetworkSpec("mlp", 256, 32, (1, 8, 8), 10)),
    Case("cgan", NetworkSpec("mlp", 256, 32, (1, 8, 8), 10)),
    Case("vae", NetworkSpec("mlp", 256, 16, (1, 8, 8), 10)),
    Case("vae_gan", NetworkSpec("mlp", 256, 16, (1, 8, 8), 10)),
    Case("info_gan", NetworkSpec("mlp", 256, 16, (1, 12, 12), 3), 64, {"categories": 3, "continuous": 0}),
    Case("cycle_gan", NetworkSpec("resnet", 32, 0, (3, 8, 8), 10), 16),
    Case("gan", NetworkSpec("dcgan", 32, 64, (1, 16, 16), 10)),
    Case("gan", NetworkSpec("dcgan", 32, 64, (1, 28, 28), 10)),
    Case("gan", NetworkSpec("dcgan", 32, 64, (3, 32, 32), 10)),
    Case("gan", NetworkSpec("dcgan", 32, 64, (1, 28, 28), 10), 64, PENALISED),
    Case("wgan_gp", NetworkSpec("dcgan", 32, 64, (1, 16, 16), 10)),
    Case("cgan", NetworkSpec("dcgan", 32, 64, (1, 28, 28), 10)),
    Case("vae_gan", NetworkSpec("dcgan", 32, 64, (1, 28, 28), 10)),
)

ON_A_GPU = (
    Case("gan", NetworkSpec("dcgan", 64, 64, (3, 32, 32), 10)),
    Case("wgan_gp", NetworkSpec("dcgan", 64, 64, (3, 32, 32), 10)),
    Case("cycle_gan", NetworkSpec("resnet", 64, 0, (3, 128, 128), 10), 8),
)
"""What would take a CPU too long."""


@dataclass
class Noise:
    """A data set of 2,000 random images, which costs what a prepared one costs."""

    shape: tuple[int, ...]
    classes: int
    pairs: bool = False
    folder: Path = Path("noise")
    is_image: bool = True
    aligned: bool = False
    flip: bool = False
    packed: None = None

    def raw(self, _part: str, whole: bool = False) -> torch.Tensor:
        """uint8 (N, H, W, C)."""
        c, h, w = self.shape
        return torch.randint(256, (2000, h, w, c), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    def labels(self, _part: str) -> torch.Tensor:
        """(N,)."""
        return torch.arange(2000) % max(self.classes, 1)

    @property
    def other(self) -> Noise | None:
        """The second domain, where a game asks for one."""
        return Noise(self.shape, self.classes) if self.pairs else None


def unfused(spec: Optimizer, weights: list[torch.nn.Parameter], _capturable: bool = False) -> torch.optim.Optimizer:
    """An optimizer as it comes."""
    made = (torch.optim.Adam if isinstance(spec, Adam) else torch.optim.RMSprop)(weights)
    set_symbols(made, spec, Moment())
    return made


def all_free(run: Run, _update: Update) -> None:
    """Gradients for everybody, whoever moves; the movers' are cleared before they are used."""
    for network in run.modules.trained.values():
        for weight in network.parameters():
            weight.requires_grad, weight.grad = True, None


def two_passes(score: Any, x: torch.Tensor, name: str, gamma: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Scores of one pass, a penalty of another."""
    return score(x), {name: gamma * penalties.with_squared_gradient_norm(score, x)[1].mean() / 2}


def whole_seed(*place: int | str) -> None:
    """torch.manual_seed."""
    torch.manual_seed(fold(*place))


OFF: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "fused optimizers": lambda: patch.object(loop, "make_optimizer", unfused),
    "gradients of movers only": lambda: patch.object(update, "set_requires_grad", all_free),
    "folded up-sampling": lambda: patch.object(Doubling, "forward", doubled),
    "cheap seeds": lambda: patch.object(update, "reseed", whole_seed),
    "scores and penalties of one pass": lambda: patch.object(penalties, "penalised", two_passes),
}
"""An optimisation by name -> how to do without it."""


def begin(case: Case, execution: ExecutionConfig, device: str, steps: int = ENDLESS) -> tuple[Run, Batches]:
    """A run from the weights of seed 0, and its batches."""
    plan = Plan("bench", steps, case.batch_size, 0, ENDLESS, ENDLESS, HALF_LIFE)
    data: Any = Noise(case.spec.shape, case.spec.classes, case.variant == "cycle_gan")
    batches = Batches(data, case.batch_size, 0, NOISE, device, execution.channels_last)
    return loop.start(fresh(case), plan, device, execution), batches


def ours(case: Case, execution: ExecutionConfig, device: str) -> Callable[[], None]:
    """One step of our loop with all it does in a stage: rates, noise, averages, sums of terms."""
    run, batches = begin(case, execution, device)
    return lambda: loop.advance(run, batches.at)


def plain(case: Case, device: str) -> Callable[[], None]:
    """One step of the plain loop."""
    game = as_written(fresh(case))
    for network in modules(game).saved.values():
        network.to(device).train()
    data = Noise(case.spec.shape, case.spec.classes)
    steps = PLAIN[case.loop](game, to_model(data.raw("train")), data.labels("train"), case.batch_size, device)
    return lambda: (next(steps), None)[1]


def fresh(case: Case) -> Any:
    """A game with the weights of seed 0."""
    torch.manual_seed(0)
    return build_game(case.variant, case.spec, dict(case.settings))


def as_declared(case: Case) -> ExecutionConfig:
    """How params.yaml has it computed, where that matters."""
    return ExecutionConfig(channels_last=case.spec.family != "mlp")


def elsewhere(case: Case, what: str, threads: int, device: str, connection: Connection) -> None:
    """A process that takes steps of the plain loop, or of ours without kept memory, and says how long one took."""
    if what == "plain loop":
        for name in SET:
            os.environ.pop(name, None)
        torch.set_num_threads(threads)
        step = plain(case, device)
    else:
        step = ours(case, as_declared(case), set_up(threads, device))
    while (seconds := connection.recv()) is not None:
        connection.send(timed(step, seconds))


Timer = Callable[[float], float]
"""From how long to measure at least, to the seconds of a step."""


@contextmanager
def another(case: Case, what: str, threads: int, device: str) -> Iterator[Timer]:
    """A timer of what another process does; between questions it waits."""
    spawn = multiprocessing.get_context("spawn")
    mine, its = spawn.Pipe()
    process = spawn.Process(target=elsewhere, args=(case, what, threads, device, its), daemon=True)
    process.start()
    its.close()

    def ask(seconds: float) -> float:
        mine.send(seconds)
        return float(mine.recv())

    yield ask
    mine.send(None)
    process.join()


def columns(
    case: Case, device: str
) -> Iterator[tuple[str, Callable[[], None], Callable[[], AbstractContextManager[Any]]]]:
    """Every way to play a case in this process: its name, a step, and what must hold while it is taken."""
    conv, best = case.spec.family != "mlp", as_declared(case)
    yield "ours", ours(case, best, device), nullcontext
    for name, off in OFF.items():
        if name == "folded up-sampling" and case.spec.family != "dcgan":
            continue
        if name == "scores and penalties of one pass" and case.settings != PENALISED:
            continue
        with off():
            step = ours(case, best, device)
        yield f"without {name}", step, off
    if conv:
        other = ExecutionConfig(channels_last=not best.channels_last)
        word = "with" if other.channels_last else "without"
        yield f"{word} channels_last", ours(case, other, device), nullcontext
    yield BFLOAT16, ours(case, ExecutionConfig(best.channels_last, "bfloat16"), device), nullcontext
    if device == "cuda":
        yield "with CUDA graphs", ours(case, ExecutionConfig(best.channels_last, cuda_graph=True), device), nullcontext
        yield (
            "with both",
            ours(case, ExecutionConfig(best.channels_last, "bfloat16", cuda_graph=True), device),
            nullcontext,
        )


def measure(case: Case, device: str) -> dict[str, Any]:
    """Images a second of every column, in turns, and the time that the arithmetic alone would take."""
    ways = list(columns(case, device))
    with Flops() as counter:  # type: ignore[no-untyped-call]
        ways[0][1]()
    rates: list[float] = []
    with ExitStack() as open_:
        apart = ("plain loop", "without kept memory")
        timers = {n: open_.enter_context(another(case, n, torch.get_num_threads(), device)) for n in apart}
        taken: dict[str, list[float]] = {name: [] for name in (apart[0], *(n for n, *_ in ways), apart[1])}
        for round_ in range(ROUNDS + 1):
            rates.append(multiplications_a_second(device))
            at_least = SECONDS if round_ else 0.0
            seconds = {name: timer(at_least) for name, timer in timers.items()}
            for name, step, during in ways:
                with during():
                    seconds[name] = timed(step, at_least)
            for name in taken if round_ else ():
                taken[name].append(seconds[name])
    per_step = {name: median(seconds) for name, seconds in taken.items()}
    return {
        "case": case.name,
        "images_per_second": {name: case.batch_size / s for name, s in per_step.items()},
        "ms_per_step": per_step["ours"] * 1e3,
        "gflop_per_step": counter.total / 1e9,
        "floor_ms_per_step": counter.total / median(rates) * 1e3,
        "ratio": median(p / o for p, o in zip(taken["plain loop"], taken["ours"], strict=True)),
        "ratio_bfloat16": median(p / o for p, o in zip(taken["plain loop"], taken[BFLOAT16], strict=True)),
        "beside_ours": {n: median(o / s for o, s in zip(taken["ours"], taken[n], strict=True)) for n in taken},
    }


class Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the floating-point operations of products and convolutions, backward too, and twice backward."""

    total = 0

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func._overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def timed(step: Callable[[], None], at_least: float) -> float:
    """Seconds a step; the first one warms up."""
    step()
    synchronise()
    begun = clock()
    for count in itertools.count(1):
        step()
        if clock() - begun > at_least:
            synchronise()
            return (clock() - begun) / count
    raise AssertionError


def clock() -> float:
    """Seconds; on one thread those that the processor worked for us, whatever else the machine was doing."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def synchronise() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def multiplications_a_second(device: str) -> float:
    """FLOP a second of a product of two matrices of 1,024, float32: what this machine can do at most."""
    a, b = (torch.rand(1024, 1024, device=device) for _ in range(2))
    return 2 * 1024**3 / timed(lambda: (torch.mm(a, b), None)[1], 0.05)


def table(found: Mapping[str, Any]) -> str:
    """The results for a person."""
    lines = [
        "# Training: images a second",
        "",
        f"{found['machine']['cpu']}, {found['machine']['threads']} threads, torch {found['machine']['torch']}, "
        f"{found['machine']['date']}. `python -m benchmarks.train`; medians of {ROUNDS} rounds in turns"
        f"{', in processor time' if found['machine']['threads'] == 1 else ''}.",
        "Floor: the step's multiplications at the rate of a 1,024 x 1,024 product on this machine. Ours averages "
        "weights, adds instance noise and draws fresh latents for each update; the plain loop does none of it. "
        "Products in bfloat16 give other digits (`benchmarks.drift`): a column of its own, beside the same plain loop.",
        "",
        "| game | plain loop, float32 | ours, float32 | ratio | ours, bfloat16 | ratio | ours, float32, ms a step | "
        "floor, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        speed = row["images_per_second"]
        lines.append(
            f"| {row['case']} | {speed['plain loop']:,.0f} | {speed['ours']:,.0f} | **{row['ratio']:.2f}** | "
            f"{speed[BFLOAT16]:,.0f} | {row['ratio_bfloat16']:.2f} | "
            f"{row['ms_per_step']:.1f} | {row['floor_ms_per_step']:.1f} |"
        )
    names = list(dict.fromkeys(n for row in found["rows"] for n in row["beside_ours"]))[2:]
    lines += [
        "",
        "Speed relative to ours:",
        "",
        "| game | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for row in found["rows"]:
        beside = row["beside_ours"]
        cells = [f"{beside[n]:.2f}" if n in beside else "" for n in names]
        lines.append(f"| {row['case']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", default="", help="cases whose name holds this; nothing is written then")
    asked.add_argument("--threads", type=int, default=load_params().threads, help="as params.yaml has it, or others")
    asked.add_argument("--out", type=Path, default=RESULTS, help="the folder of the table")
    given = asked.parse_args()
    only, threads = given.only, given.threads
    device = set_up(threads, "auto")
    keep_memory()
    rows = []
    for case in (*CASES, *(ON_A_GPU if device == "cuda" else ())):
        if only in case.name:
            rows.append(measure(case, device))
            print(rows[-1]["case"], f"{rows[-1]['ratio']:.2f} x the plain loop", flush=True)
        found = {"machine": described(threads, device), "rows": rows}
        if not only:
            files.write_json(given.out / f"train-{device}.json", found)
            files.write(given.out / f"train-{device}.md", table(found).encode())
    print("\n" + table(found))


if __name__ == "__main__":
    main()
