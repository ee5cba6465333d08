"""What discriminators are shown: random changes of pictures, their laws, their strength, and that nothing leaks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_core.config import schema
from gan_core.core.build_game import build_game
from gan_core.core.game import Adam, Game, Update
from gan_core.core.inputs import Input
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Adaptive, Schedule
from gan_core.core.types import Batch, Losses, Moment
from gan_core.data.batches import Batches
from gan_core.data.packed import to_model
from gan_core.data.prepared import Prepared
from gan_core.networks.layers import augment
from gan_core.networks.layers.augment import CHANGES, augmented, numbers
from gan_core.networks.layers.augmented import Augmented
from gan_core.networks.layers.minibatch import MinibatchStd
from gan_core.objectives import adversarial
from gan_core.training.augmentation import MOST, discriminators, overfitting
from gan_core.training.checkpoint import State
from gan_core.training.loop import Stopped, train
from gan_core.training.run import ExecutionConfig, Plan, Run
from tests.conftest import begin, take_steps

ALL = list(dict.fromkeys(change.policy for change in CHANGES))
ONE = torch.tensor(1.0)


def changed(x: Tensor, policy: str, *u: float) -> Tensor:
    """Every picture changed alike: the numbers say how."""
    (change, *_) = (c for c in CHANGES if c.policy == policy)
    own = torch.tensor([0.0, *u], dtype=x.dtype).expand(len(x), -1)
    return augmented(x, [policy], ONE, own) if change.numbers == len(u) else pytest.fail("how many numbers?")


def pictures(n: int = 6, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(n, channels, height, width) * 2 - 1


def test_what_can_be_declared_is_what_there_is() -> None:
    assert set(get_args(schema.Policy)) == set(ALL)


@pytest.mark.parametrize(("channels", "sides"), [(1, (8, 8)), (3, (8, 12)), (4, (6, 6))])
def test_nothing_is_changed_at_p_0_and_each_picture_on_its_own_above(channels: int, sides: tuple[int, int]) -> None:
    x = pictures(12, channels, *sides)
    assert torch.equal(augmented(x, ALL, torch.tensor(0.0), torch.rand(12, numbers(ALL))), x)
    for policy in ALL:
        u = torch.rand(12, numbers([policy]))
        y = augmented(x, [policy], ONE, u)
        alone = torch.cat([augmented(a[None], [policy], ONE, b[None]) for a, b in zip(x, u, strict=True)])
        assert y.shape == x.shape
        assert torch.allclose(y, alone, atol=1e-6)
        grey = channels == 1 and policy in ("hue", "saturation")
        assert torch.allclose(x, y, atol=1e-6) == grey, f"{policy} changes pictures, if they have colours"


def test_pictures_change_with_probability_p() -> None:
    x, u = pictures(4000, 1, 4, 4), torch.rand(4000, numbers(ALL))
    for policy in ("cutout", "brightness", "rotation", "scale"):
        y = augmented(x, [policy], torch.tensor(0.3), u[:, : numbers([policy])])
        assert (y != x).flatten(1).any(1).double().mean().item() == pytest.approx(0.3, abs=0.025)


@pytest.mark.parametrize(
    "policy", [("flip", "rotate90", "shift"), ("brightness", "contrast", "luma_flip", "hue", "saturation", "cutout")]
)
def test_a_policy_is_its_changes_one_after_the_other(policy: tuple[str, ...]) -> None:
    x, u = pictures(40), torch.rand(40, numbers(policy))
    together, own, one_by_one = augmented(x, tuple(reversed(policy)), torch.tensor(0.7), u), u, x
    for name in policy:
        one_by_one = augmented(one_by_one, [name], torch.tensor(0.7), own[:, : numbers([name])])
        own = own[:, numbers([name]) :]
    assert torch.allclose(together, one_by_one, atol=1e-4)


@pytest.mark.parametrize("policy", ALL)
def test_gradients_are_those_of_finite_differences(policy: str) -> None:
    x = pictures(2, 4, 4, 4).double().requires_grad_()
    u = torch.rand(2, numbers([policy]))

    def squares(x: Tensor) -> Tensor:
        return augmented(x, [policy], torch.tensor(0.9), u).square()

    assert torch.autograd.gradcheck(squares, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(squares, x, fast_mode=True)


class OffDevice(TorchDispatchMode):
    """Refuses tensors on the CPU: on a GPU each would be a copy that a step waits for, and no graph captures."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        assert {t.device.type for t in tensors} <= {"meta"}, f"{func} meets the CPU"
        return out


