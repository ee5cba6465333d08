"""Warm starts: what comes over from an earlier run, and what it says of where it came from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from gan_core.config import papers, places
from gan_core.config.load import load_params
from gan_core.core import artifact, lineage
from gan_core.core.build_network import build_network
from gan_core.core.game import modules
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.export import card
from gan_core.report import page, words
from gan_core.runtime.errors import InputError
from gan_core.training import warm
from gan_core.training.change import LUMA, Side
from gan_core.training.checkpoint import State
from gan_core.training.loop import Stopped, start, train
from gan_core.training.run import Run
from tests.conftest import QUICK, SMALL, SMALL_FILE, VARIANTS, Workspace, begin, fit, fitting, plan, take_steps
from tests.html import Page
from tests.test_report import facts

FAMILIES = ("mlp", "dcgan", "resnet_gan")
NAMES = ("ant", "bee", "cat")


def spec(
    family: str, side: int = 8, channels: int = 1, classes: int = 0, width: int = 8, latent: int = 6
) -> NetworkSpec:
    return NetworkSpec(family, width, latent, (channels, side, side), classes)


def generator(of: NetworkSpec) -> NetworkConfig:
    return of.generator(of.prior(), *([of.label()] if of.classes else []))


def discriminator(of: NetworkSpec, projection: bool = False) -> NetworkConfig:
    labels = (of.label(),) if of.classes else ()
    return of.discriminator(projected=labels) if projection else of.discriminator(*labels)


def brought(
    old: NetworkConfig, new: NetworkConfig, channels: tuple[int, int] = (1, 1), names: tuple = ((), ())
) -> tuple[torch.nn.Module, torch.nn.Module, warm.Transfer]:
    """A network, one that starts from it, both in evaluation mode, and what came over."""
    a, b = build_network(old), build_network(new)
    if old.norm == "batch":  # statistics that differ from those at first
        a.train()(*(i.sample(64) for i in old.inputs))
    sides = tuple(Side(c, k, n) for c, k, n in zip((old, new), channels, names, strict=True))
    return a.eval(), b.eval(), warm.transfer(a, b, sides)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_classes_of_the_same_name_are_drawn_and_scored_as_before(family: str) -> None:
    """Here in another order, one less and one new; the new one is the mean of all, of a generator's first weights."""
    old, new = spec(family, classes=3), spec(family, classes=4)
    names = NAMES, ("cat", "dog", "ant", "bee")
    a, b, found = brought(generator(old), generator(new), names=names)
    z, y = torch.randn(3, 6), torch.arange(3)
    assert found.weights == found.of
    assert same(a(z, y), b(z, torch.tensor([2, 3, 0])))
    a, b, _ = brought(generator(old), generator(spec(family, classes=3)), names=(NAMES, NAMES[::-1]))
    assert same(a(z, y), b(z, 2 - y)), "as many, in another order"
    x = torch.rand(3, 1, 8, 8)
    a, b, _ = brought(discriminator(old), discriminator(new), names=names)
    if family == "mlp":  # planes end at the picture's border, where they are no constants
        assert same(a(x, y), b(x, torch.tensor([2, 3, 0])))
    a, b, _ = brought(discriminator(old, True), discriminator(new, True), names=names)
    assert same(a.head.embed.weight[:, 1], b.head.embed.weight[:, 3])
    assert same(a.head.embed.weight.mean(1), b.head.embed.weight[:, 1])


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_that_are_new_change_nothing_at_first(family: str) -> None:
    z, x = torch.randn(4, 6), torch.rand(4, 1, 8, 8)
    for made, given in ((generator, z), (discriminator, x)):
        a, b, _ = brought(made(spec(family)), made(spec(family, classes=3)), names=((), NAMES))
        assert same(a(given), b(given, torch.tensor([0, 1, 2, 0])))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("old", "new"), [(1, 3), (3, 1), (3, 4), (4, 3), (1, 4), (4, 1)])
