"""Measures what a run draws while it is trained, keeps the best weights, and says what goes wrong."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from gan_core.core.feature_names import in_features
from gan_core.core.game import scorers
from gan_core.core.inputs import LATENT
from gan_core.core.network_config import NetworkConfig
from gan_core.core.pixels import to_uint8
from gan_core.core.samples import Samples, shrunk
from gan_core.core.types import Batch
from gan_core.metrics.batching import BATCH, rows_at_once
from gan_core.metrics.drawn import Drawn
from gan_core.runtime.seeds import fold
from gan_core.training import diagnosis
from gan_core.training.ema import recalibrate
from gan_core.training.run import Row, Run

DRAWN = 1_024
"""So many samples are drawn at an evaluation, always from the same inputs."""
SCORED = 500
"""So many of each kind are shown to a discriminator."""
APART, SHOWN, SIDE, POINTS = 3, 16, 64, 1_000
"""How far apart samples are kept to be shown over time; how many images, no larger than this; how many points."""
Weights: TypeAlias = dict[str, dict[str, Tensor]]


class Measure(Protocol):
    """Compares generated samples with the training data, in some features.

    ``distance`` names the figure that tells good from better.
    """

    @property
    def features(self) -> str: ...

    @property
    def distance(self) -> str: ...

    def __call__(self, fake: Samples) -> dict[str, float]: ...


@dataclass(frozen=True)
class DomainReference:
    """What samples of a domain are compared with: a measure, and real samples with what they are conditioned on.

    The held-out ones are scored by the discriminator, to see whether it overfits; no weight and no choice of weights
    depends on them.
    """

    measure: Measure
    train: tuple[Samples, Mapping[str, Samples]]
    heldout: tuple[Samples, Mapping[str, Samples]]


@dataclass
class Best:
    """The weights of the best evaluation so far: the one with the smallest median of itself and both its neighbours.

    So one lucky evaluation is not shipped; at the ends, where a neighbour is missing, the worse of the two counts.
    """

    distances: list[float] = field(default_factory=list)
    latest: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)

    def add(self, step: int, distance: float, weights: Weights) -> None:
        """One more evaluation; the one before can be rated now."""
        self.distances.append(distance)
        if self.latest:
            self._rate(sorted(self.distances[-3:])[1])
        self.latest = {"step": step, "weights": weights}

    def finish(self) -> None:
        """There are no more evaluations: the last is rated too."""
        self._rate(max(self.distances[-2:]))

    def _rate(self, figure: float) -> None:
        if not self.best or figure <= self.best["figure"]:
            self.best = {**self.latest, "figure": figure}


def snapshot_steps(steps: int) -> list[int]:
    """Steps to show samples of: the first, each three times as late as the one before, and the last.

    Those before the last do not depend on how long the run is.
    """
    found = [1]
    while found[-1] * APART < steps:
        found.append(found[-1] * APART)
    return sorted({*found, steps})


def shown_of(x: Samples) -> Tensor:
    """What is kept of drawn samples: a few images, small and in 8 bits (N, H, W, C), or points (N, D)."""
    if len(x.shape) < 4:
        return x[:POINTS].cpu()
    return torch.from_numpy(to_uint8(shrunk(x[:SHOWN], SIDE).cpu().numpy())).contiguous()


class Monitor:
    """A callback that evaluates every so many steps the averaged networks as they would be shipped now."""

    def __init__(
        self,
        every: int,
        steps: int,
        seed: int,
        batch_size: int,
        references: Mapping[str, DomainReference],
        advised: Container[str] | None = None,
    ) -> None:
        """``advised``: settings that may be advised (``has`` of ``diagnosis.events``)."""
        self.every, self.steps, self.seed, self.references = every, steps, seed, references
        self.advised = advised
        self.batch_size, self.scored = batch_size, -(-SCORED // batch_size) * batch_size
        self.snapshot_steps = snapshot_steps(steps)
        self.figures: list[Row] = []
        self.evaluations: dict[str, list[Row]] = {}
        self.snapshots: dict[str, Tensor] = {}
        self.best = Best()

    def state(self) -> dict[str, Any]:
        """The evaluations so far, and the weights that are kept."""
        return {
            "figures": self.figures,
            "evaluations": self.evaluations,
            "snapshots": self.snapshots,
            "best": {name: getattr(self.best, name) for name in ("distances", "latest", "best")},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        self.figures, self.evaluations, self.snapshots = state["figures"], state["evaluations"], state["snapshots"]
        self.best = Best(**state["best"])

    def on_step_end(self, run: Run) -> None:
        """Nothing at most steps.

        Raises:
            NumericsError: a weight is NaN or infinite.
        """
        due, shown = run.step % self.every == 0 or run.step == self.steps, run.step in self.snapshot_steps
        if not (due or shown):
            return
        run.check()
        drawing = {role: p.config for role, p in run.exports.items() if p.config.output_space in self.references}
        drawn = {role: self._draw(run, role, config) for role, config in drawing.items()}
        if shown:
            self.snapshots |= {f"{run.step:09d}.{role}": shown_of(x) for role, (x, _) in drawn.items()}
        if due:
            for role, (fake, given) in drawn.items():
                self.evaluations.setdefault(role, []).append(self._evaluate(run, role, drawing[role], fake, given))
            self._keep(run)

    def _draw(self, run: Run, role: str, config: NetworkConfig) -> tuple[Samples, dict[str, Samples]]:
        """What the role would give if it were shipped now, from fixed inputs, and those that are fields of a batch.

        Latents are those of training samples, so what a decoder gives are reconstructions.
        """
        real = {space: reference.train[0] for space, reference in self.references.items()}
        if any(i.prior == LATENT for i in config.inputs):
            encoder = next(role for role, player in run.exports.items() if player.config.output_space == "latent")
            latents = run.exports[encoder].config
            real[LATENT] = Drawn(self._averaged(run, encoder, latents), [real["x"]], latents.shape)
        columns = config.fixed_columns(DRAWN, fold(self.seed, "fixed inputs") % 2**32, real)
        given = {i.field: columns[i.name] for i in config.inputs if i.field}
        return Drawn(self._averaged(run, role, config), list(columns.values()), config.shape), given

    def _averaged(self, run: Run, role: str, config: NetworkConfig) -> Callable[..., Tensor]:
        """The role as it would be shipped now."""
        network = copy.deepcopy(run.averages[role].network)
        device = next(network.parameters()).device
        small = rows_at_once(config.shape) == BATCH  # else the run's own batches, which are known to fit
        size = BATCH if small else self.batch_size
        recalibrate(network, config.inputs, self.seed, size, -(-DRAWN // size))
        network.eval()

        def draw(*rows: Tensor) -> Tensor:
            x: Tensor = network(*(r.to(device) for r in rows))
            return x.contiguous()

        return draw

    def _evaluate(self, run: Run, role: str, config: NetworkConfig, fake: Samples, given: Mapping[str, Samples]) -> Row:
        """One row of everything that can be measured of a role now."""
        space = config.output_space
        reference, networks = self.references[space], run.modules.saved
        found: Row = {"step": run.step, **reference.measure(fake)}
        found["distance"] = found[reference.measure.distance]
        gradients = [p.grad for p in run.exports[role].parameters() if p.grad is not None]
        regularised = any(role in u.players and u.every > 1 and not (run.step - 1) % u.every for u in run.updates)
        if gradients and not regularised:  # else they are of the regulariser
            found["gradient"] = float(torch.stack([g.float().norm() for g in gradients]).norm())
        if scorer := scorers(run.game).get(role):
            torch.manual_seed(fold(self.seed, "evaluation", run.step))
            device = next(run.averages[role].network.parameters()).device
            for network in networks.values():
                network.eval()

            @torch.no_grad()
            def scores(x: Samples, fields: Mapping[str, Samples]) -> Tensor:
                found = []
                for rows in torch.split(torch.arange(self.scored) % len(x), self.batch_size):
                    some, given = x[rows].to(device), {name: value[rows].to(device) for name, value in fields.items()}
                    v = scorer(some, Batch(**{"x": some, **given}))
                    found.append(v.reshape(len(v), -1).mean(1))
                return torch.cat(found)

            train, heldout = scores(*reference.train), scores(*reference.heldout)
            drawn = scores(fake, given)
            for network in networks.values():
                network.train()
            found["train_over_heldout"] = diagnosis.ranked_above(train, heldout)
            found["real_over_fake"] = diagnosis.ranked_above(train, drawn)
            found["js"] = diagnosis.jensen_shannon(train, drawn)
        return found

    def _keep(self, run: Run) -> None:
        """Keep the figures and maybe the weights, and say what is new."""
        last = {role: evaluations[-1] for role, evaluations in self.evaluations.items()}
        if not last:
            return
        several = len(last) > 1
        row: Row = {"step": run.step}
        for role, found in last.items():
            measure = self.references[run.exports[role].config.output_space].measure
            for n in (measure.distance, "fd", "coverage"):
                shown = in_features(n, measure.features)
                row[f"{role} {shown}" if several else shown] = found[n]
        self.figures.append(row)
        mean = sum(found["distance"] for found in last.values()) / len(last)
        weights = {
            role: {name: value.detach().cpu().clone() for name, value in average.network.state_dict().items()}
            for role, average in run.averages.items()
        }
        self.best.add(run.step, mean, weights)
        if run.step == self.steps:
            self.best.finish()
        for event in self._events():
            if event["step"] == run.step:
                print(f"step {run.step}: {event['says']}", file=sys.stderr, flush=True)

    def _events(self) -> list[dict[str, Any]]:
        several = len(self.evaluations) > 1
        said = (diagnosis.events(f, role if several else "", self.advised) for role, f in self.evaluations.items())
        return [event for events in said for event in events]

    def health(self, run: Run) -> dict[str, Any]:
        """Everything that was detected, in order, and what it was detected by, as series over the steps."""
        several = len(self.evaluations) > 1
        series = {}
        for role, found in self.evaluations.items():
            features = self.references[run.exports[role].config.output_space].measure.features
            for name in dict.fromkeys(n for x in found for n in x if n not in ("step", "distance")):
                shown = in_features(name, features)
                of_role = f"{role} {shown}" if several else shown
                series[of_role] = [[int(x["step"]), x[name]] for x in found if name in x]
        return {"events": sorted([*run.rollbacks, *self._events()], key=lambda e: e["step"]), "series": series}
