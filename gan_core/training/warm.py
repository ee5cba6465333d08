"""Warm starts: a run's networks begin with weights of an earlier run's, where layers do the same work.

Frozen layers are FreezeD (Mo et al. 2020): low layers of a discriminator that stay as they came over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_core.core import artifact, lineage
from gan_core.core.artifact import Artifact
from gan_core.core.game import Game, modules, optimizers, trainable
from gan_core.core.inputs import Input
from gan_core.networks.layers.augmented import plain
from gan_core.runtime import files
from gan_core.runtime.errors import InputError, did_you_mean
from gan_core.training import change
from gan_core.training.change import Affine, Side
from gan_core.training.layers import WITHIN, Layer, layers, pairs, reads
from gan_core.training.run import Run

AVERAGES = "averages"
"""The folder of averaged networks, by role, below that of the trained ones."""
WEIGHTS = ("weight", "parametrizations.weight.original")
"""What a layer's weights are called, plain and under spectral normalisation."""


@dataclass(frozen=True)
class Parent:
    """The networks of an earlier run, by field of its game, and the averages of those that were averaged."""

    path: str
    networks: Mapping[str, Artifact]
    averages: Mapping[str, Artifact]

    @staticmethod
    def read(folder: Path) -> Parent:
        """From a folder of artefacts, verified.

        Raises:
            DataError: it holds none, or one of them cannot be read.
        """
        averages = folder / AVERAGES
        return Parent(
            str(folder), artifact.load_roles(folder), artifact.load_roles(averages) if averages.is_dir() else {}
        )

    @property
    def sha256(self) -> str:
        """Of all its files."""
        found = {
            f"{kind}/{name}": a.sha256 for kind in ("networks", AVERAGES) for name, a in getattr(self, kind).items()
        }
        return files.digest(json.dumps(found, sort_keys=True).encode())

    @property
    def notes(self) -> Mapping[str, Any]:
        """What is said of its run."""
        return next(iter(self.networks.values())).notes

    @property
    def ancestors(self) -> list[dict[str, str]]:
        """Itself, its parent, and so on."""
        mine = {"run": str(self.notes["run"]), "sha256": self.sha256, "data": str(self.notes["data"])}
        return [mine, *self.notes.get(lineage.NOTE, {}).get("ancestors", ())]

    def side(self, of: Artifact) -> Side:
        """One of its networks, as ``change`` asks for it."""
        shape = of.notes.get("shape", of.config.shape)
        return Side(of.config, shape[0], json.loads(of.notes.get("class_names", "[]")))


def save_players(folder: Path, run: Run, notes: Mapping[str, Any]) -> None:
    """All trained networks as they are now, and their averages: float32 weights, no optimizer states."""
    for name, network in run.modules.trained.items():
        artifact.save(folder / f"{name}.safetensors", plain(network), network.config, notes)  # type: ignore[arg-type]
    for role, average in run.averages.items():
        artifact.save(folder / AVERAGES / f"{role}.safetensors", average.network, run.exports[role].config, notes)


@dataclass(frozen=True)
class Transfer:
    """What came over into one network: weights, of how many; which tensors were changed, which stayed as drawn."""

    weights: int
    of: int
    changed: Sequence[str]
    fresh: Sequence[str]


@torch.no_grad()
def transfer(old: nn.Module, new: nn.Module, sides: tuple[Side, Side]) -> Transfer:
    """Bring over what layers of ``new`` share with layers of ``old``: tensors of the same name and shape.

    First layers that read other inputs, and last ones that draw other channels, are changed (``change``). ``new`` is
    written into; the rest of it stays.
    """
    before, after = by_owner(old.state_dict()), new.state_dict()
    found = layers(new, sides[1].config)
    alike = {owner: owner for owner in by_owner(after) if owner not in {layer.name for layer in found}}
    given = {joined(owner, k): v for owner in alike.keys() & before.keys() for k, v in before[owner].items()}
    changed: set[str] = set()
    for its, mine in pairs(layers(old, sides[0].config), found):
        made = adapted(before.get(its.name, {}), its, mine, sides)
        given |= {joined(mine.name, key): value for key, value in made.items()}
        changed |= {joined(mine.name, key) for key, value in made.items() if value is not before[its.name][key]}
    fits = [key for key, value in after.items() if key in given and given[key].shape == value.shape]
    for key in fits:
        after[key].copy_(given[key])
    sizes = {name: weight.numel() for name, weight in new.named_parameters()}
    return Transfer(
        sum(size for name, size in sizes.items() if name in fits),
        sum(sizes.values()),
        [key for key in fits if key in changed],
        [key for key in after if key not in fits],
    )


