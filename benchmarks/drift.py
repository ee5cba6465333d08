"""How far 500 steps of a GAN drift when its numbers are computed otherwise: ``python -m benchmarks.drift``.

Rounding is amplified by every step, so after 500 of them two ways of computing have other weights. What must not
change is what was learned: the energy distance of 1,000 samples of the averaged generator to held-out digits, beside
what another seed changes: no way may be further from the first than one standard deviation over eight seeds, or the
program ends with 1. Writes results/drift.json and .md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import stdev
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.machine import described
from benchmarks.plain import doubled
from benchmarks.train import HALF_LIFE, NOISE, RESULTS
from gan_core.config import schema
from gan_core.config.load import load_params
from gan_core.core.build_game import build_game
from gan_core.core.network_spec import NetworkSpec
from gan_core.data import sources
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.networks.layers.doubling import Doubling
from gan_core.objectives.two_sample import energy_distance
from gan_core.runtime import files
from gan_core.runtime.device import set_up
from gan_core.runtime.seeds import fold
from gan_core.training import loop
from gan_core.training.ema import recalibrate
from gan_core.training.run import ExecutionConfig, Plan

STEPS = 500
SEEDS = range(8)


def declared(seed: int) -> str:
    """The name of the way that is measured against."""
    return f"as declared, seed {seed}"


def tolerance(found: Mapping[str, float]) -> float:
    """What another seed changes: the standard deviation over seeds."""
    return stdev(found[declared(seed)] for seed in SEEDS)


def outside(found: Mapping[str, float]) -> list[str]:
    """The ways of computing that change more than another seed does."""
    seeds = [declared(seed) for seed in SEEDS]
    return [
        name
        for name, distance in found.items()
        if name not in seeds and not abs(distance - found[seeds[0]]) <= tolerance(found)
    ]


def ways() -> Iterator[tuple[str, int, ExecutionConfig, AbstractContextManager[Any]]]:
    """A name, a seed, how it is computed, and what must hold."""
    for seed in SEEDS:
        yield declared(seed), seed, ExecutionConfig(channels_last=True), nullcontext()
    yield "planes in memory", 0, ExecutionConfig(), nullcontext()
    yield "up-sampling as written", 0, ExecutionConfig(channels_last=True), patch.object(Doubling, "forward", doubled)
    yield "bfloat16", 0, ExecutionConfig(channels_last=True, precision="bfloat16"), nullcontext()
    yield "2 shards", 0, ExecutionConfig(channels_last=True, shards=2), nullcontext()


def learned(data: Prepared, seed: int, execution: ExecutionConfig) -> float:
    """The energy distance after 500 steps."""
    torch.manual_seed(fold(seed, "weights"))
    game: Any = build_game("gan", NetworkSpec("dcgan", 16, 32, data.shape, data.classes), {})
    run = loop.start(game, Plan("drift", STEPS, 64, seed, STEPS, STEPS, HALF_LIFE), execution=execution)
    batches = Batches(data, 64, seed, NOISE, channels_last=execution.channels_last)
    for _ in range(STEPS):
        loop.advance(run, batches.at)
    generator = run.averages["generator"].network
    recalibrate(generator, game.generator.config.inputs, seed, 64)
    torch.manual_seed(0)
    with torch.no_grad():
        return float(energy_distance(generator.eval()(torch.randn(1000, 32)), data.samples("heldout")[:]))


def main() -> None:
    threads = load_params().threads
    set_up(threads, "cpu")
    found: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        spec = schema.Digits("digits", 0.2)
        prepare(sources.read(spec), spec, Path(folder))
        data = Prepared(Path(folder))
        for name, seed, execution, during in ways():
            with during:
                found[name] = learned(data, seed, execution)
            print(f"{name}: {found[name]:.4f}", flush=True)
    machine = described(threads, "cpu")
    files.write_json(
        RESULTS / "drift.json", {"machine": machine, "energy_distance": found, "tolerance": tolerance(found)}
    )
    lines = [
        "# Drift: energy distance to held-out digits after 500 steps",
        "",
        f"{machine['cpu']}, torch {machine['torch']}, {machine['date']}. Tolerance: {tolerance(found):.4f}, the "
        f"standard deviation over {len(SEEDS)} seeds. Outside it: {', '.join(outside(found)) or 'none'}.",
    ]
    lines += [
        "",
        "| computed | distance | from the first |",
        "|---|---|---|",
        *(f"| {name} | {value:.4f} | {value - found[declared(SEEDS[0])]:+.4f} |" for name, value in found.items()),
    ]
    files.write(RESULTS / "drift.md", ("\n".join(lines) + "\n").encode())
    if too_far := outside(found):
        sys.exit(f"further from the first than a deviation over seeds: {', '.join(too_far)}")


if __name__ == "__main__":
    main()
