"""train: a declared run -> one file a shipped role, its tables and its health. Killed, it goes on where it was."""

import shutil
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from gan_core import artifact, config, errors, files
from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared, View
from gan_core.metrics.quick import Quick, chosen
from gan_core.seeds import fold
from gan_core.signature import Body, Recipe
from gan_core.training import fingerprint, guard, processes
from gan_core.training.checkpoint import State
from gan_core.training.ema import recalibrate
from gan_core.training.log import write_table
from gan_core.training.loop import Means, Plan, Run, Stopped, play, start
from gan_core.training.setup import keep_memory, set_up
from gan_core.training.watch import DRAWN, Sight, Watch
from stages import paths


def main(name: str) -> None:
    params, stop = config.load(), guard.Stop()
    declared = config.find(params.runs, name, "run")
    train = declared.train
    device = set_up(params.threads, train.device)
    keep_memory()
    processes.meet(train.shards, device, "stages.train", name)
    first = processes.rank() == 0
    with guard.alone(paths.STATE / name) if first else nullcontext():
        data, extractor = Prepared(paths.prepared(declared.dataset)), artifact.load(paths.extractor(declared.dataset))
        batches = Batches(data, train.batch_size, train.seed, train.instance_noise, device, train.channels_last)
        facts = fingerprint.facts(
            asdict(declared) | {"threads": params.threads, "extractor": extractor.sha256},
            data.index["sha256"],
            device,
            (declared.variant, declared.network.family),
        )
        state = State(paths.STATE / name, fingerprint.key(facts))
        if first:
            fingerprint.announce(state.folder, facts)
        torch.manual_seed(fold(train.seed, "weights"))
        network = declared.network
        game = assemble(
            declared.variant,
            Body(network.family, network.width, network.latent, data.shape, data.classes),
            declared.settings,
        )
        plan = Plan(name, train.steps, train.seed, train.log_every, train.checkpoint_every)
        means = Means(train.channels_last, train.precision, train.shards, train.graph)
        sights = {space: sight(domain, extractor.network.to(device), device) for space, domain in data.spaces.items()}
        watch = Watch(train.watch_every, train.steps, train.seed, train.batch_size, sights)
        try:
            run = play(start(game, train.ema_decay, device, means), batches.at, plan, state, stop, watch)
        except Stopped as stopped:
            print(f"{name}: {stopped}; the same command goes on from there", file=sys.stderr)
            raise SystemExit(stop.exit_code) from None
        if not first:
            return
        notes = {"run": name, "variant": declared.variant, "steps": train.steps, "ema_decay": train.ema_decay}
        keep(name, run, watch.best.best, train, notes | {"data": data.index["sha256"]})
        files.write(paths.strips(name), safetensors.torch.save(watch.strips))
        write_table(paths.report(name) / "loss.csv", run.history)
        write_table(paths.report(name) / "progress.csv", watch.figures)
        files.write_json(paths.report(name) / "health.json", watch.health(run))
        state.clear()


def sight(domain: Prepared, extractor: nn.Module, device: str) -> Sight:
    """A domain as the watch sees it: measured against its training samples."""
    train, labels = domain.raw("train"), domain.labels("train")
    some = chosen(len(train), DRAWN, "seen")
    return Sight(
        Quick(extractor, View(train), device),
        (View(train[some]), labels[some] if labels is not None else None),
        (domain.samples("heldout"), domain.labels("heldout")),
    )


def keep(name: str, run: Run, best: dict[str, Any], train: config.Train, notes: dict[str, Any]) -> None:
    """Save what ships, the weights of the best look, and where these are not the last ones, the last ones too."""
    shutil.rmtree(paths.model(name), ignore_errors=True)
    step = int(best["step"]) if best else run.step
    for role, average in run.averages.items():
        recipe = run.exports[role].recipe
        if step != run.step:
            save(paths.last(name) / f"{role}.safetensors", average.network, recipe, train, notes | {"step": run.step})
            average.network.load_state_dict(best["weights"][role])
        save(paths.model(name) / f"{role}.safetensors", average.network, recipe, train, notes | {"step": step})


def save(path: Path, network: nn.Module, recipe: Recipe, train: config.Train, notes: dict[str, Any]) -> None:
    """Measure the network's statistics afresh and write it."""
    recalibrate(network, recipe.inputs, train.seed, train.batch_size)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    artifact.save(path, network, recipe, notes)


if __name__ == "__main__":
    errors.run(main, "run")
