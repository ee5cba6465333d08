"""What a GPU does with all of this, on one page: ``make gpu``.

``python -m benchmarks.accelerator`` runs its parts one after the other, each in a process of its own and within its
time, prints a row with a verdict for each finding, and writes ``benchmarks/results/gpu-<name>.json`` and the page
beside it after every part. Started again it does the parts that are missing (``--again``: all). It needs PyTorch, ONNX,
ONNX Runtime, NumPy, safetensors, Pillow, pytest and what this package imports (no DVC); what else is missing is a row
that says so. ``--device cpu`` runs every part at toy size, less what is CUDA's alone, so that the first run on a GPU
works.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.machine import described
from gan_core.runtime import files

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
Row = dict[str, Any]
"""``what``, figures by name, and ``verdict``: ok, failed, absent or skipped."""


def row(what: str, figures: Mapping[str, float | str] | None = None, verdict: str = "ok", why: str = "") -> Row:
    """A finding."""
    return {"what": what, "verdict": verdict, "why": why, "figures": dict(figures or {})}


def tests(device: str) -> Iterator[Row]:
    """The tests that need a GPU."""
    if device == "cpu":
        yield row("tests that need a GPU", verdict="skipped", why="CUDA's alone")
        return
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS.parent.parent)
    counts: dict[str, float] = {
        name: int(n) for n, name in re.findall(r"(\d+) (passed|failed|skipped|errors?)", done.stdout)
    }
    yield row("tests that need a GPU", counts, "failed" if done.returncode else "ok", done.stdout[-1500:])


def cases(device: str) -> list[Any]:
    """What is trained: DCGAN, WGAN-GP and R3GAN at 32 pixels, CycleGAN at 128; on a CPU at 8."""
    from benchmarks.train import Case
    from gan_core.core.network_spec import NetworkSpec

    small = device == "cpu"
    side, width, batch = (8, 4, 4) if small else (32, 64, 64)
    r3gan = NetworkSpec("r3gan", 8 if small else 384, 64, (3, side, side), 0, {} if small else {"blocks": 2}, 8)
    return [
        Case("gan", NetworkSpec("dcgan", width, 64, (3, side, side)), batch),
        Case("wgan_gp", NetworkSpec("dcgan", width, 64, (3, side, side)), batch),
        Case("r3gan", r3gan, batch, {"gamma": 0.05}),
        Case("cycle_gan", NetworkSpec("resnet", width, 0, (3, 8, 8) if small else (3, 128, 128)), 2 if small else 8),
    ]


def train(device: str) -> Iterator[Row]:
    """Images a second of our loop, in float32 and bfloat16, launched one by one and as CUDA graphs; a plain loop."""
    from benchmarks.plain import PLAIN
    from benchmarks.train import ours, plain
    from gan_core.training.run import ExecutionConfig

    for case in cases(device):
        ways: dict[str, Callable[[], Callable[[], None]]] = {}
        if case.loop in PLAIN:
            ways["plain loop"] = partial(plain, case, device)
        for precision, graph in product(PRECISIONS, (False, True) if device == "cuda" else (False,)):
            how = ExecutionConfig(True, precision, cuda_graph=graph)
            ways[f"{precision}{', CUDA graphs' if graph else ''}"] = partial(ours, case, how, device)
        rates: dict[str, float | str] = {}
        for name, make in ways.items():
            try:
                rates[name] = case.batch_size / seconds_of(make(), device)
            except Exception as error:
                rates[name] = f"{type(error).__name__}: {str(error)[:200]}"
        failed = any(isinstance(rate, str) for rate in rates.values())
        yield row(f"images a second, {case.name}", rates, "failed" if failed else "ok")


def seconds_of(call: Callable[[], Any], device: str) -> float:
    """Seconds of a call: the median of some rounds of at least a fifth of a second, after ten to warm up."""
    from benchmarks.train import synchronise

    warm, least = (10, 0.2) if device == "cuda" else (2, 0.02)
    for _ in range(warm):
        call()
    found = []
    for _ in range(ROUNDS):
        synchronise()
        begun, count = time.perf_counter(), 0
        while count < 3 or time.perf_counter() - begun < least:
            call()
            count += 1
        synchronise()
        found.append((time.perf_counter() - begun) / count)
    return median(found)


def repeat(device: str) -> Iterator[Row]:
    """Are the weights of two runs from one seed the same, to the bit? Of one that was stopped? Of CUDA graphs?"""
    for case in cases(device):
        steps = 6 if device == "cpu" else 40
        once = weights(case, device, steps)
        same = alike(once, weights(case, device, steps))
        yield row(f"{case.name}: two runs of {steps} steps, the same bits", verdict="ok" if same else "failed")
        same = alike(once, weights(case, device, steps, steps // 2))
        yield row(f"{case.name}: stopped half-way and gone on, the same bits", verdict="ok" if same else "failed")
        if device == "cuda":
            graphs = weights(case, device, steps, graph=True)
            off = max(float((a - graphs[name]).abs().max()) for name, a in once.items())
            yield row(f"{case.name}: CUDA graphs beside single launches", {"largest": off}, "failed" if off else "ok")


def weights(case: Any, device: str, steps: int, stop_at: int = 0, graph: bool = False) -> dict[str, torch.Tensor]:
    """Of all networks at the end of a run; ``stop_at``: where another process could have taken over."""
    from benchmarks.train import begin
    from gan_core.training import loop
    from gan_core.training.checkpoint import State
    from gan_core.training.run import ExecutionConfig

    with tempfile.TemporaryDirectory() as folder:
        state = State(Path(folder) / "state", "bench")
        for last in filter(None, (stop_at, steps)):
            run, batches = begin(case, ExecutionConfig(True, cuda_graph=graph), device, steps)
            with suppress(loop.Stopped):
                loop.train(run, batches.at, state, lambda run=run, last=last: run.step >= last)  # type: ignore[misc]
    return {f"{n}.{k}": v.cpu() for n, m in run.modules.trained.items() for k, v in m.state_dict().items()}


def alike(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """To the bit."""
    return all(torch.equal(one[name], other[name]) for name in one)


def steps_in(case: Any, device: str, seconds: float) -> int:
    """How many steps a process takes in so long."""
    from benchmarks.train import ours, synchronise
    from gan_core.training.run import ExecutionConfig

    step = ours(case, ExecutionConfig(True), device)
    for _ in range(3):
        step()
    synchronise()
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        synchronise()
        count += 1
    return count


def together(device: str) -> Iterator[Row]:
    """Two runs at once on one device: steps of both, beside those of one alone."""
    case, seconds = cases(device)[0], 2.0 if device == "cpu" else 10.0
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        alone = pool.apply(steps_in, (case, device, seconds))
        both = pool.starmap(steps_in, [(case, device, seconds)] * 2)
    figures = {"steps_alone": alone, "steps_together": sum(both), "share": sum(both) / alone}
    yield row(f"two runs at once, {case.name}", figures)


@dataclass(frozen=True)
class Shipped:
    """A generator that nobody trained, and its graph."""

    name: str
    network: Any
    config: Any
    model: bytes
    largest: int


def shipped(device: str) -> Iterator[Shipped]:
    """A DCGAN of 32 pixels and a translator of 128; on a CPU of 8."""
    from gan_core.core.build_network import build_network
    from gan_core.core.network_spec import NetworkSpec
    from gan_core.export import onnx

    small = device == "cpu"
    dcgan = NetworkSpec("dcgan", 4 if small else 64, 64, (3, 8, 8) if small else (3, 32, 32))
    resnet = NetworkSpec("resnet", 4 if small else 64, 0, (3, 8, 8) if small else (3, 128, 128))
    for name, config in (("dcgan", dcgan.generator(dcgan.prior())), ("translator", resnet.translator("x", "x_b"))):
        torch.manual_seed(0)
        network = build_network(config).eval().requires_grad_(False)
        yield Shipped(name, network, config, onnx.export(network, config, 20), 8 if small or name != "dcgan" else 64)


def infer(device: str) -> Iterator[Row]:
    """Each word of ``--on``, and torch, at batches of 1, 8 and the largest: how far from torch on the CPU, how fast."""
    from gan_core.runtime.errors import FoundryError
    from gan_core.serving import session

    for case in shipped(device):
        truth = {n: expected(case, n) for n in sorted({1, 8, case.largest})}
        for name, make in torch_ways(case, device).items():
            yield from at_batches(f"{case.name}, {name}", make, truth, device)
        with tempfile.TemporaryDirectory() as cache:
            for word in session.PROVIDERS:
                try:
                    ready = session.load(case.model, case.name, session.Runtime(word, cache=Path(cache)))
                except FoundryError as error:
                    yield row(f"{case.name}, --on {word}", verdict="absent", why=str(error))
                    continue

                call = partial(on_rows, ready, case)
                yield from at_batches(f"{case.name}, --on {word}", call, truth, device)


def on_rows(compute: Callable[[Mapping[str, np.ndarray]], Any], case: Shipped, n: int) -> Callable[[], Any]:
    """A call with a batch of fixed inputs."""
    return partial(compute, case.config.fixed_inputs(n, 1))


def expected(case: Shipped, n: int) -> np.ndarray:
    """What torch gives on the CPU."""
    with torch.inference_mode():
        found: np.ndarray = case.network(
            *(torch.from_numpy(v) for v in case.config.fixed_inputs(n, 1).values())
        ).numpy()
    return found


def torch_ways(case: Shipped, device: str) -> dict[str, Callable[[int], Callable[[], Any]]]:
    """Torch, from host memory to host memory."""
    network = copy.deepcopy(case.network).to(device)

    def eager(call: Any, n: int) -> Callable[[], Any]:
        given = [torch.from_numpy(v) for v in case.config.fixed_inputs(n, 1).values()]

        def run() -> Any:
            with torch.inference_mode():
                return call(*(g.to(device) for g in given)).cpu().numpy()

        return run

    ways: dict[str, Callable[[int], Callable[[], Any]]] = {"torch eager": partial(eager, network)}
    if device == "cuda":
        ways["torch.compile"] = partial(eager, torch.compile(network, dynamic=False))
    return ways


def at_batches(
    what: str, prepare: Callable[[int], Callable[[], Any]], truth: Mapping[int, Any], device: str, most: float = 1e-4
) -> Iterator[Row]:
    """Rows of a way to call."""
    for n, right in truth.items():
        try:
            call = prepare(n)
            off = float(np.abs(np.asarray(call()) - right).max())
            taken = sorted(timed(call, 20 if device == "cpu" else 200))
        except Exception as error:
            yield row(f"{what}, batch {n}", verdict="failed", why=f"{type(error).__name__}: {str(error)[:300]}")
            continue
        p50, p99 = (1e3 * taken[int(q * (len(taken) - 1))] for q in (0.5, 0.99))
        figures = {"max_abs": off, "p50_ms": p50, "p99_ms": p99, "images_per_s": n * len(taken) / sum(taken)}
        yield row(f"{what}, batch {n}", figures, "ok" if off <= most else "failed")


def timed(call: Callable[[], Any], times: int) -> list[float]:
    """Seconds of each call, after some to warm up."""
    for _ in range(max(3, times // 20)):
        call()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return found


def engines(device: str) -> Iterator[Row]:
    """Engines of TensorRT for this GPU, as ``export.engines.here`` builds them."""
    from benchmarks import gpu
    from gan_core.export import engine
    from gan_core.runtime.errors import EnvironmentFailure

    if device == "cpu":
        yield row("engines of TensorRT", verdict="skipped", why="CUDA's alone")
        return
    try:
        trt = engine.library("tensorrt")
    except EnvironmentFailure as error:
        yield row("engines of TensorRT", verdict="absent", why=str(error))
        return
    for case in shipped(device):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(case.model)
            subject: Any = SimpleNamespace(config=case.config, largest=case.largest, graphs=partial(list, [path]))
            truth = {n: expected(case, n) for n in sorted({1, 8, case.largest})}
            make = partial(on_host, gpu.in_tensorrt(subject, trt))
            yield from at_batches(f"{case.name}, engine", make, truth, device, 1e-3)


def on_host(prepare: Callable[[int], Callable[[], Any]], n: int) -> Callable[[], Any]:
    """A call whose result is copied to the host."""
    call = prepare(n)
    return lambda: call().cpu().numpy()


def preset(device: str) -> Iterator[Row]:
    """Preset ``small`` of R3GAN at 32 and 64 pixels: images a second, memory, and hours for all that it sees."""
    from benchmarks.train import Case, ours
    from gan_core.core.network_spec import NetworkSpec
    from gan_core.propose import presets
    from gan_core.training.run import ExecutionConfig

    name = "tiny" if device == "cpu" else "small"
    of = presets.preset(name)
    for side in (8,) if device == "cpu" else (32, 64):
        batch = 4 if device == "cpu" else presets.batch_size(name, side)
        net = of["network"] | ({"width": 8} if device == "cpu" else {})
        spec = NetworkSpec("r3gan", net["width"], net["latent"], (3, side, side), 0, {"blocks": net["blocks"]}, 8)
        case = Case("r3gan", spec, batch, {"gamma": presets.gamma(side)[0], "penalty_every": of["penalty_every"]})
        for graph in (False, True) if device == "cuda" else (False,):
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            how = ExecutionConfig(True, "bfloat16", cuda_graph=graph)
            rate = batch / seconds_of(ours(case, how, device), device)
            memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
            hours = of["images"] / rate / 3600
            what = f"preset {name}, {side} pixels, batch {batch}{', CUDA graphs' if graph else ''}"
            yield row(what, {"images_per_s": rate, "hours": hours, "memory_gib": memory})


PARTS: Mapping[str, tuple[Callable[[str], Iterator[Row]], float]] = {
    "repeat": (repeat, 180),
    "train": (train, 300),
    "infer": (infer, 240),
    "preset": (preset, 150),
    "together": (together, 90),
    "engines": (engines, 120),
    "tests": (tests, 120),
}
"""By name, with the seconds it may take: twenty minutes in all."""


def part(name: str, device: str) -> None:
    """One part, in this process: a line of JSON a row."""
    from gan_core.runtime.device import keep_memory, set_up

    set_up(1, device)
    keep_memory()
    for found in PARTS[name][0](device):
        print(f"\0{json.dumps(found)}", flush=True)


def rows(name: str, device: str) -> list[Row]:
    """One part, in a process of its own; what it found before it failed or its time was up stays."""
    command = [sys.executable, "-m", "benchmarks.accelerator", "--part", name, "--device", device]
    limit, ended = PARTS[name][1], ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        out = done.stdout
        if done.returncode:
            ended = done.stderr.strip()[-600:]
    except subprocess.TimeoutExpired as late:
        out, ended = (late.stdout or b"").decode(), f"not done after {limit:.0f} s"
    found = [json.loads(line[1:]) for line in out.splitlines() if line.startswith("\0")]
    return found + ([row(f"part {name}", verdict="failed", why=ended)] if ended else [])


def page(result: Mapping[str, Any]) -> str:
    """For a person."""
    assert __doc__
    about = "{device}; torch {torch}, Python {python}, {cpu}, {cores} cores; {date}.".format(**result["machine"])
    lines = [f"# {result['machine']['device']}", "", about, "", __doc__.split("\n\n", 1)[1].strip(), ""]
    for name, of in result["parts"].items():
        lines += [
            f"## {name}",
            "",
            f"{of['seconds']:.0f} s.",
            "",
            "| what | verdict | figures |",
            "| --- | --- | --- |",
        ]
        for r in of["rows"]:
            figures = ", ".join(f"{k} {v if isinstance(v, str) else format(v, '.4g')}" for k, v in r["figures"].items())
            why = " ".join(r["why"].split())[:300].replace("|", "/") if r["verdict"] != "ok" else ""
            lines.append(f"| {r['what']} | {r['verdict']} | {'; '.join(filter(None, (figures, why)))} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    asked.add_argument("--out", type=Path, default=RESULTS, help="the folder of the page")
    asked.add_argument("--again", action="store_true", help="do again what is done")
    asked.add_argument("--only", nargs="*", default=[*PARTS], choices=PARTS, help="these parts")
    asked.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.part:
        part(given.part, given.device)
        return
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU here; `make gpu DEVICE=cpu` runs the same parts at toy size")
    machine = described(1, given.device)
    path = given.out / f"gpu-{re.sub('[^a-z0-9]+', '-', machine['device'].lower()).strip('-')}.json"
    result = files.read_json(path) if path.is_file() and not given.again else {"machine": machine, "parts": {}}
    for name in given.only:
        if name in result["parts"] and not any(r["verdict"] == "failed" for r in result["parts"][name]["rows"]):
            continue
        begun = time.perf_counter()
        found = rows(name, given.device)
        result["parts"][name] = {"seconds": time.perf_counter() - begun, "rows": found}
        for r in found:
            print(f"{r['verdict']:8}{r['what']} {r['figures'] or r['why'][:200]}", flush=True)
        files.write_json(path, result)
        files.write(path.with_suffix(".md"), page(result).encode())
    counts = [r["verdict"] for of in result["parts"].values() for r in of["rows"]]
    print(f"{path.with_suffix('.md')}: {', '.join(f'{counts.count(v)} {v}' for v in dict.fromkeys(counts))}")
    if "failed" in counts:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
