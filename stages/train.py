"""train: a declared run -> one file a shipped role, and the table of losses. Killed, it goes on where it was."""

import sys
from dataclasses import asdict

import torch

from gan_core import artifact, config, errors
from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared
from gan_core.seeds import fold
from gan_core.signature import Body
from gan_core.training import fingerprint, guard
from gan_core.training.checkpoint import State
from gan_core.training.ema import recalibrate
from gan_core.training.log import write_losses
from gan_core.training.loop import Plan, Stopped, play, start
from gan_core.training.setup import set_up
from stages import paths


def main(name: str) -> None:
    params, stop = config.load(), guard.Stop()
    declared = config.find(params.runs, name, "run")
    train = declared.train
    with guard.alone(paths.STATE / name):
        device = set_up(params.threads, train.device)
        data = Prepared(paths.prepared(declared.dataset))
        batches = Batches(data, train.batch_size, train.seed, train.instance_noise, device)
        facts = fingerprint.facts(
            asdict(declared) | {"threads": params.threads},
            data.index["sha256"],
            device,
            (declared.variant, declared.network.family),
        )
        state = State(paths.STATE / name, fingerprint.key(facts))
        fingerprint.announce(state.folder, facts)
        torch.manual_seed(fold(train.seed, "weights"))
        network = declared.network
        game = assemble(
            declared.variant,
            Body(network.family, network.width, network.latent, data.shape, data.classes),
            declared.settings,
        )
        plan = Plan(name, train.steps, train.seed, train.log_every, train.checkpoint_every)
        try:
            run = play(start(game, train.ema_decay, device), batches.at, plan, state, stop)
        except Stopped as stopped:
            print(f"{name}: {stopped}; the same command goes on from there", file=sys.stderr)
            raise SystemExit(stop.exit_code) from None
        notes = {"run": name, "variant": declared.variant, "steps": train.steps, "ema_decay": train.ema_decay}
        for role, average in run.averages.items():
            recipe = game.exports()[role].recipe
            recalibrate(average.network, recipe.inputs, train.seed, train.batch_size)
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
