"""What watches a run in training: it disturbs nothing, keeps the best, resumes exactly, and diagnoses the failure."""

import contextlib
import copy
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_core.config import papers, schema
from gan_core.core.build_game import build_game
from gan_core.core.build_network import build_network
from gan_core.core.game import Adam, Game, modules, scorers
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import read
from gan_core.metrics.features import of_network
from gan_core.metrics.online import OnlineMeasure
from gan_core.runtime.errors import NumericsError
from gan_core.runtime.seeds import fold
from gan_core.training import diagnosis
from gan_core.training.checkpoint import State
from gan_core.training.loop import Stopped, start, train
from gan_core.training.monitor import Best, DomainReference, Monitor, snapshot_steps
from gan_core.training.run import Plan, Run
from gan_core.variants.cycle_gan import CycleGan
from gan_core.variants.gan import Gan
from stages.train import advisable
from tests.conftest import QUICK, VARIANTS, begin, fitting


def prepared(spec: schema.Dataset, folder: Path) -> Prepared:
    prepare(read(spec), spec, folder)
    return Prepared(folder)


def references(data: Prepared) -> dict[str, DomainReference]:
    torch.manual_seed(0)
    config = NetworkConfig("classifier.conv" if data.is_image else "classifier.identity", data.shape, 16, outputs=10)
    extractor = build_network(config)
    if data.is_image:  # random features, of mean 0 and variance 1
        norm = next(m for m in extractor.modules() if isinstance(m, torch.nn.BatchNorm1d))
        norm.momentum = None
        extractor.features(data.samples("train")[:])
    network = of_network("own" if data.is_image else "coordinates", extractor.eval())

    def part(domain: Prepared, name: str) -> tuple[Any, dict[str, Any]]:
        labels = domain.labels(name)
        return domain.samples(name), {} if labels is None else {"y": labels}

    return {
        space: DomainReference(OnlineMeasure(network, d.samples("train")), part(d, "train"), part(d, "heldout"))
        for space, d in data.spaces.items()
    }


def game_of(variant: str, data: Prepared, seed: int = 0, width: int = 16, **settings: Any) -> Game:
    torch.manual_seed(fold(seed, "weights"))
    return build_game(
        variant,
        NetworkSpec("mlp" if "mlp" in fitting(variant) else fitting(variant)[0], width, 8, data.shape, data.classes),
        QUICK.get(variant, {}) | settings,
    )


def monitored(
    game: Game, data: Prepared, folder: Path, steps: int, every: int, batch: int = 64, seed: int = 0
) -> tuple[Monitor, Run]:
    monitor = Monitor(every, steps, seed, batch, references(data))
    run = start(game, Plan("t", steps, batch, seed, 50, 10**6, 69.0 * batch))
    train(run, Batches(data, batch, seed).at, State(folder, "w"), callback=monitor)
    return monitor, run