def by_owner(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of each module, by the name of the module and the rest of theirs."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        owner = key.partition(WITHIN)[0] if WITHIN in key else key.rpartition(".")[0]
        found.setdefault(owner, {})[key.removeprefix(f"{owner}.")] = value
    return found


def joined(owner: str, key: str) -> str:
    """The name of a tensor of a module."""
    return f"{owner}.{key}" if owner else key


def adapted(tensors: Mapping[str, Tensor], its: Layer, mine: Layer, sides: tuple[Side, Side]) -> dict[str, Tensor]:
    """The tensors of a layer as the new network needs them; without those that would mean something else."""
    weight = next((key for key in WEIGHTS if key in tensors), None)
    found = dict(tensors)
    if weight is None or its.kind.endswith("Transpose2d"):
        return found
    if mine.first:
        found = reading(found, weight, read_by(its, mine, sides))
    if mine.last and sides[1].config.draws:
        found = drawing(found, weight, drawn_by(mine, sides))
    return found


def read_by(its: Layer, mine: Layer, sides: tuple[Side, Side]) -> Affine | None:
    """What two first layers read: one whole number, the inputs side by side, or the conditions to project on.

    None: what the old one reads cannot be had. What is none of these (features of a frozen network) is the same.
    """
    old, new = (side.config for side in sides)
    if its.whole and mine.whole:
        found = change.numbers(its.whole, mine.whole, (sides[0].classes, sides[1].classes))
        return found and (found[0], 0 * found[1])  # rows of 0 and 1, whatever stands for zeros elsewhere
    for a, b in ((reads(old), reads(new)), (old.projected, new.projected)):
        columns = change.offsets(a, its.maps)[-1], change.offsets(b, mine.maps)[-1]
        if columns == (its.columns, mine.columns):
            return change.of_inputs(a, b, sides, mine.maps)
    return change.eye(its.columns), torch.zeros(its.columns, dtype=torch.float64)


def drawn_by(mine: Layer, sides: tuple[Side, Side]) -> Affine | None:
    """What the new network draws, made of what the old one drew."""
    old, new = (Input("x", "x", c.size, c.shape if c.is_image else ()) for c in (sides[0].config, sides[1].config))
    return change.of_input(new, old, sides[::-1], mine.maps)


def reading(tensors: dict[str, Tensor], weight: str, affine: Affine | None) -> dict[str, Tensor]:
    """A layer that reads x_new where it read x_old = A x_new + b."""
    if affine is None:
        return {key: value for key, value in tensors.items() if key != weight}
    (a, b), w = affine, tensors[weight].double()
    made = dict(tensors)
    if not is_identity(a):
        made[weight] = torch.einsum("op...,pc->oc...", w, a).float()
    if b.any() and "bias" in made and weight == "weight":  # elsewhere the scale is another
        made["bias"] = (made["bias"] + w.flatten(2).sum(2) @ b if w.dim() > 2 else made["bias"] + w @ b).float()
    return made


def drawing(tensors: dict[str, Tensor], weight: str, affine: Affine | None) -> dict[str, Tensor]:
    """A layer that gives x_new = A x_old + b; a constant, which is alpha's, is drawn as nearly that."""
    if affine is None:
        return {key: value for key, value in tensors.items() if key not in (weight, "bias")}
    a, b = affine
    if is_identity(a):
        return tensors
    made = tensors | {weight: torch.einsum("no,o...->n...", a, tensors[weight].double()).float()}
    if "bias" in made:
        made["bias"] = (a @ tensors["bias"].double() + change.OPAQUE * b).float()
    return made


def is_identity(a: Tensor) -> bool:
    """Whether a matrix changes nothing."""
    return a.shape[0] == a.shape[1] and torch.equal(a, change.eye(len(a)))


def inherit(run: Run, parent: Parent, parts: Sequence[str], channels: int, classes: Sequence[str]) -> dict[str, Any]:
    """Bring an earlier run's networks over into those of a run at step 0, and its averages into the averages.

    ``parts``: fields of the game, () for all that both have; ``channels``, ``classes``: of the run's data. An average
    that came over whole is no average of first steps, and is not forgotten as those are (``ema.decay``).
    Returns the lineage (``core.lineage``).

    Raises:
        InputError: a part is not there, is of another family, or nothing of it fits; what is frozen did not come over.
    """
    done: dict[str, Transfer] = {}
    left: dict[str, str] = {}
    for name, network in ((n, plain(m)) for n, m in run.modules.trained.items()):
        if why := unfit(name, network, parent, parts):
            left[name] = why
            continue
        old = parent.networks[name]
        config: Any = network.config
        side = Side(config, channels, classes)
        done[name] = transfer(old.network, network, (parent.side(old), side))
        if name in run.averages:
            old = parent.averages.get(name, old)
            average = transfer(old.network, run.averages[name].network, (parent.side(old), side))
            run.warm |= {name} if average.weights == average.of else set()
    asked = {part: left.get(part, "this run has no such network") for part in parts if part not in done}
    empty = {name: "no layer fits" for name, found in done.items() if not found.weights}
    if asked or not done.keys() - empty.keys():
        why = "; ".join(f"{name}: {said}" for name, said in (asked or left | empty).items())
        raise InputError(f"{run.plan.name}: init.path {parent.path} cannot be started from: {why}")
    check_frozen(run, done)
    return {
        "path": parent.path,
        "ancestors": parent.ancestors,
        "parts": {name: asdict(found) for name, found in done.items()},
        "left": left,
    }


def unfit(name: str, network: Any, parent: Parent, parts: Sequence[str]) -> str:
    """Why a network does not come over; nothing where it does."""
    if parts and name not in parts:
        return "init.parts does not name it"
    if name not in parent.networks:
        return f"there is none, only {', '.join(parent.networks)}"
    its = parent.networks[name].config.network
    return "" if its == network.config.network else f"it is {its} there and {network.config.network} here"


def check_freeze(name: str, game: Game, freeze: Mapping[str, Sequence[str]]) -> None:
    """Whether there is what is to be frozen, and something left to train.

    Raises:
        InputError: there is not.
    """
    trained, specs = modules(game).trained, optimizers(game)
    for player, parts in freeze.items():
        where = f"{name}: init.freeze"
        if player not in trained:
            raise InputError(f"{where} names '{player}', and the networks are {', '.join(trained)}")
        known = [n for n, m in trained[player].named_modules() if n and any(True for _ in m.parameters())]
        for part in parts:
            if part not in known:
                there = ", ".join(n for n in known if WITHIN not in n)
                raise InputError(
                    f"{where}.{player}: there are no weights '{part}', only {there}{did_you_mean(part, known)}"
                )
        if not trainable(trained[player], replace(specs[player], freeze=(*specs[player].freeze, *parts))):
            raise InputError(f"{where}.{player} leaves nothing of it to train; name fewer layers")


def check_frozen(run: Run, done: Mapping[str, Transfer]) -> None:
    """Whether all came over that is to stay as it is.

    Raises:
        InputError: a layer would stay as it was drawn at random.
    """
    for player, parts in run.freeze.items():
        weights = dict(run.modules.trained[player].named_parameters())
        fresh = weights.keys() & set(done[player].fresh if player in done else weights)
        for part in parts:
            if lost := sorted(key for key in fresh if key.startswith(f"{part}.")):
                raise InputError(
                    f"{run.plan.name}: init.freeze.{player} names '{part}', whose {lost[0]} does not come over: it "
                    "would stay as it was drawn at random; take it out"
                )
