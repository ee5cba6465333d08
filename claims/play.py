"""What the protocols share: data, games played without files, and a few numbers about the outcome."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gan_core import config
from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared, prepare
from gan_core.datasets.sources import read
from gan_core.metrics.modes import mode_coverage
from gan_core.networks.build import build
from gan_core.seeds import fold
from gan_core.signature import Body, Input, Recipe
from gan_core.training.ema import recalibrate
from gan_core.training.extractor import train_classifier
from gan_core.training.loop import Run, descend, make_optimizer, play_step, set_rates, start
from gan_core.types import Batch

DIGITS = config.Digits("digits", 0.2)
RING = config.Ring("ring", 8, 0.05, 50_000, 0, 0.2)
GRID = config.Grid("grid", 5, 0.1, 50_000, 0, 0.2)
NOISE = 0.05
"""Added to real digits, so that no discriminator can tell them by their 17 grey levels."""


def prepared(spec: config.Dataset) -> Prepared:
    """A declared data set, prepared and read as the pipeline does."""
    with TemporaryDirectory() as folder:
        prepare(read(spec), spec, Path(folder))
        return Prepared(Path(folder)).read()


def batches(data: Prepared, size: int, seed: int, noise: float = NOISE) -> Callable[[int], Batch]:
    """The batches of a run; images get instance noise."""
    return Batches(data, size, seed, noise if data.is_image else 0.0).at


def game_of(variant: str, body: Body, seed: int, **settings: Any) -> Any:
    """A game with the weights of a seed."""
    torch.manual_seed(fold(seed, "weights"))
    return assemble(variant, body, settings)


def play(game: Any, batch_at: Callable[[int], Batch], steps: int, seed: int, ema: float = 0.995) -> Iterator[Run]:
    """Play a game; its run after each step. Its averages are kept as the pipeline keeps them."""
    run = start(game, ema)
    while run.step < steps:
        set_rates(run, run.step / steps)
        play_step(run, batch_at, seed)
        for role, average in run.averages.items():
            average.update(game.exports()[role], run.step)
        run.step += 1
        yield run
    run.check()


def finish(runs: Iterator[Run]) -> Run:
    """The last of them."""
    *_, last = runs
    return last


def shipped(run: Run, role: str, seed: int, size: int) -> nn.Module:
    """A role's averaged network as the pipeline ships it: statistics measured afresh, in evaluation mode."""
    network = run.averages[role].network
    recalibrate(network, run.game.exports()[role].recipe.inputs, seed, size)
    return network.eval()


def classifier(data: Prepared, outputs: int = 10) -> nn.Module:
    """The library's classifier, trained on all domains of a data set."""
    torch.manual_seed(fold(0, "classifier"))
    network = build(Recipe("classifier.conv", data.shape, 16, outputs=outputs))
    return train_classifier(network, batches(data.united, 64, 0), 800, 0)


def train_judge(game: Any, batch_at: Callable[[int], Batch], steps: int, seed: int) -> Iterator[int]:
    """Play only the first update, the discriminator's or critic's, against a generator that stands still."""
    game.generator.requires_grad_(False)
    update = game.updates()[0]
    optimizer = make_optimizer(update)
    for step in range(steps):
        torch.manual_seed(fold(seed, "judge", step))
        descend(update, optimizer, batch_at(step))
        yield step + 1


def generator_gradient(game: Any, batch: Batch) -> list[Tensor]:
    """What the generator's update would descend."""
    weights = list(game.generator.requires_grad_().parameters())
    (loss,) = game.updates()[1].loss(batch).values()
    return list(torch.autograd.grad(loss, weights))


def gradient_norm(game: Any, batch: Batch, seed: int = 0) -> float:
    """The norm of the gradient that the generator's update gives its weights."""
    torch.manual_seed(fold(seed, "gradient"))
    found = generator_gradient(game, batch)
    return float(torch.cat([g.flatten() for g in found]).norm())


class Line(nn.Module):
    """Example 1 of Arjovsky et al. 2017 as a generator: uniform z to the segment {theta} x [0, 1]."""

    z = Input("z", "uniform", 1)

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.recipe = Recipe("line", (2,), 1, (self.z,))
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z: Tensor) -> Tensor:
        """(N, 1) to (N, 2)."""
        return torch.cat([self.theta.expand(len(z), 1), (z + 1) / 2], 1)


class Pool(nn.Module):
    """Data as a generator: any z to rows of a fixed set, drawn anew at each call."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, z: Tensor) -> Tensor:
        """(N, anything) to (N, D)."""
        return draw(self.rows, len(z))


def draw(rows: Tensor, n: int) -> Tensor:
    """Rows of a set, drawn with replacement."""
    return rows[torch.randint(len(rows), (n,))]


class Layers(nn.Module):
    """A judge with the layers a protocol prescribes, where the library's three hidden ones are not its."""

    def __init__(self, *sizes: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.recipe = Recipe("layers", sizes[:1], sizes[1])
        layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), activation())]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) to (N,)."""
        v: Tensor = self.body(x).squeeze(1)
        return v


def segment(n: int) -> Batch:
    """The real segment {0} x U[0, 1]."""
    return Batch(torch.stack([torch.zeros(n), torch.rand(n)], 1))


def slope(game: Any) -> float:
    """dL_G/dtheta, where the generator is a Line."""
    (gradient,) = generator_gradient(game, segment(8192))
    return float(gradient)


@torch.no_grad()
def scores(judge: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """V of real samples and of fakes, as float64."""
    return judge(real).double(), judge(fake).double()


@torch.no_grad()
def coverage(generator: Any, data: Prepared, seed: int) -> dict[str, float]:
    """What 2,500 samples cover of a mixture in the plane."""
    torch.manual_seed(fold(seed, "coverage"))
    z = generator.recipe.inputs[0].sample(2500)
    truth = data.index["mixture"]
    found = mode_coverage(generator(z).double().numpy(), np.array(truth["centres"]), truth["std"])
    return {name: float(found[name]) for name in ("modes", "modes_strong", "high_quality", "reverse_kl")}


def pearson(a: Sequence[float], b: Sequence[float]) -> float:
    """The correlation of two columns."""
    return float(torch.corrcoef(torch.tensor([list(a), list(b)], dtype=torch.float64))[0, 1])


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """The correlation of their ranks (no ties expected)."""
    ranks = [torch.tensor(list(x), dtype=torch.float64).argsort().argsort().tolist() for x in (a, b)]
    return pearson(*ranks)


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 256) -> float:
    """The mean Wasserstein-1 distance of as many samples projected on the same random directions."""
    source = torch.Generator().manual_seed(0)
    lines = torch.randn(a.flatten(1).shape[1], directions, generator=source)
    lines /= lines.norm(dim=0)
    near, far = ((x.flatten(1) @ lines).sort(0).values for x in (a, b))
    return float((near - far).abs().mean())
