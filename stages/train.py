"""train: a declared run -> its networks, its tables and its health. Killed, it goes on where it was."""

import json
import shutil
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gan_core.config import papers
from gan_core.config.load import find, load_params
from gan_core.config.schema import Augment, Train
from gan_core.core import artifact
from gan_core.core.build_game import Wrap, build_game
from gan_core.core.feature_names import feature_name
from gan_core.core.game import depends_on_length, modules
from gan_core.core.lineage import NOTE, sentences
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.samples import Chosen, Samples
from gan_core.core.schedule import Adaptive
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.metrics.batching import fixed_rows
from gan_core.metrics.features import FeatureNetwork, feature_network
from gan_core.metrics.online import OnlineMeasure
from gan_core.networks.layers.augmented import Augmented
from gan_core.runtime import closure, distributed, errors, files, machine
from gan_core.runtime.device import keep_memory, set_up
from gan_core.runtime.process import Stop, exclusive_lock
from gan_core.runtime.seeds import fold
from gan_core.training import fingerprint, warm
from gan_core.training.checkpoint import State
from gan_core.training.diagnosis import AUGMENT, CRITIC
from gan_core.training.ema import recalibrate
from gan_core.training.history import HEALTH_FORMAT, write_table
from gan_core.training.loop import Stopped, start
from gan_core.training.loop import train as train_run
from gan_core.training.monitor import DRAWN, DomainReference, Monitor
from gan_core.training.run import ExecutionConfig, Plan, Run
from gan_core.training.snapshots import write_snapshots
from stages import paths


def main(name: str) -> None:
    params, stop = load_params(), Stop()
    declared = find(params.runs, name, "run")
    train, network = declared.train, declared.network
    device = set_up(params.threads, train.device)
    keep_memory()
    distributed.init_distributed(train.shards, device, "stages.train", name)
    first = distributed.rank() == 0
    with exclusive_lock(paths.STATE / name) if first else nullcontext():
        data, extractor = Prepared(paths.prepared(declared.dataset)), artifact.load(paths.extractor(declared.dataset))
        looked_at = feature_name(params.evaluate.features, data.shape)
        strength = declared.augment.p if declared.augment else None
        aside = (isinstance(strength, Adaptive) and strength.aside) or 0.0
        how = train.instance_noise, device, train.channels_last, train.balanced, aside
        batches = Batches(data, train.batch_size, train.seed, *how)
        torch.manual_seed(fold(train.seed, "weights"))
        wanted = network.family, network.width, network.latent
        spec = NetworkSpec(*wanted, data.shape, data.classes, network.options, data.bits, data.scale)
        game = build_game(declared.variant, spec, declared.settings, shown(declared.augment, data.shape[0]))
        parent = warm.Parent.read(Path(declared.init.path)) if declared.init else None
        freeze = (declared.init and declared.init.freeze) or {}
        warm.check_freeze(name, game, freeze)
        others = {"threads": params.threads, "extractor": extractor.sha256, "features": looked_at, "flip": data.flip}
        facts = fingerprint.facts(
            declared.to_json() | others | ({"parent": parent.sha256} if parent else {}),
            data.index["sha256"],
            device,
            closure.run_files("train", declared.variant, network.family),
            modules(game).frozen,
            depends_on_length(game, train.ema_half_life, strength),
        )
        state = State(paths.STATE / name, fingerprint.key(facts))
        if first:
            fingerprint.announce(state.folder, facts)
        how_often = train.log_every, train.checkpoint_every
        plan = Plan(name, train.steps, train.batch_size, train.seed, *how_often, train.ema_half_life, strength)
        execution = ExecutionConfig(train.channels_last, train.precision, train.shards, train.cuda_graph)
        features = feature_network(looked_at, extractor, params.evaluate.inception, device, paths.FEATURES)
        references = {space: reference(data, features, space) for space in data.compared}
        has = advisable(declared.variant) | ({AUGMENT} if data.is_image and data.scale == 1 else set())
        monitor = Monitor(train.evaluate_every, train.steps, train.seed, train.batch_size, references, has)
        begun, class_names = start(game, plan, device, execution, freeze), data.index.get("class_names") or []
        lineage = {}
        if parent and declared.init:
            found = warm.inherit(begun, parent, declared.init.parts or (), data.shape[0], class_names)
            lineage = {NOTE: found}
            if first:
                print("\n".join(f"{name}: {line}" for line in sentences(found)), file=sys.stderr)
        begun.aside_at = batches.aside if aside else None
        if first and (why := machine.waits(params.threads, machine.running())):
            print(f"{name}: {why}", file=sys.stderr)
        try:
            run = train_run(begun, batches.at, state, stop, monitor)
        except Stopped as stopped:
            print(f"{name}: {stopped}; the same command goes on from there", file=sys.stderr)
            raise SystemExit(stop.exit_code) from None
        if not first:
            return
        notes: dict[str, Any] = {
            "run": name,
            "variant": declared.variant,
            "steps": train.steps,
            "ema": str(train.ema_half_life),
        }
        named = {"class_names": json.dumps(class_names)} if class_names else {}
        notes |= {"data": data.index["sha256"], **named, **lineage}
        with files.replacing(paths.players(name)) as folder:
            warm.save_players(folder, run, notes | {"step": run.step, "shape": list(data.shape)})
        keep(name, run, monitor.best.best, train, notes)
        write_snapshots(paths.snapshots(name), monitor.snapshots)
        write_table(paths.report(name) / "loss.csv", run.history)
        write_table(paths.report(name) / "progress.csv", monitor.figures)
        files.write_json(paths.report(name) / "health.json", {"format": HEALTH_FORMAT, **monitor.health(run)})
        state.finish(train.steps)


