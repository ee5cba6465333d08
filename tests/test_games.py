"""Laws every game obeys. They run over the whole table, so a new paper gets them for nothing."""

import copy
from pathlib import Path

import pytest
import torch

from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared
from gan_core.game import Game, players
from gan_core.seeds import fold
from gan_core.signature import Body
from gan_core.training.checkpoint import State
from gan_core.training.loop import Plan, Stopped, descend, make_optimizer, play, play_step, start
from gan_core.types import Batch


def weights(game: Game) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": p.detach().clone()
        for name, network in players(game).items()
        for key, p in network.named_parameters()
    }


def plan(steps: int, every: int = 3) -> Plan:
    return Plan("test", steps, 0, 2, every)


def test_only_the_players_of_an_update_move(game: Game, digits: Prepared) -> None:
    batch = Batches(digits, 16, 0).at(0)
    for k, update in enumerate(game.updates()):
        moving = {name for name, network in players(game).items() if any(network is p for p in update.players)}
        before = weights(game)
        for name, network in players(game).items():
            network.requires_grad_(name in moving)
        descend(update, make_optimizer(update.optimizer, update), batch)
        moved = {name.split(".")[0] for name, value in weights(game).items() if not torch.equal(value, before[name])}
        assert moved == moving, f"update {k}"


def test_every_weight_of_a_player_gets_a_finite_gradient(game: Game, digits: Prepared) -> None:
    batch = Batches(digits, 32, 0).at(0)
    for update in game.updates():
        torch.stack(list(update.loss(batch).values())).sum().backward()
        for player in update.players:
            for name, p in player.named_parameters():  # type: ignore[attr-defined]
                assert p.grad is not None, name
                assert torch.isfinite(p.grad).all(), name
                # A bias before batch normalisation, or of a critic whose constant cancels, has a zero gradient by law.
                assert p.grad.abs().max() > 0 or name.endswith("bias"), name
                p.grad = None


def test_terms_are_finite_scalars_with_distinct_names(game: Game, digits: Prepared) -> None:
    batch = Batches(digits, 16, 0).at(0)
    names: list[str] = []
    for update in game.updates():
        for name, value in update.loss(batch).items():
            assert value.shape == ()
            assert torch.isfinite(value)
            names.append(name)
    assert len(names) == len(set(names))