def test_nothing_is_copied_between_devices() -> None:
    x, u = torch.empty(4, 4, 8, 8, device="meta", requires_grad=True), torch.empty(4, numbers(ALL), device="meta")
    p = torch.empty((), device="meta")
    with OffDevice():
        MinibatchStd(2)(augmented(x, ALL, p, u)).sum().backward()


def test_flips_turns_and_whole_shifts_move_pixels_exactly() -> None:
    x, wide = pictures(), pictures(height=8, width=12)
    assert torch.equal(changed(x, "flip", 0.9), x.flip(3))
    assert torch.equal(changed(x, "flip", 0.1), x)
    assert torch.equal(changed(x, "rotate90", 0.3), x.rot90(-1, (2, 3)))
    assert torch.equal(changed(x, "rotate90", 0.6), x.flip(2, 3))
    assert torch.equal(changed(x, "rotate90", 0.8), x.rot90(1, (2, 3)))
    assert torch.equal(changed(wide, "rotate90", 0.3), wide)
    assert torch.equal(changed(wide, "rotate90", 0.8), wide.flip(2, 3))
    moved = changed(wide, "shift", 0.0, 0.999)
    assert torch.equal(moved[:, :, 1:, :-1], wide[:, :, :-1, 1:]), "a line down, and a column to the left"
    assert torch.equal(moved[:, :, 0, :-1], wide[:, :, 1, 1:]), "mirrored at the edge"


@pytest.mark.parametrize(
    ("policy", "u"),
    [("scale", (0.9,)), ("aspect", (0.2,)), ("fractional_shift", (0.6, 0.45)), ("rotation", (0.55,))],
)
def test_a_slope_stays_a_slope(policy: str, u: tuple[float, ...]) -> None:
    """Of a picture whose value is linear in its place, the changed one's is that at the mapped place, inside."""
    (change, *_) = (c for c in CHANGES if c.policy == policy)
    source = change.make(torch.tensor([u]).double(), (17, 21))[0]
    if policy == "rotation":
        source = source @ source, "before and after what stretches"
        source = source[0]
    row, column = torch.meshgrid(torch.arange(17.0) - 8, torch.arange(21.0) - 10, indexing="ij")
    place = torch.stack([row, column, torch.ones_like(row)]).double()
    slope = torch.tensor([0.5, -0.25, 1.0]).double()
    x = (slope @ place.flatten(1)).view(1, 1, 17, 21)
    own = torch.tensor([[0.0, *u] * (2 if policy == "rotation" else 1)])
    y = augmented(x, [policy], ONE, own)
    expected = (slope @ source @ place.flatten(1)).view(1, 1, 17, 21)
    assert torch.allclose(y[..., 5:12, 6:15], expected[..., 5:12, 6:15], atol=1e-6)
    assert not torch.allclose(source, torch.eye(3).double(), atol=1e-3)


def test_a_round_picture_stays_under_a_rotation() -> None:
    row, column = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    x = (-(row.square() + column.square()) / 60).exp()[None, None]
    inside = row.square() + column.square() < 16**2
    assert torch.allclose(augmented(x, ["rotation"], ONE, torch.rand(1, 4))[0, 0][inside], x[0, 0][inside], atol=0.02)


