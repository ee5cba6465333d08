"""train: a declared run -> one file a shipped role, and the table of losses. Killed, it goes on where it was."""

import sys
from contextlib import nullcontext
from dataclasses import asdict

import torch

from gan_core import artifact, config, errors
from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared
from gan_core.seeds import fold
from gan_core.signature import Body
from gan_core.training import fingerprint, guard, processes
from gan_core.training.checkpoint import State
from gan_core.training.ema import recalibrate
from gan_core.training.log import write_losses
from gan_core.training.loop import Means, Plan, Stopped, play, start
from gan_core.training.setup import set_up
from stages import paths


def main(name: str) -> None:
    params, stop = config.load(), guard.Stop()
    declared = config.find(params.runs, name, "run")
    train = declared.train
    device = set_up(params.threads, train.device)
    processes.meet(train.shards, device, "stages.train", name)
    first = processes.rank() == 0
    with guard.alone(paths.STATE / name) if first else nullcontext():
        data = Prepared(paths.prepared(declared.dataset))
        batches = Batches(data, train.batch_size, train.seed, train.instance_noise, device, train.channels_last)
        facts = fingerprint.facts(
            asdict(declared) | {"threads": params.threads},
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
        try:
            run = play(start(game, train.ema_decay, device, means), batches.at, plan, state, stop)
        except Stopped as stopped:
            print(f"{name}: {stopped}; the same command goes on from there", file=sys.stderr)
            raise SystemExit(stop.exit_code) from None
        if not first:
            return
        notes = {"run": name, "variant": declared.variant, "steps": train.steps, "ema_decay": train.ema_decay}
        for role, average in run.averages.items():
            recipe = game.exports()[role].recipe
            recalibrate(average.network, recipe.inputs, train.seed, train.batch_size)
            average.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            artifact.save(
                paths.model(name) / f"{role}.safetensors",
                average.network,
                recipe,
                notes | {"data": data.index["sha256"]},
            )
        write_losses(paths.report(name) / "loss.csv", run.history)
        state.clear()


if __name__ == "__main__":
    errors.run(main, "run")