def test_a_run_is_a_function_of_its_seed(digits: Prepared, tmp_path: Path, game: Game) -> None:
    def ends(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(torch.initial_seed() + 1)  # whatever the global seed is
        run = start(copy.deepcopy(game), 0.9)
        batches = Batches(digits, 16, seed)
        for _ in range(3):
            play_step(run, batches.at, seed)
            run.step += 1
        return weights(run.game)

    one, again, other = ends(0), ends(0), ends(1)
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_gan_adds_r1_times_gamma(digits: Prepared) -> None:
    """For v(x) = <w, x> the term is gamma |w|^2 / 2, and it is the only one that gamma adds."""
    game = assemble("gan", Body("mlp", 8, 4, digits.shape, digits.classes), {"r1": 0.3})
    w = torch.randn(64)

    class Linear(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) @ w

    terms = type(game)(**{**vars(game), "discriminator": Linear()}).updates()[0].loss(Batches(digits, 16, 0).at(0))
    assert terms.keys() == {"real", "fake", "r1"}
    assert terms["r1"].item() == pytest.approx(0.15 * w.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_a_run_cut_anywhere_ends_in_the_same_bits(game: Game, digits: Prepared, tmp_path: Path, cut: int) -> None:
    first = copy.deepcopy(game)
    whole = play(start(first, 0.9), Batches(digits, 16, 0, 0.1).at, plan(8), State(tmp_path, "whole"))
    state = State(tmp_path, "cut")
    asked = iter(range(1, 99))
    with pytest.raises(Stopped):
        play(
            start(copy.deepcopy(game), 0.9), Batches(digits, 16, 0, 0.1).at, plan(8), state, lambda: next(asked) >= cut
        )
    assert state.saved()[0][0] == cut
    rest = play(start(copy.deepcopy(game), 0.9), Batches(digits, 16, 0, 0.1).at, plan(8), state)
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


@pytest.mark.parametrize("forgotten", ["player", "average", "optimizer"])
def test_each_part_of_the_state_is_needed(digits: Prepared, tmp_path: Path, forgotten: str) -> None:
    """Forget one part when resuming, and the end differs: the state holds nothing idle."""
    game = assemble("gan", Body("mlp", 16, 8, digits.shape, digits.classes), {})

    def end(steps: int, state: State, forget: bool) -> dict[str, torch.Tensor]:
        run = start(copy.deepcopy(game), 0.9)
        if forget:
            parts = type(run)._parts
            run._parts = lambda: {k: v for k, v in parts(run).items() if not k.startswith(forgotten)}  # type: ignore[method-assign]
        play(run, Batches(digits, 16, 0).at, plan(steps), state)
        return weights(run.game) | {f"ema.{k}": v for k, v in run.averages["generator"].network.state_dict().items()}

    whole = end(6, State(tmp_path, "whole"), False)
    end(3, State(tmp_path, "cut"), False)
    rest = end(6, State(tmp_path, "cut"), True)
    assert any(not torch.equal(whole[k], rest[k]) for k in whole)


def on_a_line(theta: float, n: int = 256) -> torch.Tensor:
    """Example 1 of Arjovsky et al. 2017: the segment {theta} x U[0, 1]."""
    return torch.stack([torch.full((n,), theta), torch.rand(n)], 1)


@pytest.mark.parametrize("theta", [0.25, -0.5])
def test_wasserstein_estimate_on_parallel_lines(theta: float) -> None:
    """The estimate is linear in |theta| where JS is flat, with the soft penalty's bias: slope 1 + |theta| / (2 lambda).

    The gradient on theta has its sign: the generator is moved towards the data, not away.
    """
    torch.manual_seed(fold("line", str(theta)))
    game = assemble("wgan_gp", Body("mlp", 64, 2, (2,)), {"learning_rate": 1e-3, "beta1": 0.5})
    where = torch.tensor(theta, requires_grad=True)

    class Line(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.stack([where.expand(len(z)), torch.rand(len(z))], 1)

    game = type(game)(**{**vars(game), "generator": Line()})
    update = game.updates()[0]
    optimizer = make_optimizer(update.optimizer, update)
    estimates = []
    for step in range(900):
        terms = descend(update, optimizer, Batch(on_a_line(0.0)))
        if step >= 700:
            estimates.append(-terms["critic"].item())
    slope = 1 + abs(theta) / 20
    assert sum(estimates) / len(estimates) / abs(theta) == pytest.approx(slope, abs=0.04)
    where.grad = None
    game.updates()[1].loss(Batch(on_a_line(0.0)))["generator"].backward()
    assert where.grad.item() * (1 if theta > 0 else -1) == pytest.approx(slope, abs=0.06)


def test_js_is_flat_on_parallel_lines() -> None:
    """The same game under the discriminator: log 2 at any distance, and no gradient left for the minimax generator."""
    found = {}
    for theta in (0.25, 1.0):
        torch.manual_seed(3)
        game = assemble("gan", Body("mlp", 64, 2, (2,)), {"learning_rate": 1e-3, "objective": "saturating"})
        where = torch.tensor(theta, requires_grad=True)

        class Line(torch.nn.Module):
            def forward(self, z: torch.Tensor, where: torch.Tensor = where) -> torch.Tensor:
                return torch.stack([where.expand(len(z)), torch.rand(len(z))], 1)

        game = type(game)(**{**vars(game), "generator": Line()})
        update = game.updates()[0]
        optimizer = make_optimizer(update.optimizer, update)
        for _ in range(1200):
            terms = descend(update, optimizer, Batch(on_a_line(0.0)))
        found[theta] = 0.693147 - sum(t.item() for t in terms.values()) / 2
        where.grad = None
        game.updates()[1].loss(Batch(on_a_line(0.0)))["generator"].backward()
        assert abs(where.grad.item()) < 5e-3  # of the Wasserstein gradient's 1
    assert all(0.99 * 0.693147 < js <= 0.6932 for js in found.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_every_game_plays_on_a_gpu_and_repeats(game: Game, digits: Prepared) -> None:
    ends = []
    for _ in range(2):
        run = start(copy.deepcopy(game), 0.9, "cuda")
        batches = Batches(digits, 16, 0, device="cuda")
        for _ in range(3):
            play_step(run, batches.at, 0)
            run.step += 1
        ends.append(weights(run.game))
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
        run = start(assemble(variant, Body("mlp", 16, 8, digits.shape, digits.classes), settings), 0.9)
        for _ in range(5):
            play_step(run, Batches(digits, 16, 0).at, 0)
            run.step += 1
        with torch.no_grad():
            fake = run.game.generator(z)
            ends.append((fake, run.game.discriminator(fake)))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("clip", [0.01, 0.05])
def test_wgan_clips_after_the_step(digits: Prepared, clip: float) -> None:
    """Whatever the critic's step did, the generator meets weights within [-c, c]: clipping before it would not do."""
    game = assemble("wgan", Body("mlp", 16, 8, digits.shape, digits.classes), {"clip": clip, "learning_rate": 0.1})
    run = start(game, 0.9)
    critic, generator = game.updates()
    run.optimizers[0].param_groups[0]["lr"] = 0.1
    descend(critic, run.optimizers[0], Batches(digits, 16, 0).at(0))
    largest = max(p.abs().max().item() for p in critic.players[0].parameters())
    assert largest == pytest.approx(clip), "moved to the bound, and not beyond"
    assert generator.project is None


def test_wgan_trains_its_critic_longer_when_it_must() -> None:
    game = assemble("wgan", Body("mlp", 8, 4, (2,)), {})
    times = [game.updates()[0].times(step) for step in (0, 24, 25, 26, 499, 500, 501, 1000)]
    assert times == [100, 100, 5, 5, 5, 100, 5, 100]
    never = assemble("wgan", Body("mlp", 8, 4, (2,)), {"warm_up": 0})
    assert {never.updates()[0].times(step) for step in range(1001)} == {5}


@pytest.mark.parametrize("settings", [{"conditioning": "concat"}, {"conditioning": "projection"}], ids=str)
@pytest.mark.parametrize("family", ["mlp", "dcgan"])
def test_a_conditional_discriminator_sees_its_label(digits: Prepared, settings: dict[str, str], family: str) -> None:
    """Without it the game is unconditional whatever the generator is told."""
    game = assemble("cgan", Body(family, 16, 8, digits.shape, digits.classes), settings)
    batch = Batches(digits, 32, 0).at(0)
    other = (batch.y + 1) % 10
    assert (game.discriminator(batch.x, batch.y) - game.discriminator(batch.x, other)).abs().min() > 1e-6
    z = game.z.sample(32)
    assert (game.generator(z, batch.y) - game.generator(z, other)).abs().mean() > 1e-4


def test_a_conditional_game_judges_a_fake_with_the_label_it_was_drawn_for(digits: Prepared) -> None:
    game = assemble("cgan", Body("mlp", 16, 8, digits.shape, digits.classes), {"matching_aware": True})
    batch = Batches(digits, 32, 0).at(0)
    asked: list[torch.Tensor] = []
    judged: list[tuple[bool, torch.Tensor]] = []

    class Told(torch.nn.Module):
        def forward(self, z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            asked.append(y)
            return torch.full((len(z), 1, 8, 8), 7.0)

    class Judge(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            judged.append((bool((x == 7).all()), y))
            return torch.zeros(len(x))

    game = type(game)(**{**vars(game), "generator": Told(), "discriminator": Judge()})
    for update in game.updates():
        update.loss(batch)
    fakes = [y for is_fake, y in judged if is_fake]
    assert len(fakes) == 2
    assert all(torch.equal(a, f) for a, f in zip(asked, fakes, strict=True))
    reals = [y for is_fake, y in judged if not is_fake]
    assert torch.equal(reals[0], batch.y), "the real marginal, and each with its own"
    assert not (reals[1] == batch.y).any(), "the mismatched real samples are all mismatched"
