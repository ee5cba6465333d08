"""Who looks on while a run is played: disturbs nothing, keeps the best, resumes exactly, accuses the guilty only."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_core import config
from gan_core.assemble import assemble
from gan_core.datasets.prepared import Batches, Prepared, prepare
from gan_core.datasets.sources import read
from gan_core.errors import NumericsError
from gan_core.game import Game, Update, judges, players
from gan_core.metrics.quick import Quick
from gan_core.networks.build import build
from gan_core.seeds import fold
from gan_core.signature import Body, Recipe
from gan_core.training import health
from gan_core.training.checkpoint import State
from gan_core.training.loop import Plan, Run, Stopped, play, start
from gan_core.training.watch import Best, Sight, Watch, moments
from gan_core.types import Batch
from gan_core.variants import VARIANTS
from gan_core.variants.gan import Gan
from tests.conftest import fitting


def prepared(spec: config.Dataset, folder: Path) -> Prepared:
    prepare(read(spec), spec, folder)
    return Prepared(folder)


def sights(data: Prepared) -> dict[str, Sight]:
    torch.manual_seed(0)
    recipe = Recipe("classifier.conv" if data.is_image else "classifier.identity", data.shape, 16, outputs=10)
    extractor = build(recipe)
    if data.is_image:  # random features, of mean 0 and variance 1
        norm = next(m for m in extractor.modules() if isinstance(m, torch.nn.BatchNorm1d))
        norm.momentum = None
        extractor.features(data.samples("train")[:])
    extractor.eval()
    return {
        space: Sight(Quick(extractor, d.samples("train")), *((d.samples(p), d.labels(p)) for p in ("train", "heldout")))
        for space, d in data.spaces.items()
    }


def game_of(variant: str, data: Prepared, seed: int = 0, width: int = 16, **settings: Any) -> Game:
    torch.manual_seed(fold(seed, "weights"))
    return assemble(variant, Body(fitting(variant)[0], width, 8, data.shape, data.classes), settings)


def watched(
    game: Game, data: Prepared, folder: Path, steps: int, every: int, batch: int = 64, seed: int = 0
) -> tuple[Watch, Run]:
    watch = Watch(every, steps, seed, batch, sights(data))
    run = start(game, 0.99)
    play(run, Batches(data, batch, seed).at, Plan("t", steps, seed, 50, 10**6), State(folder, "w"), witness=watch)
    return watch, run


def kinds(watch: Watch, run: Run) -> set[str]:
    return {event["kind"] for event in watch.health(run)["events"]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_watched_run_is_the_same_run(variant: str, digits: Prepared, domains: Prepared, tmp_path: Path) -> None:
    """Whoever looks on, and however often, every weight and buffer ends the same; every judge gives a score a row."""
    data = domains if "pair" in config.asks(variant) else digits
    games = [game_of(variant, data) for _ in range(2)]
    plan, batches = Plan("t", 3, 0, 10, 10), Batches(data, 16, 0)
    watch = Watch(2, 3, 0, 16, sights(data))
    run = play(start(games[0], 0.9), batches.at, plan, State(tmp_path, "a"), witness=watch)
    play(start(games[1], 0.9), batches.at, plan, State(tmp_path, "b"))
    for name, network in players(games[0]).items():
        other = players(games[1])[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in network.state_dict().items()), name
    drawing = {role for role, player in games[0].exports().items() if player.recipe.gives in watch.sights}
    assert [x["step"] for x in watch.figures] == [2, 3]
    assert watch.looks.keys() == drawing
    assert judges(games[0]).keys() == (drawing if variant != "vae" else set())
    assert all(("train_over_heldout" in look) == (variant != "vae") for look in watch.looks[min(drawing)])
    assert all(network.training for network in players(games[0]).values())
    assert watch.best.best["step"] in (2, 3)
    assert run.setbacks == []


def test_a_watched_run_cut_anywhere_is_the_same_run(digits: Prepared, tmp_path: Path) -> None:
    """What was seen, the best weights and the samples kept over time survive a kill."""

    def final(folder: str, cut: int) -> tuple[Watch, Run]:
        state = State(tmp_path / folder, "f")
        for stop in (cut, 0):
            watch = Watch(4, 22, 0, 16, sights(digits))
            run = start(game_of("gan", digits), 0.9)
            asked = iter([False] * (stop - 1) + [True])
            try:
                play(run, Batches(digits, 16, 0).at, Plan("t", 22, 0, 5, 7), state, lambda: stop and next(asked), watch)  # noqa: B023
            except Stopped:
                continue
        return watch, run

    whole, run = final("whole", 0)
    for cut in (3, 8, 13):
        watch, again = final(f"cut{cut}", cut)
        assert watch.figures == whole.figures
        assert watch.health(again) == whole.health(run)
        assert watch.best.best["step"] == whole.best.best["step"]
        for role, weights in whole.best.best["weights"].items():
            assert all(torch.equal(v, watch.best.best["weights"][role][k]) for k, v in weights.items())
        assert watch.strips.keys() == whole.strips.keys()
        assert all(torch.equal(v, watch.strips[k]) for k, v in whole.strips.items())


def test_one_lucky_look_is_not_shipped() -> None:
    """The median of three: a look whose neighbours are bad is no best; of the first and the last the worse counts."""

    def shipped(*distances: float) -> int:
        best = Best()
        for step, distance in enumerate(distances, 1):
            best.add(step, distance, {})
        best.finish()
        return int(best.best["step"])

    assert shipped(5, 4, 3, 2, 1) == 5
    assert shipped(9, 8, 0, 8, 7, 3, 4, 3, 9) == 7, "the lucky third is not the best"
    assert shipped(5, 2, 2.1, 2, 6, 9) == 3
    assert shipped(1) == 1
    assert shipped(3, 1) == 2


def test_moments_are_evenly_spaced_in_the_logarithm() -> None:
    assert moments(4000) == [1, 3, 11, 35, 114, 374, 1223, 4000]
    assert moments(3) == [1, 2, 3]


def poisoned(data: Prepared, times: int) -> Callable[[int], Batch]:
    """The thirtieth batch is none, so often."""
    batches, left = Batches(data, 16, 0), [times]

    def at(i: int) -> Batch:
        batch = batches.at(i)
        if i == 30 and left[0]:
            left[0] -= 1
            return Batch(batch.x * float("nan"))
        return batch

    return at


def test_nan_goes_back_to_a_good_state_at_half_the_rate(digits: Prepared, tmp_path: Path, capsys) -> None:
    """Players, optimizers and what was seen go back together; the rate is halved; the run ends well, and it is said."""
    watch = Watch(5, 25, 0, 16, sights(digits))
    run = start(game_of("gan", digits), 0.9)
    play(run, poisoned(digits, 2), Plan("t", 25, 0, 5, 10), State(tmp_path, "f"), witness=watch)
    assert run.pace == 0.25
    assert all(group["lr"] == pytest.approx(2e-4 / 4) for o in run.optimizers for group in o.param_groups)
    events = watch.health(run)["events"]
    assert [(e["step"], e["kind"]) for e in events if e["kind"] == "not_a_number"] == [(16, "not_a_number")] * 2
    assert "became nan by step 16" in events[0]["says"]
    assert "back to step 10, its optimizers included, at half the learning rates (once now)" in events[0]["says"]
    assert [x["step"] for x in watch.figures] == [5, 10, 15, 20, 25], "no look is missing, none is doubled"
    assert [row["step"] for row in run.history] == [5, 10, 15, 20, 25]
    assert "back to step 10" in capsys.readouterr().err


def test_nan_before_any_look_starts_again_and_not_for_ever(digits: Prepared, tmp_path: Path) -> None:
    run = start(game_of("gan", digits), 0.9)
    always = lambda i: Batch(Batches(digits, 16, 0).at(i).x * float("inf"))  # noqa: E731
    with pytest.raises(NumericsError, match=r"by step 2; lower settings.* \(set back 3 times, each time to half"):
        play(run, always, Plan("t", 9, 0, 2, 10), State(tmp_path, "f"))


def test_a_set_back_run_is_the_run_from_the_good_state(digits: Prepared, tmp_path: Path) -> None:
    """Going back forgets nothing and keeps nothing: it ends as one that started from that state at half the rate."""
    first = start(game_of("gan", digits), 0.9)
    play(first, poisoned(digits, 1), Plan("t", 25, 0, 5, 10), State(tmp_path, "a"))
    state = State(tmp_path, "b")
    second = start(game_of("gan", digits), 0.9)
    asked = iter([False] * 9 + [True])
    with pytest.raises(Stopped):
        play(second, poisoned(digits, 0), Plan("t", 25, 0, 5, 10), state, lambda: next(asked))
    saved = copy.deepcopy(state.newest())
    state.save(10, saved | {"setbacks": [{"step": 20, "kind": "not_a_number", "says": ""}]})
    third = play(start(game_of("gan", digits), 0.9), poisoned(digits, 0), Plan("t", 25, 0, 5, 10), state)
    a, b = (players(r.game)["generator"].state_dict() for r in (first, third))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_discriminator_that_knows_the_sample_by_heart_is_named(tmp_path: Path) -> None:
    """Eighty digits and no regularisation."""
    data = prepared(config.Digits("digits", 0.955), tmp_path / "d")
    watch, run = watched(game_of("gan", data, width=256), data, tmp_path, 900, 90, batch=32)
    assert kinds(watch, run) == {"sample_solved"}
    assert "chance 0.9" in watch.health(run)["events"][0]["says"]


def test_a_generator_without_a_gradient_is_named(digits: Prepared, tmp_path: Path) -> None:
    """The minimax objective, and a generator that hardly moves while its discriminator learns to tell all from all."""

    class Unfair(Gan):
        def updates(self) -> Sequence[Update]:
            judge, generator = super().updates()
            return judge, replace(generator, optimizer=replace(generator.optimizer, learning_rate=1e-7))

    fair = game_of("gan", digits, width=64, objective="saturating", learning_rate=1e-3)
    game = Unfair(**{f.name: getattr(fair, f.name) for f in fields(fair)})  # type: ignore[arg-type]
    watch, run = watched(game, digits, tmp_path, 400, 20)
    assert kinds(watch, run) == {"vanishing_gradient", "js_pinned"}


def test_a_collapsed_generator_is_named(tmp_path: Path) -> None:
    data = prepared(config.Ring("ring", 8, 0.05, 5000, 0, 0.2), tmp_path / "d")
    game = game_of("gan", data, width=64, learning_rate=1e-2, beta1=0.9)
    watch, run = watched(game, data, tmp_path, 800, 80)
    assert kinds(watch, run) - {"recovered"} == {"mode_collapse"}


def test_a_healthy_run_is_not_accused(digits: Prepared, tmp_path: Path) -> None:
    """Of ten seeds: `make claims` (H1)."""
    watch, run = watched(game_of("gan", digits, width=64, r1=0.1, learning_rate=1e-3), digits, tmp_path, 600, 60)
    assert watch.health(run)["events"] == []
    assert watch.figures[-1]["kid"] < watch.figures[0]["kid"] / 2


def look(step: int, **figures: float) -> dict[str, float]:
    healthy = {
        "distance": 1 / step, "coverage": 0.8, "precision": 0.8, "spread": 1.0, "gradient": 1.0,
        "train_over_heldout": 0.6, "real_over_drawn": 0.8, "js": 0.3,
    }  # fmt: skip
    return {"step": step, **healthy, **figures}


@pytest.mark.parametrize(
    ("kind", "ill"),
    [
        ("sample_solved", {"train_over_heldout": 0.95, "real_over_drawn": 1.0}),
        ("js_pinned", {"js": 0.999 * log(2), "distance": 2.0}),
        ("vanishing_gradient", {"gradient": 1e-5, "distance": 2.0, "real_over_drawn": 1.0}),
        ("mode_collapse", {"coverage": 0.02, "spread": 0.1}),
        ("mode_collapse", {"coverage": 0.12, "spread": 0.9, "precision": 0.99}),
    ],
)
def test_an_illness_needs_several_looks_in_a_row(kind: str, ill: dict[str, float]) -> None:
    """Two bad looks are no illness, three are, and it is said when it is over."""
    looks = [look(k) for k in range(1, 6)]
    assert health.events([*looks, look(6, **ill), look(7, **ill), look(8)]) == []
    found = health.events([*looks, *(look(k, **ill) for k in (6, 7, 8, 9)), look(10)])
    assert [(e["step"], e["kind"]) for e in found] == [(8, kind), (10, "recovered")]


def test_a_critic_that_tells_all_from_all_while_samples_improve_is_not_accused() -> None:
    """As a Wasserstein critic may; nor is a generator whose gradient falls because it is done."""
    assert health.events([look(k, js=log(2), real_over_drawn=1.0) for k in range(1, 12)]) == []


def test_without_a_judge_only_the_samples_speak() -> None:
    bare = [{k: v for k, v in look(s, coverage=0.01, spread=0.1).items() if k in KEPT} for s in range(1, 6)]
    assert [e["kind"] for e in health.events(bare, "decoder")] == ["mode_collapse"]
    assert health.events(bare, "decoder")[0]["says"].startswith("decoder: the samples have collapsed")


KEPT = ("step", "distance", "coverage", "precision", "spread", "gradient")


def test_scores_are_compared_by_rank() -> None:
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.0])
    assert health.ranked_above(a, b) == pytest.approx((3 + 0.5 + 1) / 6)
    assert health.ranked_above(a, b) == pytest.approx(health.ranked_above(a.exp(), b.exp()))
    assert health.jensen_shannon(torch.full((9,), 50.0), torch.full((9,), -50.0)) == pytest.approx(log(2))
    assert health.jensen_shannon(torch.zeros(9), torch.zeros(9)) == 0