def test_other_channels_are_drawn_and_scored_as_the_same_picture(family: str, old: int, new: int) -> None:
    a, b, found = brought(generator(spec(family, channels=old)), generator(spec(family, channels=new)), (old, new))
    z, luma = torch.randn(4, 6), torch.tensor(LUMA)[:, None, None]
    drew, draws = (torch.atanh(n(z).double()) for n in (a, b))
    if new == 1:
        assert same(draws[:, 0], (drew[:, :3] * luma).sum(1))
    else:
        assert same(draws[:, :3], drew[:, :3].expand(-1, 3, -1, -1))
    assert new < 4 or old == 4 or (draws[:, 3] > 1.5).all(), "opaque"
    assert found.weights == found.of
    a, b, _ = brought(discriminator(spec(family, channels=old)), discriminator(spec(family, channels=new)), (old, new))
    x = torch.rand(4, new, 8, 8)
    seen = x[:, :3] if new > 1 else x.expand(-1, 3, -1, -1)
    as_old = (seen * luma).sum(1, keepdim=True) if old == 1 else torch.cat([seen, torch.ones(4, old - 3, 8, 8)], 1)
    if old < 4 or family == "mlp":  # a constant plane ends at the border
        assert same(a(as_old), b(x))


def test_samples_scored_side_by_side_keep_their_number() -> None:
    old, new = (spec("dcgan", channels=c).discriminator(pack=2) for c in (1, 3))
    a, b, _ = brought(old, new, (1, 3))
    x = torch.rand(4, 2, 3, 8, 8)
    grey = (x * torch.tensor(LUMA)[:, None, None]).sum(2)
    assert same(a(grey), b(x.flatten(1, 2)))
    _, _, found = brought(old, spec("dcgan").discriminator(), (1, 1))
    assert "body.0.weight" in found.fresh


@pytest.mark.parametrize("family", ["dcgan", "resnet_gan"])
def test_layers_of_another_size_come_over_by_their_resolution(family: str) -> None:
    """Twice the side at half the width: every layer below the new size has a counterpart, though another number."""
    old, new = spec(family, 16, width=8), spec(family, 32, width=4)
    a, b, found = brought(generator(old), generator(new))
    assert same(a.project.weight, b.project.weight)
    first, last = b.body[0].state_dict(), b.body[-2].weight
    assert all(same(value, first[key]) for key, value in a.body[0].state_dict().items())
    assert "body.8.weight" in found.fresh if family == "dcgan" else "body.2.first.weight" in found.fresh
    assert last.shape[1] == 4
    a, b, found = brought(discriminator(old), discriminator(new))
    its, mine = a.body.state_dict(), b.body.state_dict()
    moved = {"dcgan": ("2.weight", "4.weight"), "resnet_gan": ("1.first.weight", "2.first.weight")}[family]
    assert same(its[moved[0]], mine[moved[1]])
    assert same(a.head.score.weight, b.head.score.weight)
    assert any(key.startswith("body.0") for key in found.fresh)
    a, b, found = brought(generator(spec("mlp", 8)), generator(spec("mlp", 16)))
    assert found.fresh == ["body.9.weight", "body.9.bias"]


def test_turned_pictures_share_no_pixels() -> None:
    """4 x 6 and 6 x 4: as many numbers, and each means another place."""
    old, new = (NetworkSpec("mlp", 8, 6, (1, *sides)) for sides in ((4, 6), (6, 4)))
    assert brought(generator(old), generator(new))[2].fresh == ["body.9.weight", "body.9.bias"]
    assert brought(discriminator(old), discriminator(new))[2].fresh == ["body.0.weight"]


