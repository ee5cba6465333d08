"""Does the gate let honest exports pass? Every paper, family and seed in turn, briefly trained, in every precision.

python -m tests.honest --exports 20
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from gan_core import config
from gan_core.artifact import Artifact
from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared, prepare, to_model
from gan_core.datasets.sources import read
from gan_core.errors import DataError
from gan_core.export.ship import Judge, ship
from gan_core.metrics.measure import Reference
from gan_core.signature import Body
from gan_core.training.ema import recalibrate
from gan_core.training.loop import play_step, start
from gan_core.training.setup import set_up
from gan_core.variants import VARIANTS
from tests.conftest import DIGITS, DOMAINS, ROOT, fitting

STEPS = 60


class Flat(torch.nn.Module):
    """Samples are their own features."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def exported(variant: str, family: str, seed: int, data: Prepared, export: config.Export) -> dict[str, list[str]]:
    """What of one briefly trained game the gate refused, and why."""
    torch.manual_seed(seed)
    run = start(assemble(variant, Body(family, 16, 8, data.shape, data.classes), {}), 0.9)
    batches = Batches(data, 64, seed, 0.05)
    for run.step in range(STEPS):
        play_step(run, batches.at, seed)
        for role, average in run.averages.items():
            average.update(run.game.exports()[role], run.step)
    spaces = {name: (d, Reference.of(Flat(), d.samples("heldout"), d.index)) for name, d in data.spaces.items()}
    judge = Judge(
        {name: reference.fid for name, (_, reference) in spaces.items()},
        {name: d.samples("heldout") for name, (d, _) in spaces.items()},
        1000,
        seed,
        to_model,
    )
    refused: dict[str, list[str]] = {}
    for role, average in run.averages.items():
        recipe = run.game.exports()[role].recipe
        if recipe.gives == "curve":
            continue
        recalibrate(average.network, recipe.inputs, seed, 64)
        trained = Artifact(average.network.eval().requires_grad_(False), recipe, {"data": "none"}, "none")
        with tempfile.TemporaryDirectory() as folder:
            try:
                refused |= ship(variant, role, trained, Path(folder), export, judge, 2)["refused"]
            except DataError as error:
                refused[role] = [str(error)]
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.honest", description=__doc__)
    parser.add_argument("--exports", type=int, default=20)
    wanted = parser.parse_args().exports
    set_up(2)
    declared = config.load(ROOT / "params.yaml").export
    export = replace(declared, engines=replace(declared.engines, flavour="none"))
    games = [(variant, family) for variant in VARIANTS for family in fitting(variant)]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        sets = {"pair": DOMAINS, "digits": DIGITS}
        for name, spec in sets.items():
            prepare(read(spec), spec, Path(folder) / name)
        for k in range(wanted):
            variant, family = games[k % len(games)]
            data = Prepared(Path(folder) / ("pair" if "pair" in config.asks(variant) else "digits"))
            refused = exported(variant, family, k, data, export)
            bad += bool(refused)
            print(f"{variant} of {family}, seed {k}: {refused or 'passed'}", flush=True)
    print(f"{wanted} honest exports, {bad} with a refusal")
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    main()
