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

from gan_core.config import schema
from gan_core.core.build_game import build_game
from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Moment
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import read
from gan_core.metrics.extractor import train_classifier
from gan_core.metrics.modes import mode_coverage
from gan_core.runtime.seeds import fold
from gan_core.training.ema import recalibrate
from gan_core.training.loop import advance, start
from gan_core.training.run import Plan, Run
from gan_core.training.update import apply_update, set_requires_grad

DIGITS = schema.Digits("digits", 0.2)
RING = schema.Ring("ring", 8, 0.05, 50_000, 0, 0.2)
GRID = schema.Grid("grid", 5, 0.1, 50_000, 0, 0.2)
BATCH = 64
"""Of a run's clock; no claim has a schedule over images."""
LEARNING_RATE = 2e-3
"""Of classifiers."""
NOISE = 0.05
"""Added to real digits, so that no discriminator can tell them by their 17 grey levels."""


def prepared(spec: schema.Dataset) -> Prepared:
    """A declared data set, prepared and read as the pipeline does."""
    with TemporaryDirectory() as folder:
        prepare(read(spec), spec, Path(folder))
        return Prepared(Path(folder)).read()


def labels(data: Prepared, part: str) -> Tensor:
    """The labels of a part."""
    y = data.labels(part)
    assert y is not None
    return y


def batches(data: Prepared, size: int, seed: int, noise: float = NOISE) -> Callable[[int], Batch]:
    """The batches of a run; images get instance noise."""
    return Batches(data, size, seed, noise if data.is_image else 0.0).at


def game_of(variant: str, body: NetworkSpec, seed: int, **settings: Any) -> Any:
    """A game with the weights of a seed."""
    torch.manual_seed(fold(seed, "weights"))
    return build_game(variant, body, settings)


def begin(game: Any, steps: int, seed: int, half_life: float = 138.0) -> Run:
    """A run at step 0, as the pipeline begins one; nothing is saved. ``half_life``: of the average, in steps."""
    return start(game, Plan("claim", steps, BATCH, seed, steps, steps, half_life * BATCH))


def play(game: Any, batch_at: Callable[[int], Batch], steps: int, seed: int, half_life: float = 138.0) -> Iterator[Run]:
    """Train a game; its run after each step. Its averages are kept as the pipeline keeps them."""
    run = begin(game, steps, seed, half_life)
    while run.step < steps:
        advance(run, batch_at)
        yield run
    run.check()


def finish(runs: Iterator[Run]) -> Run:
    """The last of them."""
    *_, last = runs
    return last


def shipped(run: Run, role: str, seed: int, size: int) -> nn.Module:
    """A role's averaged network as the pipeline ships it: statistics measured afresh, in evaluation mode."""
    network = run.averages[role].network
    recalibrate(network, run.exports[role].config.inputs, seed, size)
    return network.eval()


def classifier(data: Prepared, outputs: int = 10) -> nn.Module:
    """The library's classifier, trained on all domains of a data set."""
    torch.manual_seed(fold(0, "classifier"))
    network = build_network(NetworkConfig("classifier.conv", data.shape, 16, outputs=outputs))
    batch_at = batches(data.united, 64, 0)
    return train_classifier(network, lambda step: ((b := batch_at(step)).x, b.y), 800, 0, LEARNING_RATE)


def train_discriminator(game: Any, batch_at: Callable[[int], Batch], steps: int, seed: int) -> Iterator[int]:
    """Apply the first update alone, the discriminator's or critic's, against a generator that stands still."""
    run = begin(game, steps, seed)
    for step in range(steps):
        set_requires_grad(run, run.updates[0])
        torch.manual_seed(fold(seed, "classifier", step))
        apply_update(run, run.updates[0], [batch_at(step)], run.at)
        yield step + 1


def generator_gradient(game: Any, batch: Batch) -> list[Tensor]:
    """What the generator's update would descend."""
    weights = list(game.generator.requires_grad_().parameters())
    (loss,) = game.updates()[1].loss(batch, Moment()).terms.values()
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
        self.config = NetworkConfig("line", (2,), 1, (self.z,))
        self.theta = nn.Parameter(torch.tensor(theta))

    def forward(self, z: Tensor) -> Tensor:
        """(N, 1) to (N, 2)."""
        return torch.cat([self.theta.expand(len(z), 1), (z + 1) / 2], 1)


class Pool(nn.Module):
    """Data as a generator: any z to rows of a fixed set, drawn anew at each call."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows, self.unused = rows, nn.Parameter(torch.zeros(()))  # who plays has weights

    def forward(self, z: Tensor) -> Tensor:
        """(N, anything) to (N, D)."""
        return draw(self.rows, len(z))


def draw(rows: Tensor, n: int) -> Tensor:
    """Rows of a set, drawn with replacement."""
    return rows[torch.randint(len(rows), (n,))]


class Layers(nn.Module):
    """A discriminator with the layers a protocol prescribes, where the library's three hidden ones are not its."""

    def __init__(self, *sizes: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.config = NetworkConfig("layers", sizes[:1], sizes[1])
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
def scores(discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """V of real samples and of fakes, as float64."""
    return discriminator(real).double(), discriminator(fake).double()


@torch.no_grad()
def coverage(generator: Any, data: Prepared, seed: int) -> dict[str, float]:
    """What 2,500 samples cover of a mixture in the plane."""
    torch.manual_seed(fold(seed, "coverage"))
    z = generator.config.inputs[0].sample(2500)
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