@pytest.mark.parametrize("settings", [{}, {"spectral_norm": True, "pack": 2}])
def test_every_network_finds_all_of_itself(digits: Prepared, domains: Prepared, settings: dict) -> None:
    """Of every paper and family, called and uncalled layers, spectral norms and statistics."""
    for variant, family in [(v, f) for v in VARIANTS for f in fitting(v) if not settings or v == "gan"]:
        data = domains if "x_b" in papers.needs(variant)["batch"] else digits
        symbols = QUICK.get(variant, {}) | settings
        made = [modules(fit(variant, symbols, family, data)).trained for _ in range(2)]
        for name, a in made[0].items():
            side = Side(a.config, data.shape[0])
            found, where = warm.transfer(a, made[1][name], (side, side)), (variant, family, name)
            assert (found.weights, found.changed, found.fresh) == (found.of, [], []), where
            assert all(torch.equal(v, made[1][name].state_dict()[k]) for k, v in a.state_dict().items()), where


@pytest.fixture
def parent(digits: Prepared, tmp_path: Path) -> tuple[Run, Path]:
    """A run of 12 steps, and its networks as the pipeline keeps them."""
    run = take_steps(begin(fit("cgan", {}, "dcgan", digits)), Batches(digits, 16, 0).at, 12)
    notes = {"run": "elder", "data": digits.index["sha256"], "shape": list(digits.shape)}
    warm.save_players(tmp_path / "elder", run, notes)
    return run, tmp_path / "elder"


def child(
    digits: Prepared, folder: Path, parts=(), freeze=None, variant: str = "cgan", ema: float = 0.0
) -> tuple[Run, dict]:
    torch.manual_seed(5)
    made = fit(variant, {}, "dcgan", digits)
    warm.check_freeze("younger", made, freeze or {})
    run = start(made, replace(plan(), name="younger", ema_half_life=ema), freeze=freeze or {})
    return run, warm.inherit(run, warm.Parent.read(folder), parts, digits.shape[0], ())


def test_the_same_declaration_begins_as_its_parent_ended(parent: tuple[Run, Path], digits: Prepared) -> None:
    run, told = child(digits, parent[1], ema=1e9)
    for name, network in run.modules.trained.items():
        its = parent[0].modules.trained[name].state_dict()
        assert all(torch.equal(value, its[key]) for key, value in network.state_dict().items()), name
    ships, shipped = (r.averages["generator"].network.state_dict() for r in (run, parent[0]))
    assert all(torch.equal(ships[key], shipped[key]) for key in shipped)
    assert {name: lineage.share(part) for name, part in told["parts"].items()} == {
        "generator": "whole",
        "discriminator": "whole",
    }
    take_steps(run, Batches(digits, 16, 0).at, 1)
    assert same(run.averages["generator"].network.project.weight, shipped["project.weight"]), "it is not forgotten"


def test_frozen_layers_stay_while_others_move(parent: tuple[Run, Path], digits: Prepared) -> None:
    run, _ = child(digits, parent[1], freeze={"discriminator": ["body.0"]})
    before = {key: value.clone() for key, value in run.modules.trained["discriminator"].state_dict().items()}
    take_steps(run, Batches(digits, 16, 0).at, 3)
    after = run.modules.trained["discriminator"].state_dict()
    assert {key for key in before if torch.equal(before[key], after[key])} == {"body.0.weight", "body.0.bias"}


def test_a_resumed_warm_start_ends_in_the_same_bytes(
    parent: tuple[Run, Path], digits: Prepared, tmp_path: Path
) -> None:
    batch_at, ends = Batches(digits, 16, 0).at, []
    for stops in ((), (4,)):
        state = State(tmp_path / str(len(ends)), "f")
        for k in stops:
            run, _ = child(digits, parent[1], freeze={"discriminator": ["body.0"]}, ema=500.0)
            with pytest.raises(Stopped):
                train(run, batch_at, state, lambda run=run, k=k: run.step == k)
        run, _ = child(digits, parent[1], freeze={"discriminator": ["body.0"]}, ema=500.0)
        ends.append(train(run, batch_at, state).state()["parts"])
    whole, resumed = ends
    for name in whole:
        if not name.startswith("optimizer"):
            assert all(torch.equal(value, resumed[name][key]) for key, value in whole[name].items()), name