def test_colours_are_changed_as_said_and_alpha_is_not() -> None:
    x = pictures(channels=4)
    for policy in ("brightness", "contrast", "luma_flip", "hue", "saturation", "color"):
        y = augmented(x, [policy], ONE, 0.65 + 0.3 * torch.rand(6, numbers([policy])))
        assert torch.equal(y[:, 3], x[:, 3])
        assert not torch.allclose(y[:, :3], x[:, :3])
    rgb, grey = x[:, :3], x[:, :1].expand(-1, 3, -1, -1)
    normal_1 = 0.8413447
    assert torch.allclose(changed(rgb, "brightness", normal_1), rgb + 0.2, atol=1e-5)
    assert torch.allclose(changed(rgb, "contrast", normal_1), rgb * 2**0.5, atol=1e-5)
    assert torch.allclose(changed(rgb, "saturation", normal_1).mean(1), rgb.mean(1), atol=1e-5)
    assert torch.allclose(changed(rgb, "saturation", normal_1), 2 * rgb - rgb.mean(1, keepdim=True), atol=1e-4)
    no_colour = augment.about_grey(torch.ones(6), torch.zeros(6))
    assert torch.allclose(augment.recoloured(rgb, no_colour), rgb.mean(1, keepdim=True).expand_as(rgb), atol=1e-6)
    light = changed(rgb, "luma_flip", 0.9)
    assert torch.allclose(changed(light, "luma_flip", 0.9), rgb, atol=1e-6)
    assert torch.allclose(light.mean(1), -rgb.mean(1), atol=1e-6)
    assert torch.allclose(light - light.mean(1, keepdim=True), rgb - rgb.mean(1, keepdim=True), atol=1e-6)
    third = changed(rgb, "hue", 0.5 + 1 / 3)
    assert torch.allclose(third, rgb.roll(1, 1), atol=1e-5), "a third of a turn exchanges red, green and blue"
    for policy in ("hue", "saturation"):
        assert torch.allclose(changed(grey, policy, 0.7), grey, atol=1e-5)
    one = changed(x[:, :1], "contrast", normal_1)
    assert torch.allclose(one, x[:, :1] * 2**0.5, atol=1e-5)


def test_numbers_of_a_uniform_are_normal() -> None:
    z = augment.normal(torch.rand(100_000))
    assert [z.mean().item(), z.std().item()] == pytest.approx([0, 1], abs=0.01)
    assert (z.abs() < 1.96).double().mean().item() == pytest.approx(0.95, abs=0.005)


def test_translation_moves_and_cutout_cuts() -> None:
    x = torch.arange(1.0, 65).reshape(1, 1, 8, 8).expand(200, 1, 8, 8)
    moved = augment.translation(x, torch.rand(200, 2))
    for one in moved[:20, 0]:
        found = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if one[3, 3] == x[0, 0, 3 + i, 3 + j]]
        assert len(found) == 1
        (i, j) = found[0]
        assert torch.equal(one[1:7, 1:7], x[0, 0, 1 + i : 7 + i, 1 + j : 7 + j])
        assert (one == 0).sum() == 8 * (abs(i) + abs(j)) - abs(i * j)
    gone = (augment.cutout(x, torch.rand(200, 2)) == 0).sum((1, 2, 3))
    assert gone.max() == 16, "a quarter of the picture, where the window lies inside"
    assert (gone > 0).all()


