"""Newer algorithms, each written as a user would write it: one dataclass, nothing changed in the loop or the core."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from gan_core.config.bounds import NonNegativeFloat, PositiveInt, Scheduled
from gan_core.core.build_game import assembled
from gan_core.core.build_network import build_network
from gan_core.core.game import Adam, Frozen, Update
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Schedule
from gan_core.core.types import Batch, Losses, Moment
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.objectives import adversarial, penalties
from gan_core.training import loop
from gan_core.training.ema import decay
from gan_core.training.run import Run
from tests.conftest import begin, plan, take_steps


class Memory(nn.Module):
    """A number that a game remembers: a buffer, so it is in every checkpoint, and moves with the networks."""

    value: Tensor

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(start))


@dataclass(frozen=True, kw_only=True)
class Plain:
    """The non-saturating game, to write the others from."""

    generator: Any
    discriminator: Any
    z: Any
    needs: ClassVar[dict[str, Any]] = {"generator": (), "discriminator": (), "batch": ("x",)}
    exports: ClassVar[tuple[str, ...]] = ("generator",)

    @staticmethod
    def build_spec(spec: NetworkSpec, _settings: Any) -> dict[str, Any]:
        z = spec.prior()
        return {"generator": spec.generator(z), "discriminator": spec.discriminator(), "z": z}

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        fake = self.generator(self.z.like(batch.x))
        return Losses(adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake)))

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        fake = self.generator(self.z.like(batch.x))
        return Losses(adversarial.generator_non_saturating(self.discriminator(fake)))

    def optimizers(self) -> Any:
        return Adam(1e-3, 0.0, 0.99)

    def updates(self) -> Any:
        return Update(("discriminator",), self.discriminator_loss), Update(("generator",), self.generator_loss)


# (a) StyleGAN2 (Karras et al. 2020, section 3): lazy R1 and path length regularisation, each network one optimizer.


@dataclass(frozen=True, kw_only=True)
class LazilyRegularised(Plain):
    path_mean: Memory
    gamma: Scheduled[NonNegativeFloat] = 1.0
    path_weight: Scheduled[NonNegativeFloat] = 2.0
    r1_every: PositiveInt = 4
    path_every: PositiveInt = 2

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Any) -> dict[str, Any]:
        return {**Plain.build_spec(spec, settings), "path_mean": Memory()}

    def r1_loss(self, batch: Batch, at: Moment) -> Losses:
        _, r1 = penalties.r1(self.discriminator, batch.x, self.r1_every * at.value(self.gamma))
        return Losses(r1)

    def path_loss(self, batch: Batch, at: Moment) -> Losses:
        """E (|J^T y| - a)^2, y normal images, a the running mean of the lengths (eq. 4)."""
        z = self.z.like(batch.x).requires_grad_()
        x = self.generator(z)
        y = torch.randn_like(x) / x[0].numel() ** 0.5
        (product,) = torch.autograd.grad((x * y).sum(), z, create_graph=True)
        length = product.square().sum(1).sqrt()
        weight = self.path_every * at.value(self.path_weight)
        return Losses({"path": weight * (length - self.path_mean.value).square().mean()}, {"length": length.mean()})

    def updates(self) -> Any:
        d, g = Plain.updates(self)
        return (
            d,
            Update(("discriminator",), self.r1_loss, every=self.r1_every),
            g,
            Update(("generator",), self.path_loss, every=self.path_every, after=self.remember),
        )

    def remember(self, stats: Any) -> None:
        self.path_mean.value.lerp_(stats["length"], 0.01)


@pytest.fixture
def spec(digits: Prepared) -> NetworkSpec:
    return NetworkSpec("mlp", 16, 8, digits.shape, digits.classes)


def played(made: type, spec: NetworkSpec, data: Prepared, steps: int = 8, **settings: Any) -> Run:
    run = begin(assembled(made, spec, settings), plan(steps))
    return take_steps(run, Batches(data, 16, 0).at, steps)


def test_lazy_regularisation(spec: NetworkSpec, digits: Prepared) -> None:
    run = played(LazilyRegularised, spec, digits, 7)
    assert run.optimizers.keys() == {"generator", "discriminator"}
    done = {name: max(int(s["step"]) for s in each.state.values()) for name, each in run.optimizers.items()}
    assert done == {"discriminator": 7 + 2, "generator": 7 + 4}, "one state a network, whichever update moves it"
    assert run.times == {"real": 7, "fake": 7, "r1": 2, "generator": 7, "path": 4, "length": 4}
    mean = run.game.path_mean.value.clone()
    assert mean > 0
    other = begin(assembled(LazilyRegularised, spec, {}), plan(7))
    other.restore(run.state())
    assert other.game.path_mean.value == mean, "what it remembers is part of the state"


# (b) R3GAN (Huang et al. 2024): rate, beta 2, gamma, EMA half-life and augmentation follow one schedule each.


@dataclass(frozen=True, kw_only=True)
class Annealed(Plain):
    gamma: Scheduled[NonNegativeFloat] = 1.0
    learning_rate: Scheduled[NonNegativeFloat] = 2e-4
    beta2: Scheduled[NonNegativeFloat] = 0.9
    flips: Scheduled[NonNegativeFloat] = 0.0

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        def score(x: Tensor) -> Tensor:
            flipped = torch.rand(len(x), 1, 1, 1, device=x.device) < at.value(self.flips)
            return self.discriminator(torch.where(flipped, x.flip(3), x))

        gamma = at.value(self.gamma)
        real, r1 = penalties.r1(score, batch.x, gamma)
        fake, r2 = penalties.r2(score, self.generator(self.z.like(batch.x)), gamma)
        seen = {"gamma": torch.tensor(gamma), "flips": torch.tensor(at.value(self.flips))}
        return Losses(adversarial.discriminator_relativistic(real, fake) | r1 | r2, seen)

    def optimizers(self) -> Any:
        return Adam(self.learning_rate, 0.0, self.beta2)


def test_five_schedules(spec: NetworkSpec, digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-way through 2,000 images each is half-way on its cosine."""
    ends = {"gamma": (2.0, 0.2), "learning_rate": (2e-4, 5e-5), "beta2": (0.9, 0.99), "flips": (0.0, 0.5)}
    schedules = {name: Schedule(a, b, images=2000, shape="cosine") for name, (a, b) in ends.items()}
    game = assembled(Annealed, spec, schedules)
    run = begin(game, replace(plan(250), ema_half_life=Schedule(0.0, 500.0, images=2000)))
    half_lives: list[float] = []
    monkeypatch.setattr(loop, "decay", lambda half_life, *rest: half_lives.append(half_life) or decay(half_life, *rest))
    take_steps(run, Batches(digits, 16, 0).at, 62)
    run.window, run.times = {}, {}
    assert run.at.images == 992
    group = take_steps(run, Batches(digits, 16, 0).at, 1).optimizers["generator"].param_groups[0]
    half = {name: (a + b) / 2 for name, (a, b) in ends.items()}
    found = {"learning_rate": group["lr"], "beta2": group["betas"][1]}
    found |= {name: run.window[name].item() for name in ("gamma", "flips")}
    assert found == {name: pytest.approx(half[name], rel=0.02) for name in found}
    assert len(found) == 4
    assert half_lives[-1] == pytest.approx(250, rel=0.02)