def test_what_does_not_fit_is_told(parent: tuple[Run, Path], digits: Prepared) -> None:
    _, told = child(digits, parent[1], parts=["discriminator"], variant="gan")
    assert told["left"] == {"generator": "init.parts does not name it"}
    says = lineage.sentences(
        {**told, "ancestors": [*told["ancestors"], {"run": "eldest", "sha256": "0" * 64, "data": ""}]}
    )
    assert says[0].startswith("Its first weights are those of run elder (")
    assert says[0].endswith(", whose own were those of eldest (0000000000000000)")
    assert says[1].startswith("discriminator: whole came over")
    assert "changed for other channels or classes: body.0.weight" in says[1]
    assert says[2] == "generator: nothing came over, init.parts does not name it"
    for wrong, sentence in (
        ({"parts": ["recogniser"], "variant": "info_gan"}, r"recogniser: there is none, only discriminator, generator"),
        ({"variant": "vae"}, r"younger: init.path .*elder cannot be started from: encoder: there is none"),
        ({"freeze": {"discriminator": ["bdy.0"]}}, r"no weights 'bdy.0', only body, body.0, .*; did you mean body.0\?"),
        ({"freeze": {"critic": ["body.0"]}}, r"names 'critic', and the networks are generator, discriminator"),
        ({"freeze": {"discriminator": ["body", "head"]}}, r"leaves nothing of it to train"),
        ({"freeze": {"discriminator": ["body.0"]}, "parts": ["generator"]}, r"stay as it was drawn at random"),
    ):
        with pytest.raises(InputError, match=sentence):
            child(digits, parent[1], **wrong)


def test_card_and_report_say_where_the_weights_came_from(parent: tuple[Run, Path], digits: Prepared) -> None:
    _, told = child(digits, parent[1], parts=["discriminator"], variant="gan")
    made = facts("younger")
    made.manifest["roles"]["generator"]["provenance"]["notes"][lineage.NOTE] = told
    read = Page.read(page.html([made, facts("other")]))
    assert read.faults() == []
    for sentence in lineage.sentences(told):
        assert sentence in read.text
        assert f"- {sentence}.\n" in card.paragraph(told)
    assert "younger from elder" in read.text
    said = words.summary([made, facts("other")], [], Path("report.html"))
    assert "younger starts from elder: discriminator whole" in said
    assert "other starts" not in said
    assert card.paragraph(None) == ""


KID = {
    "variant": "gan",
    "dataset": "digits",
    "network": {"family": "dcgan", "width": 8, "latent": 16},
    "train": {"steps": 6},
    "init": {"path": "players/gan", "freeze": {"discriminator": ["body.0"]}},
}
BAD = [
    (
        {"kid": {**KID, "init": {"path": "players/gna"}}},
        r"kid\.init\.path 'gna' is not one of gan, .*did you mean gan\?",
    ),
    (
        {"a": {**KID, "init": {"path": "players/b"}}, "b": {**KID, "init": {"path": "models/a"}}},
        r"b\.init\.path is 'models/a', and b starts from a and a starts from b: one of them must start afresh",
    ),
    ({"kid": {**KID, "init": {"path": "players/kid"}}}, r"kid starts from kid: one of them must start afresh"),
    ({"kid": {**KID, "init": {"path": "players/wgan_gp"}}}, r"of family 'mlp', and this run's are 'dcgan'"),
    (
        {"kid": {**KID, "init": {"path": "players/gan", "parts": ["critic"]}}},
        r"init\.parts 'critic' is not one of generator, disc",
    ),
    ({"kid": {**KID, "init": {**KID["init"], "parts": ["generator"]}}}, r"freeze\.discriminator is not among parts"),
    ({"kid": {**KID, "init": {"path": "models/gan", "parts": ["discriminator"]}}}, r"is not one of generator"),
    (
        {"kid": {**KID, "init": {"path": "exported/gan"}}},
        r"exported/ holds no networks to train on; write players/<run>",
    ),
    (
        {"kid": {k: v for k, v in KID.items() if k != "init"}},
        r"kid\.init is missing; write init: \{path: players/<run>\}",
    ),
    ({"cgan": KID}, r"warm_starts\.cgan is the name of a run above as well"),
]


