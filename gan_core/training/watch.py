"""Who looks on while a run is played: measures what it draws, keeps the best weights, and says what goes wrong."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from gan_core.game import judges, players
from gan_core.seeds import fold
from gan_core.signature import Recipe
from gan_core.training import health
from gan_core.training.ema import recalibrate
from gan_core.training.loop import Row, Run
from gan_core.types import Sample, Samples

DRAWN = 1_024
"""So many samples are drawn at a look, always from the same inputs."""
JUDGED = 500
"""So many of each kind are shown to a judge."""
BATCH = 256
MOMENTS, SHOWN = 8, 1_000
"""How often, and how many, samples are kept to be shown over time."""
Weights = dict[str, dict[str, Tensor]]


class Measure(Protocol):
    """Compares drawn samples with the training data. ``distance`` names the figure that tells good from better."""

    @property
    def distance(self) -> str: ...

    def __call__(self, fake: Sample) -> dict[str, float]: ...


@dataclass(frozen=True)
class Sight:
    """One domain, as a witness sees it: a measure, and real samples with their labels.

    The held-out ones are scored by a judge, to see whether it knows the training samples by heart; no weight and no
    choice of weights depends on them.
    """

    measure: Measure
    train: tuple[Samples, Tensor | None]
    heldout: tuple[Samples, Tensor | None]


@dataclass
class Best:
    """The weights of the best look so far. A look is judged by the median of itself and both its neighbours.

    So one lucky look is not shipped; at the ends, where a neighbour is missing, the worse of the two counts.
    """

    distances: list[float] = field(default_factory=list)
    latest: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)

    def add(self, step: int, distance: float, weights: Weights) -> None:
        """One more look; the one before can be judged now."""
        self.distances.append(distance)
        if self.latest:
            self._judge(sorted(self.distances[-3:])[1])
        self.latest = {"step": step, "weights": weights}

    def finish(self) -> None:
        """There are no more looks: the last is judged too."""
        self._judge(max(self.distances[-2:]))

    def _judge(self, figure: float) -> None:
        if not self.best or figure <= self.best["figure"]:
            self.best = {**self.latest, "figure": figure}


def moments(steps: int) -> list[int]:
    """Steps to show samples of, evenly spaced on a logarithmic axis: the first, the last, and some between."""
    return sorted({round(steps ** (k / (MOMENTS - 1))) for k in range(MOMENTS)})


class Watch:
    """A witness that looks every so many steps at the averaged networks as they would be shipped now."""

    def __init__(self, every: int, steps: int, seed: int, batch_size: int, sights: Mapping[str, Sight]) -> None:
        self.every, self.steps, self.seed, self.sights = every, steps, seed, sights
        self.judged = -(-JUDGED // batch_size) * batch_size
        self.moments = moments(steps)
        self.figures: list[Row] = []
        self.looks: dict[str, list[Row]] = {}
        self.strips: dict[str, Tensor] = {}
        self.best = Best()

    def state(self) -> dict[str, Any]:
        """What was seen so far, and the weights that are kept."""
        return {
            "figures": self.figures,
            "looks": self.looks,
            "strips": self.strips,
            "best": {name: getattr(self.best, name) for name in ("distances", "latest", "best")},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state``."""
        self.figures, self.looks, self.strips = state["figures"], state["looks"], state["strips"]
        self.best = Best(**state["best"])

    def look(self, run: Run) -> None:
        """Nothing at most steps.

        Raises:
            NumericsError: a weight is NaN or infinite.
        """
        due, shown = run.step % self.every == 0 or run.step == self.steps, run.step in self.moments
        if not (due or shown):
            return
        run.check()
        drawing = {role: p.recipe for role, p in run.exports.items() if p.recipe.gives in self.sights}
        drawn = {role: self._draw(run, role, recipe) for role, recipe in drawing.items()}
        if shown:
            self.strips |= {f"{run.step:09d}.{role}": x[:SHOWN].cpu() for role, (x, _) in drawn.items()}
        if due:
            for role, (fake, labels) in drawn.items():
                self.looks.setdefault(role, []).append(self._see(run, role, drawing[role], fake, labels))
            self._note(run)

    def _draw(self, run: Run, role: str, recipe: Recipe) -> tuple[Sample, Tensor | None]:
        """What the role would give if it were shipped now, from pinned inputs, and the labels it was asked for."""
        network = copy.deepcopy(run.averages[role].network)
        device = next(network.parameters()).device
        recalibrate(network, recipe.inputs, self.seed, BATCH, DRAWN // BATCH)
        network.eval()
        real = {space: sight.train[0] for space, sight in self.sights.items()}
        pinned = recipe.pinned(DRAWN, fold(self.seed, "look") % 2**32, real)
        columns = [torch.from_numpy(v).to(device) for v in pinned.values()]
        with torch.no_grad():
            x = torch.cat([network(*(c[k : k + BATCH] for c in columns)) for k in range(0, DRAWN, BATCH)])
        labels = [c for i, c in zip(recipe.inputs, columns, strict=True) if i.prior == "label"]
        return x.contiguous(), labels[0] if labels else None

    def _see(self, run: Run, role: str, recipe: Recipe, fake: Sample, labels: Tensor | None) -> Row:
        """One row of everything that can be seen of a role now."""
        sight, player = self.sights[recipe.gives], players(run.game)
        found: Row = {"step": run.step, **sight.measure(fake)}
        found["distance"] = found[sight.measure.distance]
        gradients = [p.grad for p in run.exports[role].parameters() if p.grad is not None]
        if gradients:
            found["gradient"] = float(torch.stack([g.float().norm() for g in gradients]).norm())
        if judge := judges(run.game).get(role):
            torch.manual_seed(fold(self.seed, "look", run.step))
            for network in player.values():
                network.eval()

            @torch.no_grad()
            def scores(x: Samples, y: Tensor | None) -> Tensor:
                rows = torch.arange(self.judged) % len(x)  # a whole number of batches, as judges of packs need
                v = judge(x[rows].to(fake.device), y[rows].to(fake.device) if y is not None else None)
                return v.reshape(len(v), -1).mean(1)

            train, heldout, drawn = scores(*sight.train), scores(*sight.heldout), scores(fake, labels)
            for network in player.values():
                network.train()
            found["train_over_heldout"] = health.ranked_above(train, heldout)
            found["real_over_drawn"] = health.ranked_above(train, drawn)
            found["js"] = health.jensen_shannon(train, drawn)
        return found

    def _note(self, run: Run) -> None:
        """Keep the figures and maybe the weights, and say what is new."""
        last = {role: looks[-1] for role, looks in self.looks.items()}
        if not last:
            return
        several = len(last) > 1
        row: Row = {"step": run.step}
        for role, look in last.items():
            name = self.sights[run.exports[role].recipe.gives].measure.distance
            row |= {f"{role} {n}" if several else n: look[n] for n in (name, "fid", "coverage")}
        self.figures.append(row)
        mean = sum(look["distance"] for look in last.values()) / len(last)
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
        several = len(self.looks) > 1
        return [e for role, looks in self.looks.items() for e in health.events(looks, role if several else "")]

    def health(self, run: Run) -> dict[str, Any]:
        """Everything that was noticed, in order, and what it was noticed by, as series over the steps."""
        several = len(self.looks) > 1
        series = {
            f"{role} {name}" if several else name: [[int(x["step"]), x[name]] for x in looks if name in x]
            for role, looks in self.looks.items()
            for name in dict.fromkeys(n for x in looks for n in x if n not in ("step", "distance"))
        }
        return {"events": sorted([*run.setbacks, *self._events()], key=lambda e: e["step"]), "series": series}