def kinds(monitor: Monitor, run: Run) -> set[str]:
    return {event["kind"] for event in monitor.health(run)["events"]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_monitored_run_is_the_same_run(variant: str, digits: Prepared, domains: Prepared, tmp_path: Path) -> None:
    """However often it is evaluated, every weight and buffer ends the same; every scorer gives a score a row."""
    data = domains if "x_b" in papers.needs(variant)["batch"] else digits
    games = [game_of(variant, data) for _ in range(2)]
    plan, batches = Plan("t", 3, 16, 0, 10, 10), Batches(data, 16, 0)
    monitor = Monitor(2, 3, 0, 16, references(data))
    run = train(begin(games[0], plan), batches.at, State(tmp_path, "a"), callback=monitor)
    train(begin(games[1], plan), batches.at, State(tmp_path, "b"))
    for name, network in modules(games[0]).saved.items():
        other = modules(games[1]).saved[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in network.state_dict().items()), name
    drawing = {role for role, player in run.exports.items() if player.config.output_space in monitor.references}
    assert [x["step"] for x in monitor.figures] == [2, 3]
    assert monitor.evaluations.keys() == drawing
    assert scorers(games[0]).keys() == (drawing if variant != "vae" else set())
    assert all(("train_over_heldout" in e) == (variant != "vae") for e in monitor.evaluations[min(drawing)])
    assert all(network.training for network in modules(games[0]).saved.values())
    assert monitor.best.best["step"] in (2, 3)
    assert run.rollbacks == []


def test_a_translation_is_scored_and_not_its_source(domains: Prepared, tmp_path: Path) -> None:
    """Both are fields of samples; the scorer of a role is shown what the role made."""
    heard: list[torch.Tensor] = []

    class Listening(CycleGan):
        def scorers(self) -> Any:
            return {"a_to_b": lambda x, batch: heard.append(torch.stack([x, batch.x])) or x.flatten(1).mean(1)}

    game: Any = game_of("cycle_gan", domains)
    game = Listening(**{f.name: getattr(game, f.name) for f in fields(game)})
    monitor = Monitor(1, 1, 0, 16, references(domains))
    run = train(
        begin(game, Plan("t", 1, 16, 0, 10, 10)), Batches(domains, 16, 0).at, State(tmp_path, "a"), callback=monitor
    )
    x, source = heard[-1]
    made = run.averages["a_to_b"].network(source)
    assert (x - made).abs().max() <= 1.01 / 255, "but for rounding to pixels"
    assert (x - source).abs().max() > 0.1


def test_a_monitored_run_cut_anywhere_is_the_same_run(digits: Prepared, tmp_path: Path) -> None:
    """What was measured, the best weights and the snapshots survive a kill."""

    def final(folder: str, cut: int) -> tuple[Monitor, Run]:
        state = State(tmp_path / folder, "f")
        for stop in (cut, 0):
            monitor = Monitor(4, 22, 0, 16, references(digits))
            run = begin(game_of("gan", digits), Plan("t", 22, 16, 0, 5, 7))
            asked = iter([False] * (stop - 1) + [True])
            try:
                train(run, Batches(digits, 16, 0).at, state, lambda: stop and next(asked), monitor)  # noqa: B023
            except Stopped:
                continue
        return monitor, run

    whole, run = final("whole", 0)
    for cut in (3, 8, 13):
        monitor, again = final(f"cut{cut}", cut)
        assert monitor.figures == whole.figures
        assert monitor.health(again) == whole.health(run)
        assert monitor.best.best["step"] == whole.best.best["step"]
        for role, weights in whole.best.best["weights"].items():
            assert all(torch.equal(v, monitor.best.best["weights"][role][k]) for k, v in weights.items())
        assert monitor.snapshots.keys() == whole.snapshots.keys()
        assert all(torch.equal(v, monitor.snapshots[k]) for k, v in whole.snapshots.items())


@pytest.mark.parametrize(("first", "cut", "begun"), [(22, 13, 13), (22, 0, 21), (22, -1, 21), (30, 0, 0)])
def test_a_run_of_another_length_goes_on_to_the_same_bits(
    first: int, cut: int, begun: int, digits: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped, finished, or killed at its very end: made longer (or shorter), it ends as if it had always been so.

    Only where a shorter one has passed its end already does it start afresh.
    """
    second = 52 - first

    def play(folder: str, steps: int, stop: int = 0) -> tuple[Monitor, Run, State]:
        monitor, asked = Monitor(4, steps, 0, 16, references(digits)), iter([False] * (stop - 1) + [True])
        run, state = begin(game_of("gan", digits), Plan("t", steps, 16, 0, 5, 7)), State(tmp_path / folder, "f")
        with contextlib.suppress(Stopped):
            train(run, Batches(digits, 16, 0).at, state, lambda: stop > 0 and next(asked), monitor)
        return monitor, run, state

    state = play("cut", first, max(cut, 0))[2]
    if cut == 0:
        state.finish(first)
        assert [step for step, _ in state.saved()] == [first - first % 7 or 7]
    capsys.readouterr()
    (left, whole, _), (right, rest, state) = play("whole", second), play("cut", second)
    said = capsys.readouterr().err
    assert f"t: step {begun} of {second}" in said
    assert (f"goes on from step {begun} of a run of {first} steps" in said) == (begun > 0)
    assert rest.history == whole.history
    assert right.figures == left.figures
    assert right.health(rest) == left.health(whole)
    assert right.best.best["step"] == left.best.best["step"]
    ends = [{f"{p}.{k}": v for p, of in run.state()["parts"].items() for k, v in of.items()} for run in (whole, rest)]
    assert all(torch.equal(v, ends[1][k]) for k, v in ends[0].items() if isinstance(v, torch.Tensor))
    assert left.snapshots.keys() == right.snapshots.keys()
    assert all(torch.equal(v, right.snapshots[k]) for k, v in left.snapshots.items())
    state.finish(second)
    assert len(state.saved()) == 1, "what a finished run keeps"


def test_one_lucky_evaluation_is_not_shipped() -> None:
    """The median of three: one whose neighbours are bad is not the best; of the first and the last the worse counts."""

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


def test_snapshots_are_evenly_spaced_in_the_logarithm() -> None:
    assert snapshot_steps(4000) == [1, 3, 9, 27, 81, 243, 729, 2187, 4000]
    assert snapshot_steps(3) == [1, 3]
    assert snapshot_steps(1) == [1]


def poisoned(data: Prepared, times: int) -> Callable[[int], Batch]:
    """The thirtieth batch is NaN, so often."""
    batches, left = Batches(data, 16, 0), [times]

    def at(i: int) -> Batch:
        batch = batches.at(i)
        if i == 30 and left[0]:
            left[0] -= 1
            return Batch(batch.x * float("nan"))
        return batch

    return at


LONG = Plan("t", 25, 16, 0, 5, 10)


def test_nan_goes_back_to_a_good_state_at_half_the_rate(digits: Prepared, tmp_path: Path, capsys) -> None:
    """Networks, optimizers and evaluations go back together; the rate is halved; the run ends well, and it is said."""
    monitor = Monitor(5, 25, 0, 16, references(digits))
    run = begin(game_of("gan", digits), LONG)
    train(run, poisoned(digits, 2), State(tmp_path, "f"), callback=monitor)
    assert run.lr_scale == 0.25
    assert all(g["lr"] == pytest.approx(2e-4 / 4) for o in run.optimizers.values() for g in o.param_groups)
    events = monitor.health(run)["events"]
    assert [(e["step"], e["kind"]) for e in events if e["kind"] == "not_a_number"] == [
        (20, "not_a_number")
    ] * 2  # when the terms are next logged
    assert "became nan by step 20" in events[0]["says"]
    assert "back to step 10, its optimizers included, at half the learning rates (once now)" in events[0]["says"]
    assert [x["step"] for x in monitor.figures] == [5, 10, 15, 20, 25], "no evaluation is missing, none is doubled"
    assert [row["step"] for row in run.history] == [5, 10, 15, 20, 25]
    assert "back to step 10" in capsys.readouterr().err


def test_nan_before_any_evaluation_starts_again_and_not_for_ever(digits: Prepared, tmp_path: Path) -> None:
    run = begin(game_of("gan", digits), Plan("t", 9, 16, 0, 2, 10))
    always = lambda i: Batch(Batches(digits, 16, 0).at(i).x * float("inf"))  # noqa: E731
    with pytest.raises(NumericsError, match=r"by step 2; lower settings.* \(rolled back 3 times, each time to half"):
        train(run, always, State(tmp_path, "f"))


def test_a_run_that_was_rolled_back_is_the_run_from_the_good_state(digits: Prepared, tmp_path: Path) -> None:
    """Going back forgets nothing and keeps nothing: it ends as one that started from that state at half the rate."""
    first = begin(game_of("gan", digits), LONG)
    train(first, poisoned(digits, 1), State(tmp_path, "a"))
    state = State(tmp_path, "b")
    second = begin(game_of("gan", digits), LONG)
    asked = iter([False] * 9 + [True])
    with pytest.raises(Stopped):
        train(second, poisoned(digits, 0), state, lambda: next(asked))
    saved = copy.deepcopy(state.newest())
    state.save(10, saved | {"rollbacks": [{"step": 20, "kind": "not_a_number", "says": ""}]})
    third = train(begin(game_of("gan", digits), LONG), poisoned(digits, 0), state)
    a, b = (run.game.generator.state_dict() for run in (first, third))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_discriminator_that_overfits_is_named(tmp_path: Path) -> None:
    """Eighty digits and no regularisation."""
    data = prepared(schema.Digits("digits", 0.955), tmp_path / "d")
    monitor, run = monitored(game_of("gan", data, width=256), data, tmp_path, 900, 90, batch=32)
    assert kinds(monitor, run) == {"discriminator_overfitting"}
    assert "probability 0.9" in monitor.health(run)["events"][0]["says"]


def test_a_generator_without_a_gradient_is_named(digits: Prepared, tmp_path: Path) -> None:
    """The minimax objective, and a generator that hardly moves while its discriminator learns to tell all from all."""

    @dataclass(frozen=True)
    class Unfair(Gan):
        def optimizers(self) -> dict[str, Adam]:
            adam = super().optimizers()
            return {"generator": replace(adam, lr=1e-7), "discriminator": adam}

    fair = game_of("gan", digits, width=64, objective="saturating", learning_rate=1e-3)
    game = Unfair(**{f.name: getattr(fair, f.name) for f in fields(fair)})  # type: ignore[arg-type]
    monitor, run = monitored(game, digits, tmp_path, 400, 20)
    assert kinds(monitor, run) == {"vanishing_gradient", "js_saturated"}


def test_a_collapsed_generator_is_named(tmp_path: Path) -> None:
    data = prepared(schema.Ring("ring", 8, 0.05, 5000, 0, 0.2), tmp_path / "d")
    game = game_of("gan", data, seed=1, width=64, learning_rate=1e-2, beta1=0.9)  # it draws one point, and another
    monitor, run = monitored(game, data, tmp_path, 800, 80)
    assert kinds(monitor, run) - {"recovered"} == {"mode_collapse"}


def test_a_healthy_run_gets_no_diagnosis(digits: Prepared, tmp_path: Path) -> None:
    """Of ten seeds: `make claims` (H1)."""
    monitor, run = monitored(game_of("gan", digits, width=64, r1=0.1, learning_rate=1e-3), digits, tmp_path, 600, 60)
    assert monitor.health(run)["events"] == []
    assert monitor.figures[-1]["kid_own"] < monitor.figures[0]["kid_own"] / 2


def evaluation(step: int, **figures: float) -> dict[str, float]:
    healthy = {
        "distance": 1 / step, "coverage": 0.8, "precision": 0.8, "spread": 1.0, "gradient": 1.0,
        "train_over_heldout": 0.6, "real_over_fake": 0.8, "js": 0.3,
    }  # fmt: skip
    found = {"step": step, **healthy, **figures}
    return found | {"covered": found["coverage"]}


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("discriminator_overfitting", {"train_over_heldout": 0.95, "real_over_fake": 1.0}),
        ("js_saturated", {"js": 0.999 * log(2), "distance": 2.0}),
        ("vanishing_gradient", {"gradient": 1e-5, "distance": 2.0, "real_over_fake": 1.0}),
        ("mode_collapse", {"coverage": 0.02, "spread": 0.1}),
        ("mode_collapse", {"coverage": 0.12, "spread": 0.9, "precision": 0.99}),
    ],
)
def test_a_diagnosis_needs_several_evaluations_in_a_row(kind: str, bad: dict[str, float]) -> None:
    """Two bad evaluations are no failure, three are, and it is said when the run has recovered."""
    good = [evaluation(k) for k in range(1, 6)]
    assert diagnosis.events([*good, evaluation(6, **bad), evaluation(7, **bad), evaluation(8)]) == []
    found = diagnosis.events([*good, *(evaluation(k, **bad) for k in (6, 7, 8, 9)), evaluation(10)])
    assert [(e["step"], e["kind"]) for e in found] == [(8, kind), (10, "recovered")]


def test_a_critic_that_tells_all_from_all_while_samples_improve_is_no_failure() -> None:
    """As a Wasserstein critic may; nor is a generator whose gradient falls because it is done."""
    assert diagnosis.events([evaluation(k, js=log(2), real_over_fake=1.0) for k in range(1, 12)]) == []


def test_only_what_a_run_has_is_advised() -> None:
    """Nobody is told to use the paper that they use, or a setting that it has not."""
    stuck = [evaluation(k, js=log(2), real_over_fake=1.0, distance=2.0) for k in range(1, 9)]

    def says(variant: str) -> str:
        found = diagnosis.events(stuck, has=advisable(variant))
        return next(str(e["says"]) for e in found if e["kind"] == "js_saturated")

    assert says("gan").endswith("raise r1, add instance noise, or use a Wasserstein critic (wgan_gp)")
    assert says("wgan").endswith("add instance noise, or use a Wasserstein critic (wgan_gp)")
    for variant in ("wgan_gp", "cgan", "info_gan", "cycle_gan"):
        assert says(variant).endswith("no better; add instance noise"), variant


def test_without_a_discriminator_only_the_samples_speak() -> None:
    bare = [{k: v for k, v in evaluation(s, coverage=0.01, spread=0.1).items() if k in KEPT} for s in range(1, 6)]
    assert [e["kind"] for e in diagnosis.events(bare, "decoder")] == ["mode_collapse"]
    assert diagnosis.events(bare, "decoder")[0]["says"].startswith("decoder: mode collapse")


KEPT = ("step", "distance", "coverage", "covered", "precision", "spread", "gradient")


def test_scores_are_compared_by_rank() -> None:
    a, b = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.0])
    assert diagnosis.ranked_above(a, b) == pytest.approx((3 + 0.5 + 1) / 6)
    assert diagnosis.ranked_above(a, b) == pytest.approx(diagnosis.ranked_above(a.exp(), b.exp()))
    assert diagnosis.jensen_shannon(torch.full((9,), 50.0), torch.full((9,), -50.0)) == pytest.approx(log(2))
    assert diagnosis.jensen_shannon(torch.zeros(9), torch.zeros(9)) == 0