# (c) A frozen network in a loss, as perceptual losses and projected GANs have one.


@dataclass(frozen=True, kw_only=True)
class Perceptual(Plain):
    features: Frozen

    @staticmethod
    def build_spec(spec: NetworkSpec, settings: Any) -> dict[str, Any]:
        features = build_network(NetworkConfig("classifier.conv", spec.shape, 4, outputs=10))
        return {**Plain.build_spec(spec, settings), "features": Frozen(features)}

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        fake = self.generator(self.z.like(batch.x))
        seen = self.features.network.features
        moments = (seen(fake).mean(0) - seen(batch.x).mean(0)).square().mean()
        return Losses(adversarial.generator_non_saturating(self.discriminator(fake)) | {"moments": moments})


def test_a_frozen_network_in_a_loss(spec: NetworkSpec, digits: Prepared) -> None:
    """It never moves, is in no checkpoint, and gradients reach the generator through it."""
    game = assembled(Perceptual, spec, {})
    before = {name: value.clone() for name, value in game.features.state_dict().items()}
    run = take_steps(begin(game), Batches(digits, 16, 0).at, 3)
    assert all(torch.equal(value, before[name]) for name, value in game.features.state_dict().items())
    assert not [name for name in run.state()["parts"] if "features" in name]
    term = game.generator_loss(Batches(digits, 16, 0).at(0), Moment()).terms["moments"]
    assert torch.autograd.grad(term, next(game.generator.parameters()))[0].abs().sum() > 0


