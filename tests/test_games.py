"""Laws every game obeys. They run over the whole table, so a new paper gets them for nothing."""

import contextlib
import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gan_core.config import papers
from gan_core.core.build_game import assembled, build_game, paper
from gan_core.core.build_network import network_class
from gan_core.core.game import Game, Update, depends_on_length, modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Schedule
from gan_core.core.types import Batch, Losses, Moment
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.networks import resnet
from gan_core.runtime.seeds import fold
from gan_core.training.checkpoint import State
from gan_core.training.history import write_table
from gan_core.training.loop import Stopped, advance, train
from gan_core.training.run import Run
from gan_core.training.update import apply_update, differentiate, set_requires_grad, train_step
from gan_core.variants.gan import Gan
from tests.conftest import QUICK, VARIANTS, begin, fit, fitting, plan, take_steps

NOW = Moment()


def weights(game: Game) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": p.detach().clone()
        for name, network in modules(game).trained.items()
        for key, p in network.named_parameters()
    }


def with_parts(game: Game, **parts: object) -> Game:
    """The game with other networks."""
    return type(game)(**{f.name: getattr(game, f.name) for f in fields(game)} | parts)


def update_alone(run: Run, update: Update, batch: Batch) -> dict[str, torch.Tensor]:
    """One update, as a step of the loop takes it."""
    set_requires_grad(run, update)
    return apply_update(run, update, [batch], run.at).stats


def in_order(game: Game, batch: Batch) -> Iterator[tuple[Update, Losses]]:
    """Each update with its losses; a batch has what the update before it has shared."""
    for update in game.updates():
        losses = update.loss(batch, NOW)
        yield update, losses
        batch = batch.extended({name: value.detach() for name, value in losses.shared.items()})


def test_only_the_players_of_an_update_move(game: Game, data: Prepared) -> None:
    run, batch = begin(game), Batches(data, 16, 0).at(0)
    for k, update in enumerate(run.updates):
        before = weights(game)
        set_requires_grad(run, update)
        (batch,) = apply_update(run, update, [batch], run.at).shards
        moved = {name.split(".")[0] for name, value in weights(game).items() if not torch.equal(value, before[name])}
        assert moved == set(update.players), f"update {k}"


def test_every_weight_gets_a_finite_gradient_in_some_update(game: Game, data: Prepared) -> None:
    batch = Batches(data, 32, 0).at(0)
    largest: dict[str, float] = {}
    for network in modules(game).trained.values():
        for p in network.parameters():
            if p.dim() > 1 and not p.any():  # a layer that begins at zero hides what lies before it
                nn.init.normal_(p, std=0.1)
    for update, losses in in_order(game, batch):
        torch.stack(list(losses.terms.values())).sum().backward()
        for player in update.players:
            for name, p in getattr(game, player).named_parameters():
                if p.grad is not None:
                    assert torch.isfinite(p.grad).all(), name
                    key = f"{player}.{name}"
                    largest[key] = max(largest.get(key, 0.0), p.grad.abs().max().item())
        for network in modules(game).trained.values():
            network.zero_grad(set_to_none=True)
    assert largest.keys() == weights(game).keys()
    # A bias before batch normalisation, or of a critic whose constant cancels, has a zero gradient by law.
    assert [name for name, gradient in largest.items() if not gradient and not name.endswith("bias")] == []


def test_terms_and_statistics_are_finite_scalars_with_distinct_names(game: Game, data: Prepared) -> None:
    batch = Batches(data, 16, 0).at(0)
    names: list[str] = []
    for update, losses in in_order(game, batch):
        for name, value in [*losses.terms.items(), *losses.stats.items()]:
            assert value.shape == ()
            assert torch.isfinite(value)
            names.append(name)
        its = [term for terms in update.terms_of.values() for term in terms]
        assert not its or sorted(its) == sorted(losses.terms), "every term is somebody's"
        assert set(update.terms_of) <= set(update.players)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("variant", papers.variants())
def test_a_paper_says_of_itself_what_is_so(variant: str) -> None:
    """Its literals, read as text, are those of its class; its networks offer what it asks of the families."""
    made = paper(variant)
    assert papers.needs(variant) == made.needs
    assert papers.exports(variant) == made.exports
    assert papers.settings_of(variant).model_fields.keys() == {f.name for f in fields(made)} & set(symbols(variant))
    for family in papers.families():
        for role, offered in papers.capabilities(family).items():
            network = network_class(f"{family}.{role}")
            for method in {"features"} & set(offered):
                assert callable(getattr(network, method)), (family, role, method)