def advisable(variant: str) -> set[str]:
    """What a diagnosis may advise a run of a paper: its settings, and the paper that makes the same by a critic."""
    return {*papers.settings_of(variant).model_fields, *([CRITIC] if papers.replaceable(variant, CRITIC) else [])}


def shown(augment: Augment | None, channels: int) -> Wrap | None:
    """What takes the place of a discriminator: one that is shown augmented samples, where they are declared."""
    return partial(Augmented, policy=augment.policy, channels=channels) if augment else None


def reference(data: Prepared, network: FeatureNetwork, space: str) -> DomainReference:
    """A domain as the monitor sees it: measured against its training samples."""
    domain = data.spaces[space]
    train = domain.samples("train")
    some = fixed_rows(train, DRAWN, "seen")
    given = {name: Chosen(values, some) for name, values in beside(data, space, "train").items()}
    return DomainReference(
        OnlineMeasure(network, train, str(domain.index["sha256"]), space),
        (Chosen(train, some), given),
        (domain.samples("heldout"), beside(data, space, "heldout")),
    )


def beside(data: Prepared, space: str, part: str) -> dict[str, Samples]:
    """What else a batch has of the samples of a domain: their labels, and of pairs their sources."""
    labels = data.spaces[space].labels(part)
    found: dict[str, Samples] = {} if labels is None else {"y": labels}
    return found | ({"x": data.samples(part)} if data.aligned and space == "x_b" else {})


def keep(name: str, run: Run, best: dict[str, Any], train: Train, notes: dict[str, Any]) -> None:
    """Save what ships, the weights of the best evaluation, and where these are not the last ones, the last ones too."""
    shutil.rmtree(paths.model(name), ignore_errors=True)
    step = int(best["step"]) if best else run.step
    for role, average in run.averages.items():
        config = run.exports[role].config
        if step != run.step:
            save(paths.last(name) / f"{role}.safetensors", average.network, config, train, notes | {"step": run.step})
            average.network.load_state_dict(best["weights"][role])
        save(paths.model(name) / f"{role}.safetensors", average.network, config, train, notes | {"step": step})


def save(path: Path, network: nn.Module, config: NetworkConfig, train: Train, notes: dict[str, Any]) -> None:
    """Measure the network's statistics afresh and write it."""
    recalibrate(network, config.inputs, train.seed, train.batch_size)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    artifact.save(path, network, config, notes)


if __name__ == "__main__":
    errors.run(main, "run")