# (d) FreezeD (Mo et al. 2020): the first layers of the discriminator stay what they were.


@dataclass(frozen=True, kw_only=True)
class FreezeD(Plain):
    def optimizers(self) -> Any:
        return {"generator": Adam(1e-3), "discriminator": Adam(1e-3, freeze=("body.0",))}


def test_first_layers_stay(spec: NetworkSpec, digits: Prepared) -> None:
    game = assembled(FreezeD, spec, {})
    names = [name for name, _ in game.discriminator.named_parameters()]
    frozen = [name for name in names if name.startswith("body.0.")]
    before = {name: value.clone() for name, value in game.discriminator.state_dict().items()}
    take_steps(begin(game), Batches(digits, 16, 0).at, 3)
    moved = {name for name, value in game.discriminator.named_parameters() if not torch.equal(value, before[name])}
    assert frozen
    assert moved == set(names) - set(frozen)
    with pytest.raises(ValueError, match="there are no weights 'bodi' to freeze"):
        begin(replace_optimizer(game, "bodi"))


def replace_optimizer(game: Any, name: str) -> Any:
    class Wrong(type(game)):  # type: ignore[misc]
        def optimizers(self) -> Any:
            return {"generator": Adam(1e-3), "discriminator": Adam(1e-3, freeze=(name,))}

    return Wrong(**vars(game))


# (e) A paired game, as pix2pix (Isola et al. 2017, eq. 4): the discriminator sees the source beside the target.


@dataclass(frozen=True, kw_only=True)
class Paired:
    generator: Any
    discriminator: Any
    l1: Scheduled[NonNegativeFloat] = 100.0
    needs: ClassVar[dict[str, Any]] = {
        "translator": (),
        "discriminator": ("conditions",),
        "batch": ("x", "x_b"),
        "aligned": ("x", "x_b"),
    }
    exports: ClassVar[tuple[str, ...]] = ("generator",)

    @staticmethod
    def build_spec(spec: NetworkSpec, _settings: Any) -> dict[str, Any]:
        return {"generator": spec.translator("x", "x_b"), "discriminator": spec.discriminator(spec.data("x", "source"))}

    def discriminator_loss(self, batch: Batch, at: Moment) -> Losses:
        real = self.discriminator(batch.x_b, batch.x)
        return Losses(adversarial.discriminator(real, self.discriminator(batch.fake, batch.x)))

    def generator_loss(self, batch: Batch, at: Moment) -> Losses:
        fake = self.generator(batch.x)
        terms = adversarial.generator_non_saturating(self.discriminator(fake, batch.x))
        l1 = at.value(self.l1) * (fake - batch.x_b).abs().mean()
        return Losses(terms | {"l1": l1}, shared={"fake": fake})

    def optimizers(self) -> Any:
        return Adam(2e-3, 0.5)

    def updates(self) -> Any:
        g = Update(("generator",), self.generator_loss)
        return g, Update(("discriminator",), self.discriminator_loss, reuse_batch=True)


def test_a_paired_game(spec: NetworkSpec, digits: Prepared) -> None:
    """It learns to turn a digit upside down, which only pairs can teach it."""
    batches = Batches(digits, 64, 0)

    def batch_at(k: int) -> Batch:
        x = batches.at(k).x
        return Batch(x, x_b=x.flip(2))

    run = begin(assembled(Paired, replace(spec, width=64), {}), plan(150, batch_size=64))

    def error() -> float:
        with torch.no_grad():
            batch = batch_at(1000)
            return float((run.game.generator(batch.x) - batch.x_b).abs().mean())

    before = error()
    take_steps(run, batch_at, 150)
    assert error() < before / 3
