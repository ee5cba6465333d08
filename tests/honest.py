"""Does the gate let honest exports pass? Every paper, family and seed in turn, briefly trained, in every precision.

``python -m tests.honest --exports 20``
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from gan_core.config import papers, schema
from gan_core.config.load import load_params
from gan_core.core.artifact import Artifact
from gan_core.core.build_game import build_game
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import read
from gan_core.export.ship import AcceptanceReference, ship
from gan_core.metrics.drawn import with_latents
from gan_core.runtime.device import set_up
from gan_core.runtime.errors import DataError
from gan_core.serving.backends.triton.backend import Triton
from gan_core.training.ema import recalibrate
from tests.conftest import DECLARED, DIGITS, DOMAINS, QUICK, begin, fitting, flat_reference, plan, take_steps

STEPS = 60


def refusals(variant: str, family: str, seed: int, data: Prepared, export: schema.Export) -> dict[str, list[str]]:
    """What of one briefly trained game the gate refused, and why."""
    torch.manual_seed(seed)
    game = build_game(variant, NetworkSpec(family, 16, 8, data.shape, data.classes), QUICK.get(variant, {}))
    run = take_steps(begin(game, plan(STEPS, batch_size=64, seed=seed)), Batches(data, 64, seed, 0.05).at, STEPS)
    spaces = {name: (d, flat_reference(d)) for name, d in data.spaces.items()}
    reference = AcceptanceReference(
        {name: reference.fd for name, (_, reference) in spaces.items()},
        {name: d.samples("heldout") for name, (d, _) in spaces.items()},
        1000,
        seed,
    )
    refused: dict[str, list[str]] = {}
    made: dict[str, Artifact] = {}
    for role, average in run.averages.items():
        config = run.exports[role].config
        recalibrate(average.network, config.inputs, seed, 64)
        made[role] = Artifact(average.network.eval().requires_grad_(False), config, {"data": "none"}, "none")
    reference = replace(reference, real=with_latents(made, reference.real))
    for role, trained in made.items():
        if trained.config.output_space == "curve":
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                refused |= ship(variant, role, trained, Path(folder), export, reference, 2, Triton().write)[0][
                    "refused"
                ]
            except DataError as error:
                refused[role] = [str(error)]
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.honest", description=__doc__)
    parser.add_argument("--exports", type=int, default=20)
    wanted = parser.parse_args().exports
    set_up(2)
    declared = load_params(DECLARED).export
    export = replace(declared, engines=replace(declared.engines, flavour="none", precisions=["fp32"]))
    games = [(variant, family) for variant in papers.variants() for family in fitting(variant)]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        sets = {"pair": DOMAINS, "digits": DIGITS}
        for name, spec in sets.items():
            prepare(read(spec), spec, Path(folder) / name)
        for k in range(wanted):
            variant, family = games[k % len(games)]
            data = Prepared(Path(folder) / ("pair" if "x_b" in papers.needs(variant)["batch"] else "digits"))
            refused = refusals(variant, family, k, data, export)
            bad += bool(refused)
            print(f"{variant} of {family}, seed {k}: {refused or 'passed'}", flush=True)
    print(f"{wanted} honest exports, {bad} with a refusal")
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    main()
