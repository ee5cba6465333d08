"""The diagnosis: what it says of runs that fail in a known way, and that it says nothing of healthy ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from claims.play import DIGITS, NOISE, batches, classifier, finish, game_of, labels, play, prepared, shipped
from claims.table import Claim, Figures, each
from gan_core.config import schema
from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.batches import Batches
from gan_core.metrics.batching import in_batches
from gan_core.metrics.features import of_network
from gan_core.metrics.measure import Reference, measure
from gan_core.metrics.online import OnlineMeasure
from gan_core.metrics.verdicts import verdicts
from gan_core.runtime.errors import NumericsError
from gan_core.runtime.seeds import fold
from gan_core.training.checkpoint import State
from gan_core.training.loop import start, train
from gan_core.training.monitor import DomainReference, Monitor
from gan_core.training.run import Plan

PAPER = "The diagnosis of training, gan_core/training/diagnosis.py"
RING = schema.Ring("ring", 8, 0.05, 20_000, 0, 0.2)
FEW = schema.Digits("digits", 0.955)
"""Eighty digits to train on."""


def monitored(spec: schema.Dataset, steps: int, seed: int, batch: int = 64, noise: float = 0.0, **settings: Any) -> Any:
    """The health of a game ``gan``, from the loop that the pipeline runs and its monitor."""
    data, whole = prepared(spec), prepared(DIGITS if spec == FEW else spec)
    identity = NetworkConfig("classifier.identity", data.shape, 1)
    extractor = classifier(whole) if data.is_image else build_network(identity)
    network = of_network("own" if data.is_image else "coordinates", extractor)
    real = {part: (data.samples(part), {"y": labels(data, part)}) for part in ("train", "heldout")}
    reference = DomainReference(OnlineMeasure(network, data.samples("train")), real["train"], real["heldout"])
    monitor = Monitor(steps // 15, steps, seed, batch, {"x": reference})
    spec_ = NetworkSpec("mlp", 256 if data.is_image else 64, 32, data.shape)
    run = start(game_of("gan", spec_, seed, **settings), Plan("gan", steps, batch, seed, 50, steps, 138.0 * batch))
    with TemporaryDirectory() as folder:
        try:
            train(run, Batches(data, batch, seed, noise).at, State(Path(folder), "w"), callback=monitor)
        except NumericsError:
            return {"events": run.rollbacks, "series": {}}
    return monitor.health(run)


def said(health: Any) -> Figures:
    """How often each failure was named."""
    kinds = [event["kind"] for event in health["events"]]
    named = ("discriminator_overfitting", "js_saturated", "vanishing_gradient", "mode_collapse", "not_a_number")
    return {kind.replace("_", " "): float(kinds.count(kind)) for kind in named}


def healthy(seed: int) -> Figures:
    """The declared game on digits, shorter."""
    return said(monitored(DIGITS, 1500, seed, noise=NOISE, r1=0.1, learning_rate=5e-4))


def solved(seed: int) -> Figures:
    """Eighty samples."""
    return said(monitored(FEW, 1500, seed, batch=32))


def vanished(seed: int) -> Figures:
    """The minimax objective against a fast discriminator."""
    return said(monitored(DIGITS, 600, seed, objective="saturating", learning_rate=2e-3, beta1=0.9))


def collapsed(seed: int) -> Figures:
    """A ring, far too fast."""
    return said(monitored(RING, 1200, seed, learning_rate=1e-2, beta1=0.9))


def measured(seed: int) -> Figures:
    """What the figures say of the declared game's samples: 0 is nothing."""
    data = prepared(DIGITS)
    known = classifier(data)
    reference = Reference.of(of_network("own", known), data, len(data.samples("train")), known)
    game = game_of("gan", NetworkSpec("mlp", 256, 32, data.shape), seed, r1=0.1)
    run = finish(play(game, batches(data, 64, seed), 4000, seed))
    torch.manual_seed(fold(seed, "drawn"))
    fake = in_batches(shipped(run, "generator", seed, 64), Input("z", "normal", 32).sample(len(data.samples("train"))))
    found, floor = measure(reference, fake).figures, reference.floor(len(fake), False).figures
    variance = float(reference.heldout.features.var(0).sum())
    kinds = [v["kind"] for v in verdicts(found, floor, variance)]
    named = ("does_not_resemble_the_data", "covers_little", "copies")
    said_of = {kind.replace("_", " "): float(kinds.count(kind)) for kind in named}
    return said_of | {"FD-own": found["fd"], "recall": found["recall"], "copied": found["copied"]}


def none(seed: int) -> Figures:
    """A rate at which weights overflow."""
    return said(monitored(RING, 600, seed, learning_rate=1e10))


def claim(
    name: str, says: str, protocol: str, bar: str, measure: Any, holds: Any, seeds: int, cost: float, known: str = ""
) -> Claim:
    """A row of this module."""
    seeds_ = tuple(range(seeds))
    return Claim(name, PAPER, says, protocol, bar, measure, each(holds), seeds=seeds_, cost=cost, known=known)


def only(figures: Figures, *names: str) -> bool:
    """Whether these are named, and nothing else is."""
    return all((figures[name] > 0) == (name in names) for name in figures)


CLAIMS = (
    claim(
        "H1", "A healthy run gets no diagnosis", "gan on digits, r1 0.1, 1,500 Adam(5e-4) steps, 15 evaluations",
        "nothing said of any of 10 seeds", healthy, partial(only), 10, 40,
    ),
    claim(
        "H2", "A discriminator that overfits is named", "gan on 80 digits, 1,500 Adam(2e-4) steps",
        "that and nothing else, on every seed", solved, lambda f: only(f, "discriminator overfitting"), 3, 40,
    ),
    claim(
        "H3", "A generator without a gradient, and a JS estimate at log 2, are named",
        "gan on digits, the minimax objective, 600 Adam(2e-3, beta1 0.9) steps",
        "both, and nothing of overfitting or of a weight that is not finite, on every seed", vanished,
        lambda f: only(f | {"mode collapse": 0}, "js saturated", "vanishing gradient"), 3, 30,
        "on one seed of three the gradient is gone at the first evaluation, 2e-4 where others begin at 0.08, so it is "
        "not seen to fall; the saturated estimate names that run all the same",
    ),
    claim(
        "H4", "A collapse is named", "gan on the ring, 1,200 Adam(1e-2, beta1 0.9) steps", "that, on every seed",
        collapsed, lambda f: f["mode collapse"] and not f["discriminator overfitting"] and not f["not a number"], 3, 15,
    ),
    claim(
        "H5", "A run whose weights are not finite is rolled back and slowed down, three times, and is then refused",
        "gan on the ring, Adam(1e10)", "named three times, and nothing else", none,
        lambda f: only(f, "not a number") and f["not a number"] == 3, 1, 10,
    ),
    claim(
        "H6", "The figures accuse no healthy generator",
        "gan on digits as params.yaml declares it, 4,000 steps, 1,438 samples against 359 held-out digits",
        "no verdict on any of 10 seeds", measured,
        lambda f: not any(f[k] for k in ("does not resemble the data", "covers little", "copies")), 10, 45,
    ),
)  # fmt: skip