def symbols(variant: str) -> list[str]:
    """The fields of a paper that have a default."""
    made = paper(variant)
    return [f.name for f in fields(made) if hasattr(made, f.name)]


def test_a_run_is_a_function_of_its_seed(data: Prepared, game: Game) -> None:
    def ends(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(torch.initial_seed() + 1)  # whatever the global seed is
        run = begin(copy.deepcopy(game), plan(seed=seed))
        return weights(take_steps(run, Batches(data, 16, seed).at, 3).game)

    one, again, other = ends(0), ends(0), ends(1)
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_gan_adds_r1_times_gamma(digits: Prepared) -> None:
    """For v(x) = <w, x> the term is gamma |w|^2 / 2, and it is the only one that gamma adds."""
    game = fit("gan", {"r1": 0.3}, "mlp", digits)
    w = torch.randn(64)

    class Linear(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ w

    terms = with_parts(game, discriminator=Linear()).updates()[0].loss(Batches(digits, 16, 0).at(0), NOW).terms
    assert terms.keys() == {"real", "fake", "r1"}
    assert terms["r1"].item() == pytest.approx(0.15 * w.square().sum().item(), rel=1e-5)


STRUCTURES = [
    ("gan", {}, "mlp"),
    ("gan", {"spectral_norm": True}, "mlp"),
    ("gan", {}, "dcgan"),
    ("wgan", {"warm_up": 2, "warm_up_critic_steps": 6}, "mlp"),
    ("vae_gan", {"margin": 0.35}, "mlp"),
    ("info_gan", {"q_owner": "joint"}, "mlp"),
    ("learned_f", {}, "mlp"),
    ("cycle_gan", {}, "resnet"),
]
"""One game for each structure of a run's state: buffers of normalisations and of powers, repeats, one pass for several
players, one player in several updates, a network that is no family's, a pool of old fakes and a falling rate."""


@pytest.mark.parametrize("cut", [1, 4, 6])
@pytest.mark.parametrize(("variant", "settings", "family"), STRUCTURES, ids=str)
def test_a_run_cut_anywhere_ends_in_the_same_bits(
    variant: str, settings: dict, family: str, digits: Prepared, domains: Prepared, tmp_path: Path, cut: int
) -> None:
    data = domains if variant == "cycle_gan" else digits
    game = fit(variant, settings, family, data)
    whole = train(begin(copy.deepcopy(game)), Batches(data, 16, 0, 0.1).at, State(tmp_path, "whole"))
    state = State(tmp_path, "cut")
    asked = iter(range(1, 99))
    with pytest.raises(Stopped):
        train(begin(copy.deepcopy(game)), Batches(data, 16, 0, 0.1).at, state, lambda: next(asked) >= cut)
    assert state.saved()[0][0] == cut
    rest = train(begin(copy.deepcopy(game)), Batches(data, 16, 0, 0.1).at, state)
    assert whole.history == rest.history
    left, right = whole.state()["parts"], rest.state()["parts"]
    assert all(
        torch.equal(a, b)
        for part in left
        if "optimizer" not in part
        for a, b in zip(left[part].values(), right[part].values(), strict=True)
    )
    moments = [
        (s[k], right[p]["state"][i][k])
        for p in left
        if "optimizer" in p
        for i, s in left[p]["state"].items()
        for k in s
    ]
    assert moments
    assert all(torch.equal(a, b) for a, b in moments)


LENGTHS = [(v, {}) for v in VARIANTS] + [("gan", {"learning_rate": Schedule(1e-3, 1e-4, begin=0.1)})]


@pytest.mark.parametrize(("variant", "settings"), LENGTHS, ids=str)
def test_a_step_depends_on_the_length_of_a_run_only_where_it_is_said(
    variant: str, settings: dict, digits: Prepared, domains: Prepared
) -> None:
    """Else a longer run could not go on from a shorter one's state."""
    data = domains if "x_b" in papers.needs(variant)["batch"] else digits
    game = fit(variant, QUICK.get(variant, {}) | settings, fitting(variant)[-1], data)
    at = Batches(data, 16, 0).at
    short, long = (weights(take_steps(begin(copy.deepcopy(game), plan(n)), at, 6).game) for n in (8, 80))
    assert any(not torch.equal(short[k], long[k]) for k in short) == depends_on_length(game)
    assert depends_on_length(game, Schedule(0.0, 1.0))
    assert depends_on_length(game, Schedule(0.0, 1.0, images=9)) == depends_on_length(game)


@pytest.mark.parametrize("forgotten", ["network", "average", "optimizer"])
def test_each_part_of_the_state_is_needed(digits: Prepared, tmp_path: Path, forgotten: str) -> None:
    """Forget one part when resuming, and the end differs: the state holds nothing idle."""
    game = fit("gan", {}, "mlp", digits)

    def end(state: State, forget: bool, stop: int = 0) -> dict[str, torch.Tensor]:
        run, asked = begin(copy.deepcopy(game), plan(6)), itertools.count(1)
        if forget:
            parts = type(run)._parts
            run._parts = lambda: {k: v for k, v in parts(run).items() if not k.startswith(forgotten)}  # type: ignore[method-assign]
        with contextlib.suppress(Stopped):
            train(run, Batches(digits, 16, 0).at, state, lambda: next(asked) == stop)
        return weights(run.game) | {f"ema.{k}": v for k, v in run.averages["generator"].network.state_dict().items()}

    whole = end(State(tmp_path, "whole"), False)
    end(State(tmp_path, "cut"), False, stop=3)
    rest = end(State(tmp_path, "cut"), True)
    assert any(not torch.equal(whole[k], rest[k]) for k in whole)


def on_a_line(theta: float, n: int = 256) -> torch.Tensor:
    """Example 1 of Arjovsky et al. 2017: the segment {theta} x U[0, 1]."""
    return torch.stack([torch.full((n,), theta), torch.rand(n)], 1)


class Line(nn.Module):
    """A generator whose one weight is where the segment stands."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.where = nn.Parameter(torch.tensor(theta))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.where.expand(len(z)), torch.rand(len(z))], 1)


def trained_critic(game: Game, steps: int) -> tuple[list[dict[str, float]], float]:
    """The terms of a critic that is trained alone, and the gradient that it gives the generator then."""
    run = begin(game)
    critic, generator = run.updates
    found = [update_alone(run, critic, Batch(on_a_line(0.0))) for _ in range(steps)]
    set_requires_grad(run, generator)
    differentiate(run, generator, Batch(on_a_line(0.0)), run.at)
    return [{name: value.item() for name, value in terms.items()} for terms in found], game.generator.where.grad.item()


@pytest.mark.parametrize("theta", [0.25, -0.5])
def test_wasserstein_estimate_on_parallel_lines(theta: float) -> None:
    """The estimate is linear in |theta| where JS is flat, with the soft penalty's bias: slope 1 + |theta| / (2 lambda).

    The gradient on theta has its sign: the generator is moved towards the data, not away.
    """
    torch.manual_seed(fold("line", str(theta)))
    game = build_game("wgan_gp", NetworkSpec("mlp", 64, 2, (2,)), {"learning_rate": 1e-3, "beta1": 0.5})
    estimates, gradient = trained_critic(with_parts(game, generator=Line(theta)), 900)
    slope = 1 + abs(theta) / 20
    found = [-e["critic"] for e in estimates[700:]]
    assert sum(found) / len(found) / abs(theta) == pytest.approx(slope, abs=0.04)
    assert gradient * (1 if theta > 0 else -1) == pytest.approx(slope, abs=0.06)


def test_js_is_flat_on_parallel_lines() -> None:
    """The same game under the discriminator: log 2 at any distance, and no gradient left for the minimax generator."""
    found = {}
    for theta in (0.25, 1.0):
        torch.manual_seed(3)
        game = build_game("gan", NetworkSpec("mlp", 64, 2, (2,)), {"learning_rate": 1e-3, "objective": "saturating"})
        terms, gradient = trained_critic(with_parts(game, generator=Line(theta)), 1200)
        found[theta] = 0.693147 - sum(terms[-1].values()) / 2
        assert abs(gradient) < 5e-3  # of the Wasserstein gradient's 1
    assert all(0.99 * 0.693147 < js <= 0.6932 for js in found.values())


SCATTERED = (
    "cumsum", "cumprod", "reflection_pad", "replication_pad", "upsample_linear", "upsample_bilinear",
    "upsample_bicubic", "adaptive_avg_pool", "adaptive_max_pool", "avg_pool3d", "max_pool3d", "fractional_max_pool",
    "max_unpool", "grid_sample", "kthvalue", "median", "histc", "bincount", "put_", "scatter_reduce", "ctc_loss",
    "nll_loss2d", "embedding_bag",
)  # fmt: skip
"""Operations that torch has no deterministic CUDA kernel for (torch.use_deterministic_algorithms)."""


class Watched(TorchDispatchMode):
    """Refuses, on any machine, what a GPU would refuse."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.__name__.removeprefix("_")
        assert not name.startswith(SCATTERED), f"{func} has no deterministic CUDA kernel"
        return func(*args, **(kwargs or {}))


def test_every_operation_has_a_deterministic_cuda_kernel(game: Game, data: Prepared, monkeypatch) -> None:
    """Forward, backward and step of every update, seen from below autograd; padding as it is away from a CPU."""
    monkeypatch.setattr(resnet, "KERNEL", "none")
    with Watched():
        train_step(begin(copy.deepcopy(game)), Batches(data, 16, 0).at)


def test_no_update_asks_the_device_for_a_number(game: Game, data: Prepared) -> None:
    """On the meta device there are no numbers: a tensor left on the CPU, or a step that waits for a GPU, is refused."""
    parts = modules(game)
    for network in (*parts.saved.values(), *parts.frozen.values()):
        network.to("meta")
    for update, losses in in_order(game, Batches(data, 16, 0).at(0).map(lambda rows: rows.to("meta"))):
        torch.autograd.backward(list(losses.terms.values()))
        if update.after is not None:
            with torch.no_grad():
                update.after({**losses.terms, **losses.stats})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_every_game_plays_on_a_gpu_and_repeats(game: Game, data: Prepared) -> None:
    ends = []
    for _ in range(2):
        run = begin(copy.deepcopy(game), plan(), "cuda")
        ends.append(weights(take_steps(run, Batches(data, 16, 0, device="cuda").at, 3).game))
    assert all(torch.equal(ends[0][k], ends[1][k]) for k in ends[0])


def test_the_gan_row_of_f_gan_is_the_gan(digits: Prepared) -> None:
    """Papers that coincide must coincide: the same networks after 5 steps (the soft clip is far away).

    Compared by what they compute: weights without a gradient, such as a bias before batch normalisation, drift with
    rounding under Adam, and change nothing.
    """
    ends = []
    z = torch.randn(64, 8)
    for variant, settings in (("gan", {}), ("f_gan", {"divergence": "gan", "clip": 1e6})):
        torch.manual_seed(0)
        run = take_steps(begin(fit(variant, settings, "mlp", digits)), Batches(digits, 16, 0).at, 5)
        with torch.no_grad():
            fake = run.game.generator(z)
            ends.append((fake, run.game.discriminator(fake)))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("clip", [0.01, 0.05])
def test_wgan_clips_after_the_step(digits: Prepared, clip: float) -> None:
    """Whatever the critic's step did, the generator meets weights within [-c, c]: clipping before it would not do."""
    game = fit("wgan", {"clip": clip, "learning_rate": 0.1}, "mlp", digits)
    run = begin(game)
    critic, generator = run.updates
    update_alone(run, critic, Batches(digits, 16, 0).at(0))
    largest = max(p.abs().max().item() for p in game.critic.parameters())
    assert largest == pytest.approx(clip), "moved to the bound, and not beyond"
    assert generator.after is None


def test_wgan_trains_its_critic_longer_when_it_must() -> None:
    game = build_game("wgan", NetworkSpec("mlp", 8, 4, (2,)), {})
    times = [game.updates()[0].times(Moment(step)) for step in (0, 24, 25, 26, 499, 500, 501, 1000)]
    assert times == [100, 100, 5, 5, 5, 100, 5, 100]
    never = build_game("wgan", NetworkSpec("mlp", 8, 4, (2,)), {"warm_up": 0})
    assert {never.updates()[0].times(Moment(step)) for step in range(1001)} == {5}


@pytest.mark.parametrize("settings", [{"conditioning": "concat"}, {"conditioning": "projection"}], ids=str)
@pytest.mark.parametrize("family", fitting("cgan"))
def test_a_conditional_discriminator_sees_its_label(digits: Prepared, settings: dict[str, str], family: str) -> None:
    """Without it the game is unconditional whatever the generator is told."""
    game = build_game("cgan", NetworkSpec(family, 16, 8, digits.shape, digits.classes), settings)
    batch = Batches(digits, 32, 0).at(0)
    other = (batch.y + 1) % 10
    assert (game.discriminator(batch.x, batch.y) - game.discriminator(batch.x, other)).abs().min() > 1e-6
    z = game.z.sample(32)
    assert (game.generator(z, batch.y) - game.generator(z, other)).abs().mean() > 1e-4


def test_a_conditional_game_scores_a_fake_with_the_label_it_was_drawn_for(digits: Prepared) -> None:
    game = fit("cgan", {"matching_aware": True}, "mlp", digits)
    batch = Batches(digits, 32, 0).at(0)
    asked: list[torch.Tensor] = []
    scored: list[tuple[bool, torch.Tensor]] = []

    class Told(torch.nn.Module):
        def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            asked.append(y)
            return torch.full((len(z), 1, 8, 8), 7.0)

    class Scorer(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            scored.append((bool((x == 7).all()), y))
            return torch.zeros(len(x))

    game = with_parts(game, generator=Told(), discriminator=Scorer())
    for update in game.updates():
        update.loss(batch, NOW)
    fakes = [y for is_fake, y in scored if is_fake]
    assert len(fakes) == 2
    assert all(torch.equal(a, f) for a, f in zip(asked, fakes, strict=True))
    reals = [y for is_fake, y in scored if not is_fake]
    assert torch.equal(reals[0], batch.y), "the real marginal, and each with its own"
    assert not (reals[1] == batch.y).any(), "the mismatched real samples are all mismatched"


def gradients(loss: dict[str, torch.Tensor], player: torch.nn.Module) -> float:
    """The largest gradient of one term or several on a player; 0 where there is none."""
    found = torch.autograd.grad(
        sum(loss.values()), list(player.parameters()), allow_unused=True, retain_graph=True, materialize_grads=True
    )
    return max(g.abs().max().item() for g in found)


def test_vae_gan_routes_its_gradients(digits: Prepared) -> None:
    """Larsen et al. 2016, algorithm 1: whoever moves has the gradient of his own terms, at the weights of one pass."""
    game = fit("vae_gan", {"gamma": 0.5}, "mlp", digits)
    batch = Batches(digits, 32, 0).at(0)
    own = {"encoder": ("prior", "likelihood"), "decoder": ("content", "style"), "discriminator": ("real", "fake")}
    torch.manual_seed(5)
    terms = game.losses(batch, NOW).terms
    expected = {
        name: torch.autograd.grad(sum(terms[t] for t in its), getattr(game, name).parameters(), retain_graph=True)
        for name, its in own.items()
    }
    assert terms.keys() == {term for its in own.values() for term in its}
    assert terms["content"].item() == pytest.approx(terms["likelihood"].item() / 2)
    run = begin(game)
    (update,) = run.updates
    set_requires_grad(run, update)
    torch.manual_seed(5)
    differentiate(run, update, batch, NOW)
    for name, gradient in expected.items():
        found = [p.grad for p in getattr(game, name).parameters()]
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, gradient, strict=True)), name
    for term in ("content", "style"):
        assert gradients({term: terms[term]}, game.decoder) > 0


@pytest.mark.parametrize(
    ("real", "fake", "waits"),
    [
        (0.7, 0.7, ""),
        (0.2, 0.7, "discriminator"),
        (0.7, 1.2, "decoder"),
        (0.2, 1.2, ""),
        (1.2, 1.2, "decoder"),
        (0.1, 0.1, "discriminator"),
    ],
)
def test_the_equilibrium_gate(real: float, fake: float, waits: str, digits: Prepared) -> None:
    """Who wins by the margin waits; if both should, both move. Without a margin all do."""
    stats = {"real": torch.tensor(real), "fake": torch.tensor(fake)}
    for margin, said in ((0.35, waits), (0.0, "")):
        game = build_game("vae_gan", NetworkSpec("mlp", 8, 4, digits.shape), {"margin": margin})
        assert game.equilibrium_gate(stats) == ([said] if said else [])


def test_who_is_skipped_stays_where_he_is(digits: Prepared) -> None:
    """And the others move."""
    run = begin(fit("vae_gan", {"margin": 0.35}, "mlp", digits))
    before = weights(run.game)
    update_alone(run, replace(run.updates[0], skip=lambda _: ["decoder"]), Batches(digits, 16, 0).at(0))
    moved = {name.split(".")[0] for name, value in weights(run.game).items() if not torch.equal(value, before[name])}
    assert moved == {"encoder", "discriminator"}


def test_each_player_has_his_own_rate(digits: Prepared) -> None:
    game = build_game("vae_gan", NetworkSpec("mlp", 8, 4, digits.shape), {"discriminator_learning_rate": 1e-5})
    run = take_steps(begin(game), Batches(digits, 16, 0).at, 1)
    groups = {name: optimizer.param_groups[0] for name, optimizer in run.optimizers.items()}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "encoder": 5e-4,
        "decoder": 5e-4,
        "discriminator": 1e-5,
    }
    assert {group["betas"] for group in groups.values()} == {(0.5, 0.999)}