@pytest.mark.parametrize(("declared", "words"), BAD, ids=range(len(BAD)))
def test_a_wrong_parent_is_refused_before_anything_runs(tmp_path: Path, declared: dict, words: str) -> None:
    params = OmegaConf.load(SMALL_FILE)
    params.warm_starts = declared
    OmegaConf.save(params, tmp_path / "params.yaml")
    with pytest.raises(InputError) as refused:
        load_params(tmp_path / "params.yaml")
    assert re.search(words, str(refused.value)), refused.value
    assert len(str(refused.value).splitlines()) == 1


def test_networks_kept_elsewhere_must_be_there(tmp_path: Path) -> None:
    params = OmegaConf.load(SMALL_FILE)
    params.warm_starts = {"kid": {**KID, "init": {"path": "kept/faces"}}, "other": KID}
    OmegaConf.save(params, tmp_path / "params.yaml")
    runs = load_params(tmp_path / "params.yaml").runs
    assert list(places.parents_missing(runs, tmp_path)) == [
        ("warm_starts.kid.init.path", "'kept/faces' does not exist; look at the path, or put the networks there")
    ]
    (tmp_path / "kept/faces").mkdir(parents=True)
    assert not list(places.parents_missing(runs, tmp_path))


def test_init_of_a_run_that_starts_afresh_is_sent_to_its_section(tmp_path: Path) -> None:
    params = OmegaConf.load(SMALL_FILE)
    params.runs.gan.init = {"path": "players/cgan"}
    OmegaConf.save(params, tmp_path / "params.yaml")
    with pytest.raises(InputError, match=r"runs\.gan\.init is for runs under warm_starts: move this run there"):
        load_params(tmp_path / "params.yaml")


def test_the_pipeline_trains_a_parent_first_and_keeps_the_lineage(workspace: Workspace) -> None:
    made = workspace
    declared = {**SMALL["runs"]["wgan_gp"], "init": {"path": "players/wgan_gp", "freeze": {"critic": ["body.0"]}}}
    made.declare({"warm_starts": {"kid": declared}, "train.evaluate_every": 20})
    done = made.run("dvc", "repro", "train_warm@kid")
    assert done.returncode == 0, done.stdout + done.stderr
    order = re.findall(r"Running stage '([^']+)'", done.stdout)
    assert order == ["prepare@ring", "train@wgan_gp", "train_warm@kid"]
    assert "kid: critic: whole came over" in done.stderr
    lock = OmegaConf.to_container(OmegaConf.load(made.folder / "dvc.lock"))["stages"]["train_warm@kid"]
    assert "players/wgan_gp" in {d["path"] for d in lock["deps"]}
    elder, kid = (warm.Parent.read(made.folder / "players" / name) for name in ("wgan_gp", "kid"))
    assert kid.ancestors[1:] == [{"run": "wgan_gp", "sha256": elder.sha256, "data": elder.notes["data"]}]
    assert lineage.NOTE not in elder.notes
    assert artifact.load_roles(made.folder / "models/kid")["generator"].notes[lineage.NOTE] == kid.notes[lineage.NOTE]
    its, mine = (p.networks["critic"].network.state_dict() for p in (elder, kid))
    assert torch.equal(its["body.0.weight"], mine["body.0.weight"])
    assert not torch.equal(its["body.2.weight"], mine["body.2.weight"])
    facts = json.loads(next((made.folder / ".state/kid").glob("*/facts.json")).read_text())
    assert json.loads(facts["params.parent"]) == elder.sha256
