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
from benchmarks.train import EMA, NOISE, RESULTS
from gan_core import config, files
from gan_core.assemble import assemble
from gan_core.datasets import sources
from gan_core.datasets.prepared import Batches, Prepared, prepare
from gan_core.game import players
from gan_core.networks.dcgan import Doubling
from gan_core.objectives.two_sample import energy_distance
from gan_core.seeds import fold
from gan_core.signature import Body
from gan_core.training import loop
from gan_core.training.ema import recalibrate
from gan_core.training.loop import Means
from gan_core.training.setup import set_up

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


def ways() -> Iterator[tuple[str, int, Means, AbstractContextManager[Any]]]:
    """A name, a seed, the means, and what must hold."""
    for seed in SEEDS:
        yield declared(seed), seed, Means(channels_last=True), nullcontext()
    yield "planes in memory", 0, Means(), nullcontext()
    yield "up-sampling as written", 0, Means(channels_last=True), patch.object(Doubling, "forward", doubled)
    yield "bfloat16", 0, Means(channels_last=True, precision="bfloat16"), nullcontext()
    yield "2 shards", 0, Means(channels_last=True, shards=2), nullcontext()


def learned(data: Prepared, seed: int, means: Means) -> float:
    """The energy distance after 500 steps."""
    torch.manual_seed(fold(seed, "weights"))
    game: Any = assemble("gan", Body("dcgan", 16, 32, data.shape, data.classes), {})
    run = loop.start(game, EMA, means=means)
    batches = Batches(data, 64, seed, NOISE, channels_last=means.channels_last)
    for network in players(game).values():
        network.train()
    for run.step in range(STEPS):
        loop.play_step(run, batches.at, seed)
        run.averages["generator"].update(game.generator, run.step)
    generator = run.averages["generator"].network
    recalibrate(generator, game.generator.recipe.inputs, seed, 64)
    torch.manual_seed(0)
    with torch.no_grad():
        return float(energy_distance(generator.eval()(torch.randn(1000, 32)), data.samples("heldout")[:]))


def main() -> None:
    threads = config.load().threads
    set_up(threads, "cpu")
    found: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        spec = config.Digits("digits", 0.2)
        prepare(sources.read(spec), spec, Path(folder))
        data = Prepared(Path(folder))
        for name, seed, means, during in ways():
            with during:
                found[name] = learned(data, seed, means)
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