def test_the_target_of_the_feature_likelihood_is_a_constant(digits: Prepared) -> None:
    """1/2 |Dis_l(x~) - Dis_l(x)|^2, summed over features, and a constant; its gradient reaches x~ and not x."""
    game = fit("vae_gan", {}, "mlp", digits)
    x, decoded = Batches(digits, 8, 0).at(0).x.requires_grad_(), torch.randn(8, 1, 8, 8, requires_grad=True)
    value = game.likelihood(game.discriminator.features(x), game.discriminator.features(decoded))
    value.backward()
    assert x.grad is None
    assert decoded.grad.abs().sum() > 0
    off = game.discriminator.features(decoded) - game.discriminator.features(x)
    constant = math.log(2 * math.pi) / 2 * off.shape[1]
    assert value.item() == pytest.approx((off.square().sum() / 2 / 8).item() + constant, rel=1e-5)


@pytest.mark.parametrize("owner", ["discriminator", "generator", "joint"])
def test_mutual_information_reaches_the_generator_whoever_owns_q(digits: Prepared, owner: str) -> None:
    """A detached fake would leave the code without meaning. Real samples have no code, so Q never sees one."""
    game = fit("info_gan", {"q_owner": owner}, "mlp", digits)
    batch = Batches(digits, 32, 0).at(0)
    d, g = game.updates()
    information = {k: v for k, v in g.loss(batch, NOW).terms.items() if k in ("generator_category", "generator_code")}
    assert len(information) == 2
    assert all(gradients({k: v}, game.generator) > 0 for k, v in information.items())
    owns = {"discriminator": (True, False), "generator": (False, True), "joint": (True, True)}[owner]
    assert tuple("recogniser" in u.players for u in (d, g)) == owns
    if owns[0]:
        code = {k: v for k, v in d.loss(batch, NOW).terms.items() if k in ("category", "code")}
        assert gradients(code, game.discriminator) > 0, "the trunk is shared"
        assert gradients(code, game.recogniser) > 0
        a, b = (Batches(digits, 32, 0, noise=1.0).at(k) for k in (0, 1))
        torch.manual_seed(1)
        first = d.loss(a, NOW).terms["category"].item()
        torch.manual_seed(1)
        assert d.loss(b, NOW).terms["category"].item() == first, "the code's loss is of fakes alone"
    else:
        assert d.loss(batch, NOW).terms.keys() == {"real", "fake"}