@pytest.mark.parametrize("side", [6, 8, 14, 28])
def test_cutout_spares_no_edge(side: int) -> None:
    """Opposite lines are cut equally often, the middle ones most (Zhao et al. 2020: half of the side)."""
    share = augment.window(side, torch.rand(40_000)).double().mean(0)
    assert torch.allclose(share, share.flip(0), atol=0.02)
    size, places = (side + 1) // 2, side + 1 - (side + 1) // 2 % 2
    assert share[0].item() == pytest.approx((size // 2 + 1) / places, abs=0.02)
    assert share[side // 2].item() == pytest.approx(size / places, abs=0.02)


@pytest.mark.parametrize(("policy", "states"), [("rotate90", 4), ("flip", 2)])
def test_what_a_distribution_was_can_be_told_below_p_1_and_not_at_it(policy: str, states: int) -> None:
    """Section 2.2 of Karras et al. 2020: augmenting maps distributions linearly, by (1 - p) I + p / n of ones.

    It can be inverted, but at p = 1: there every orientation is as likely, whatever it was, and the generator may leak.
    """
    x = torch.eye(4).view(4, 1, 2, 2)[[0, 1, 3, 2][:states]]  # a corner, turned by quarters, or in a mirror
    x = torch.stack([x[0], changed(x[:1], policy, 0.9)[0]]) if states == 2 else x
    ways = [(gate + 0.5) / 20 for gate in range(20)], [(way + 0.5) / states for way in range(states)]
    u = torch.tensor(list(itertools.product(*ways)))

    def mixing(p: float) -> Tensor:
        shown = [augmented(one.expand(len(u), -1, -1, -1), [policy], torch.tensor(p), u) for one in x]
        found = torch.stack([(y[:, None] == x).flatten(2).all(2).double().mean(0) for y in shown])
        assert torch.allclose(found, (1 - p) * torch.eye(states).double() + p / states)
        return found

    original = torch.tensor([0.7, 0.2, 0.1, 0.0][:states]).double()
    original /= original.sum()
    for p in (0.3, 0.75):
        assert torch.allclose(torch.linalg.solve(mixing(p).T, mixing(p).T @ original), original)
    assert torch.linalg.matrix_rank(mixing(1.0)) == 1


# Around a discriminator.


def shown(policy: list[str], p: float = 1.0, channels: int = 1) -> Any:
    return partial(Augmented, policy=policy, channels=channels, p=p)


@pytest.mark.parametrize(("family", "variant"), [("mlp", "cgan"), ("dcgan", "vae_gan"), ("resnet_gan", "wgan_gp")])
def test_a_discriminator_keeps_its_weights_and_sees_changes_in_training_alone(family: str, variant: str) -> None:
    spec, games = NetworkSpec(family, 4, 4, (1, 8, 8), 10), []
    for wrap in (None, shown(["brightness"], 1.0)):
        torch.manual_seed(0)
        games.append(build_game(variant, spec, {}, wrap))
    role = "critic" if variant == "wgan_gp" else "discriminator"
    plain, around = (getattr(g, role) for g in games)
    assert around.state_dict().keys() - plain.state_dict().keys() == {"p"}
    assert all(torch.equal(value, around.state_dict()[name]) for name, value in plain.state_dict().items())
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in around.named_parameters()]
    x, y = pictures(6, 1), [torch.arange(6)] if variant == "cgan" else []
    assert not torch.equal(around(x, *y), plain(x, *y))
    assert torch.equal(around.eval()(x, *y), plain.eval()(x, *y))
    around.train()
    around.p.zero_()
    assert torch.equal(around(x, *y), plain(x, *y))


def test_packs_are_augmented_sample_by_sample() -> None:
    around = Augmented(build_game("gan", NetworkSpec("mlp", 4, 4, (3, 8, 8)), {"pack": 2}).discriminator, ALL, 3, 1.0)
    x, u = pictures(8), torch.rand(8, numbers(ALL))
    packs = around.changed(x.view(4, 6, 8, 8), u)
    assert torch.equal(packs.view(8, 3, 8, 8), augmented(x, ALL, ONE, u))
    assert around.draw(x.view(4, 6, 8, 8)).shape == u.shape


def test_features_that_are_compared_are_of_the_same_changes() -> None:
    """Dis_l of VAE/GAN compares a sample with its reconstruction: were they changed apart, a perfect one would cost."""
    around = build_game("vae_gan", NetworkSpec("mlp", 4, 4, (1, 8, 8)), {}, shown(["rotation", "cutout"])).discriminator
    x = pictures(6, 1)

    def once(seed: int) -> tuple[Tensor, ...]:
        torch.manual_seed(seed)
        return around.features(x), around.features(x), around(x), around(x), torch.rand(3)

    first, second, score, other, after = once(0)
    assert all(torch.equal(a, b) for a, b in zip(once(0), (first, second, score, other, after), strict=True))
    assert torch.equal(first, second)
    assert not torch.equal(score, other)
    assert not torch.equal(once(1)[0], first)
    around.eval()
    assert torch.equal(around.features(x), around.features(x))


# How strong.


def playing(p: Any, steps: int = 12, shards: int = 1, variant: str = "gan", **settings: Any) -> Run:
    torch.manual_seed(0)
    game = build_game(variant, NetworkSpec("mlp", 8, 4, (1, 8, 8)), settings, shown(["flip", "brightness"], 0.0))
    plan = Plan("test", steps, 16, 0, 2, 3, 100.0, p)
    return begin(game, plan, execution=ExecutionConfig(shards=shards))


def test_p_follows_its_schedule_and_is_in_the_loss_table(digits: Prepared, tmp_path: Any) -> None:
    at = Batches(digits, 16, 0).at
    run = train(playing(Schedule(0.0, 0.8, images=128), 12), at, State(tmp_path, "f"))
    assert [row["augment_p"] for row in run.history] == pytest.approx([0.05, 0.25, 0.45, 0.65, 0.8, 0.8])
    assert take_steps(playing(0.3), at, 1).game.discriminator.p == pytest.approx(0.3)
    assert all("augment_p" not in row for row in take_steps(playing(None), at, 1).history)


@pytest.mark.parametrize("shards", [1, 2])
def test_an_adaptive_p_follows_the_sign_of_real_scores(digits: Prepared, shards: int) -> None:
    """Every fourth step it moves by 4 * batch / images towards where r is at the target."""
    run, at, p, seen = (
        playing(Adaptive(0.3, 640), 40, shards, learning_rate=0.01),
        Batches(digits, 16, 0).at,
        0.0,
        set(),
    )
    for _ in range(10):
        run.window, run.times = {}, {}
        assert "augment_r" not in take_steps(run, at, 3).window
        take_steps(run, at, 1)
        r = run.window["augment_r"].item()
        seen.add(r > 0.3)
        p = min(max(p + (1 if r > 0.3 else -1) * 4 * 16 / 640, 0.0), MOST)
        assert run.game.discriminator.p.item() == pytest.approx(p, abs=1e-5)
        assert run.times["augment_r"] == 1
    assert seen == {True, False}


def test_an_adaptive_run_resumes_to_the_bit(digits: Prepared, tmp_path: Any) -> None:
    at, ends = Batches(digits, 16, 0, 0.05).at, []
    for name, stop in (("whole", 0), ("cut", 5)):
        state, asked = State(tmp_path, name), itertools.count(1)

        def halt(asked: Iterator[int] = asked, stop: int = stop) -> bool:
            return next(asked) == stop

        run = playing(Adaptive(0.3, 640))
        try:
            train(run, at, state, halt)
        except Stopped:
            run = train(playing(Adaptive(0.3, 640)), at, state)
        ends.append(run.state())
    for part in ("network/discriminator", "network/generator"):
        assert all(torch.equal(ends[0]["parts"][part][k], v) for k, v in ends[1]["parts"][part].items())
    assert ends[0]["history"] == ends[1]["history"]
    assert ends[1]["parts"]["network/discriminator"]["p"] > 0


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize(("aside", "r"), [(1.0, 0.0), (0.25, 0.75), (0.0, 1.0), (-3.0, 1.0), (9.0, -1.0), (None, 0.5)])
def test_r_is_how_far_samples_set_aside_fall_behind_or_the_sign(aside: float | None, r: float, shards: int) -> None:
    """R_v: 0 of samples that score like those trained on, 1 of such that score like generated ones. Else r_t."""

    class Black(nn.Module):
        config = SimpleNamespace(inputs=(Input("z", "uniform", 1),), output_space="x")

        def forward(self, z: Tensor) -> Tensor:
            return torch.zeros(len(z), 1, 4, 4)

    run: Any = SimpleNamespace(
        game=SimpleNamespace(scorers=lambda: {"generator": lambda x, _: x.flatten(1).mean(1)}),
        exports={"generator": Black()},
        execution=ExecutionConfig(shards=shards),
        plan=Plan("test", 12, 8, 0, 2, 3),
        step=3,
        aside_at=None if aside is None else lambda _: Batch(torch.full((8, 1, 4, 4), aside)),
    )
    real = torch.ones(8, 1, 4, 4)
    if aside is None:
        real[:2] = -1
    assert overfitting(run, Batch(real)).item() == pytest.approx(r, abs=1e-6)


@pytest.mark.parametrize("variant", ["wgan_gp", "cycle_gan"])
def test_scores_without_a_zero_lead_p_by_samples_set_aside(digits: Prepared, domains: Prepared, variant: str) -> None:
    data = domains if variant == "cycle_gan" else digits
    game = build_game(variant, NetworkSpec("mlp", 8, 4, data.shape), {}, shown(["flip"], 0.4, data.shape[0]))
    run, batches = (
        begin(game, Plan("test", 12, 16, 0, 2, 3, 100.0, Adaptive(0.5, 640, 0.2))),
        Batches(data, 16, 0, aside=0.2),
    )
    run.aside_at = batches.aside
    take_steps(run, batches.at, 4)
    p = 0.5 if run.window["augment_r"] > 0.5 else 0.3
    assert [network.p.item() for network in discriminators(run)] == pytest.approx([p] * data.domains)


def test_samples_set_aside_are_in_no_batch(digits: Prepared) -> None:
    batches = Batches(digits, 64, 0, aside=0.1)
    trained, aside = (
        torch.cat([at(i).x for i in range(count)]).flatten(1).unique(dim=0)
        for at, count in ((batches.at, 30), (batches.aside, 5))
    )
    together = torch.cat([trained, aside]).unique(dim=0)
    everything = to_model(digits.raw("train")).flatten(1).unique(dim=0)
    assert len(together) >= len(trained) + len(aside) - 3, "but for pictures that are there twice"
    assert len(aside) == pytest.approx(0.1 * len(everything), abs=3)
    again = Batches(digits, 64, 0, aside=0.1)
    assert torch.equal(again.at(3).x, batches.at(3).x)
    assert torch.equal(again.aside(3).x, batches.aside(3).x)


class Known(nn.Module):
    """A generator that cannot be told from the data: it draws from them."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.still = nn.Linear(1, 1)
        self.register_buffer("x", x)
        self.config = SimpleNamespace(output_space="x")

    def forward(self, n: int) -> Tensor:
        return self.x[torch.randint(len(self.x), (n,))]


@dataclass(frozen=True)
class Judging:
    """A discriminator alone, against samples of the data that it is not shown as real."""

    generator: Any
    discriminator: Any
    exports: ClassVar[tuple[str, ...]] = ()

    def loss(self, batch: Batch, _: Moment) -> Losses:
        fake = self.generator(len(batch))
        return Losses(adversarial.discriminator(self.discriminator(batch.x), self.discriminator(fake)))

    def optimizers(self) -> Any:
        return {"discriminator": Adam(2e-3, 0.5), "generator": Adam(0.0)}

    def scorers(self) -> Any:
        return {"generator": lambda x, _: self.discriminator(x)}

    def updates(self) -> Any:
        return (Update(("discriminator", "generator"), self.loss, terms_of={"discriminator": ("real", "fake")}),)


@pytest.mark.parametrize(("count", "least", "most"), [(20, 0.4, MOST), (700, 0.0, 0.15)])
def test_p_rises_where_a_few_pictures_are_known_by_heart_and_not_else(
    digits: Prepared, count: int, least: float, most: float
) -> None:
    x = to_model(digits.raw("train"))
    real, others = x[:count], x[700:1400]
    plain: Any = build_game("gan", NetworkSpec("mlp", 64, 4, (1, 8, 8)), {})
    discriminator = Augmented(plain.discriminator, ["flip", "cutout"], 1)
    game: Game = Judging(Known(others), discriminator)  # type: ignore[assignment]
    run = begin(game, Plan("test", 200, 20, 0, 50, 500, 0.0, Adaptive(0.6, 4000)))
    run.exports = {"generator": game.generator}  # type: ignore[attr-defined]
    draw = torch.Generator().manual_seed(0)
    batches = [Batch(real[torch.randint(count, (20,), generator=draw)]) for _ in range(150)]
    take_steps(run, batches.__getitem__, 150)
    assert least <= discriminator.p.item() <= most


# Mirrored pictures as data, and what a discriminator sees of a batch.


def test_pictures_are_mirrored_at_even_odds_by_seed_and_batch(digits: Prepared, monkeypatch: Any) -> None:
    plain = Batches(digits, 64, 3)
    monkeypatch.setattr(Prepared, "flip", True)
    first, again = Batches(digits, 64, 3), Batches(digits, 64, 3)
    shares = []
    for i in (5, 0, 2):
        x, y = plain.at(i).x, first.at(i).x
        mirrored = (y == x.flip(3)).flatten(1).all(1)
        assert (mirrored | (y == x).flatten(1).all(1)).all()
        assert torch.equal(again.at(i).x, y)
        shares.append(mirrored)
    assert torch.cat(shares).double().mean().item() == pytest.approx(0.5, abs=0.1)
    assert not torch.equal(shares[0], shares[1])


def test_domains_are_mirrored_apart_and_pairs_together(domains: Prepared, monkeypatch: Any) -> None:
    monkeypatch.setattr(Prepared, "flip", True)
    batches = Batches(domains, 64, 3)
    x = torch.randn(64, 1, 2, 2)
    apart = [batches._seen(x, 0, name) for name in ("x", "x_b")]
    assert not torch.equal(*apart)
    batches.apart = False
    assert torch.equal(batches._seen(x, 0, "x"), batches._seen(x, 0, "x_b"))


def test_a_plane_says_how_much_samples_of_a_group_differ() -> None:
    layer, x = MinibatchStd(4), torch.randn(8, 3, 4, 4)
    y = layer(x)
    assert torch.equal(y[:, :3], x)
    groups = [x[k::2] for k in range(2)]
    for k, group in enumerate(groups):
        expected = group.std(0, unbiased=False).mean().item()
        assert y[k::2, 3].flatten().tolist() == pytest.approx([expected] * 64, rel=1e-4)
    assert torch.allclose(layer(x[:1].expand(8, -1, -1, -1))[:, 3], torch.tensor(0.0), atol=2e-4)
    assert layer(x[:1]).shape == (1, 4, 4, 4)
    assert torch.allclose(layer(3 * x + 1)[:, 3], 3 * y[:, 3], atol=1e-4)


@pytest.mark.parametrize("family", ["dcgan", "resnet_gan"])
def test_a_discriminator_that_sees_groups_scores_a_sample_by_its_company(family: str) -> None:
    def discriminator(size: int) -> Any:
        torch.manual_seed(0)
        spec = NetworkSpec(family, 4, 4, (1, 16, 16), options={"minibatch_std": size})
        return build_game("gan", spec, {}).discriminator

    x = torch.randn(4, 1, 16, 16)
    alike = x[:1].expand(4, -1, -1, -1)
    assert torch.allclose(discriminator(0)(x)[0], discriminator(0)(alike)[0], atol=1e-5)
    assert not torch.allclose(discriminator(4)(x)[0], discriminator(4)(alike)[0], atol=1e-3)
    plain = build_game("gan", NetworkSpec(family, 4, 4, (1, 16, 16)), {}).discriminator
    assert discriminator(0).state_dict().keys() == plain.state_dict().keys()


def test_every_conditional_argument_is_left_alone() -> None:
    """A label beside the picture is the same plane whatever happens to the picture."""
    seen = []
    game = build_game("cgan", NetworkSpec("dcgan", 4, 4, (1, 8, 8), 3), {}, shown(["brightness"]))
    game.discriminator.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[attr-defined]
    game.discriminator(pictures(6, 1), torch.arange(6) % 3)  # type: ignore[attr-defined]
    assert torch.equal(seen[0][:, 1:, 0, 0].argmax(1), torch.arange(6) % 3)
    assert set(seen[0][:, 1:].unique().tolist()) == {-1.0, 1.0}