def test_a_cycle_is_measured_in_both_domains(domains: Prepared) -> None:
    """Eq. 2 with generators that are known: the identity has no cycle loss, x -> x + 1/2 and back has 0, once 1/2."""
    game = build_game("cycle_gan", NetworkSpec("mlp", 8, 0, domains.shape), {"cycle": 10.0})
    batch = Batches(domains, 8, 0).at(0)

    class Plus(torch.nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = by

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.by

    def terms(there: float, back: float) -> dict[str, float]:
        played = with_parts(game, a_to_b=Plus(there), b_to_a=Plus(back))
        return {k: v.item() for k, v in played.updates()[0].loss(batch, NOW).terms.items()}

    assert terms(0, 0)["cycle_a"] == terms(0, 0)["identity"] == 0
    both = terms(0.5, -0.5)
    assert both["cycle_a"] == pytest.approx(0, abs=1e-5)
    assert both["identity"] == pytest.approx(0.5 * 10 * (0.5 + 0.5), rel=1e-5)
    assert terms(0.5, 0)["cycle_b"] == pytest.approx(10 * 0.5, rel=1e-5)


def test_the_discriminators_of_a_cycle_never_move_a_generator(domains: Prepared) -> None:
    game = build_game("cycle_gan", NetworkSpec("resnet", 4, 0, domains.shape), {})
    (_, first), (_, second) = in_order(game, Batches(domains, 8, 0).at(0))
    assert first.shared["fake_a"].shape == (8, *domains.shape), "the fakes of the generators' own step"
    loss = second.terms
    assert gradients(loss, game.a_to_b) == gradients(loss, game.b_to_a) == 0
    assert gradients(loss, game.discriminator_a) > 0
    assert int(game.pool_a.count) == int(game.pool_b.count) == 8, "what was shown is remembered"


def test_a_schedule_is_what_it_says() -> None:
    """Over images or to the end of the run; before and after it is constant; half a cosine is half way at half time."""
    fall = Schedule(2.0, 0.0, begin=0.5)
    assert [fall.at(0, k / 10) for k in range(11)] == pytest.approx([2, 2, 2, 2, 2, 2, 1.6, 1.2, 0.8, 0.4, 0])
    cosine = Schedule(0.9, 0.99, images=1000, shape="cosine")
    quarter = 0.9 + 0.09 * (1 - math.cos(math.pi / 4)) / 2
    found = [cosine.at(images, 0.0) for images in (0, 250, 500, 1000, 5000)]
    assert found == pytest.approx([0.9, quarter, 0.945, 0.99, 0.99])
    assert Moment(3, 500, 0.1).value(cosine) == pytest.approx(0.945)
    assert Moment(3, 500, 0.1).value(0.25) == 0.25


def test_rates_fall_linearly_when_a_paper_says_so(domains: Prepared) -> None:
    game = build_game("cycle_gan", NetworkSpec("mlp", 4, 0, domains.shape), {"learning_rate": 0.5, "decay_from": 0.0})
    run = begin(game, plan(8))
    run.step = 6
    advance(run, Batches(domains, 16, 0).at)
    assert run.optimizers["a_to_b"].param_groups[0]["lr"] == pytest.approx(0.125)


def test_learned_f_moves_towards_the_data(digits: Prepared) -> None:
    """The gradient on f is that of the energy distance after one step: checked against a finite difference."""
    torch.manual_seed(0)
    game = build_game("learned_f", NetworkSpec("mlp", 8, 2, (1,)), {"lookahead": 0.5})
    game.generator.double(), game.discriminator.double(), game.f.double()
    batch = Batch(torch.randn(64, 1, dtype=torch.float64))
    torch.set_default_dtype(torch.float64)
    try:
        bias = game.f.body[-1].bias

        def outer() -> torch.Tensor:
            torch.manual_seed(7)
            return game.f_loss(batch, NOW).terms["energy_distance"]

        (slope,) = torch.autograd.grad(outer(), bias)
        with torch.no_grad():
            bias += 1e-4
        up = outer().item()
        with torch.no_grad():
            bias -= 2e-4
        assert slope.item() == pytest.approx((up - outer().item()) / 2e-4, rel=1e-3)
        assert abs(slope.item()) > 1e-9
        assert gradients(game.discriminator_loss(batch, NOW).terms, game.f) == 0, "the log-ratio knows nothing of f"
    finally:
        torch.set_default_dtype(torch.float32)


@dataclass(frozen=True)
class Idle(Gan):
    """Its generator is never asked to move."""

    def updates(self) -> tuple[Update, ...]:
        discriminator, generator = super().updates()
        return discriminator, replace(generator, repeats=0)


def test_an_update_that_is_not_applied_leaves_no_figure(digits: Prepared, tmp_path: Path) -> None:
    """A mean is over the times a term was computed; a table has an empty cell where it was not."""
    game = assembled(Idle, NetworkSpec("mlp", 16, 8, digits.shape), {})
    run = train(begin(game, plan(4)), Batches(digits, 16, 0).at, State(tmp_path, "rest"))
    assert run.history[0].keys() == {"step", "real", "fake"}
    assert 0.5 < run.history[0]["real"] < 0.9, "not halved by a count of steps"
    run.history[1] |= {"style": 1.0}
    write_table(tmp_path / "loss.csv", run.history)
    lines = (tmp_path / "loss.csv").read_text().splitlines()
    assert lines[0].endswith(",style")
    assert lines[1].endswith(",")
    assert lines[2].endswith(",1.0")
