"""pix2pix and what only it has: a source beside the target, several scales, a U-Net, figures of pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from gan_core.config import schema
from gan_core.config.load import load_params
from gan_core.core.build_game import build_game
from gan_core.core.build_network import build_network
from gan_core.core.game import modules
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Moment
from gan_core.data.batches import Batches
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import read
from gan_core.export.onnx import size_multiple
from gan_core.metrics import roles
from gan_core.metrics.measure import Found
from gan_core.metrics.similarity import psnr, ssim
from gan_core.networks.efficientnet_lite0 import Perceptual, installed
from gan_core.networks.layers.augmented import Augmented
from gan_core.runtime.errors import InputError
from gan_core.variants.pix2pix import Pix2Pix
from tests.conftest import DECLARED, begin, plan, take_steps

NOW = Moment()
needs_lite0 = pytest.mark.skipif(installed() is None, reason="the weights of EfficientNet-Lite0 are not installed")


def game_of(side: int = 32, family: str = "unet", **settings: Any) -> Pix2Pix:
    game: Any = build_game("pix2pix", NetworkSpec(family, 8, 0, (3, side, side)), settings)
    return game  # type: ignore[no-any-return]


def pairs(n: int = 4, side: int = 32) -> Batch:
    return Batch(torch.rand(n, 3, side, side) * 2 - 1, x_b=torch.rand(n, 3, side, side) * 2 - 1)


class Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture(scope="module")
def recoloured(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """All digits beside their true maps."""
    folder, spec = (
        tmp_path_factory.mktemp("pairs"),
        schema.DigitDomains("digit_domains", "recolour", 0, 0.2, paired=True),
    )
    prepare(read(spec), spec, folder)
    return Prepared(folder)


def constant_scores(game: Pix2Pix, value: float) -> None:
    """Every patch of every scale scores the same."""
    for scale in game.discriminator.scales:  # type: ignore[attr-defined]
        nn.init.zeros_(scale.body[-1].weight)
        nn.init.constant_(scale.body[-1].bias, value)


@pytest.mark.parametrize(
    ("objective", "generator", "real", "fake"),
    [
        ("non_saturating", np.log1p(np.exp(-0.7)), np.log1p(np.exp(-0.7)), np.log1p(np.exp(0.7))),
        ("least_squares", 0.3**2, 0.3**2 / 2, 0.7**2 / 2),
        ("hinge", -0.7, 0.3, 1.7),
    ],
)
@pytest.mark.parametrize("scales", [1, 3])
def test_the_losses_of_known_scores(objective: Any, generator: float, real: float, fake: float, scales: int) -> None:
    """Eq. 1 and 4, and their sum over scales (pix2pixHD, eq. 5); squares are not halved for the translator."""
    game, batch = game_of(objective=objective, scales=scales), pairs()
    constant_scores(game, 0.7)
    losses = game.generator_loss(batch, NOW)
    distance = (losses.shared["fake"] - batch.x_b).abs().mean()
    assert {k: v.item() for k, v in losses.terms.items()} == pytest.approx(
        {"adversarial": scales * generator, "l1": 100 * distance.item()}, rel=1e-5
    )
    of_d = game.discriminator_loss(batch.extended(losses.shared), NOW).terms
    assert {k: v.item() for k, v in of_d.items()} == pytest.approx(
        {"real": scales * real, "fake": scales * fake}, rel=1e-5
    )


def test_the_discriminator_sees_the_source_at_every_scale() -> None:
    game, batch = game_of(scales=3), pairs()
    one, other = (game.discriminator(batch.x_b, source) for source in (batch.x, batch.x.flip(0)))
    assert one.shape == (4, 3)
    assert ((one - other).abs() > 1e-6).all()
    assert game_of(40, scales=3).discriminator(*[torch.zeros(1, 3, 40, 40)] * 2).shape == (1, 3), "no multiples of 4"
    first = [maps[0].shape[2] for maps in game.discriminator.stages(batch.x_b, batch.x)]
    assert first == [16, 16, 8], "of 32, 16 and 8 pixels; the smaller two are not halved at once"


def test_feature_matching_is_nothing_between_equal_pictures_and_moves_the_translator_alone() -> None:
    game = game_of(feature_matching=10.0, l1=0.0, adversarial=1e-9)
    x = pairs().x
    equal = replace(game, translator=Same()).generator_loss(Batch(x, x_b=x), NOW).terms["feature_matching"]  # type: ignore[type-var]
    assert equal.item() == 0
    term = game.generator_loss(pairs(), NOW).terms["feature_matching"]
    assert float(term.detach()) > 0
    assert torch.autograd.grad(term, next(game.translator.parameters()))[0].abs().sum() > 0


def test_without_a_game_there_is_no_discriminator_and_the_median_is_found() -> None:
    """L1 is least at the median of what a source may become: of -1, -1 and 1 that is -1; squares would give -1/3."""
    game = game_of(8, "resnet", adversarial=0.0, learning_rate=5e-3)
    assert modules(game).trained.keys() == {"translator"}
    x, y = torch.zeros(12, 3, 8, 8), torch.tensor([-0.8, -0.8, 0.8]).repeat(4)[:, None, None, None].expand(12, 3, 8, 8)
    take_steps(run := begin(game, plan(150)), lambda _: Batch(x, x_b=y), 150)
    assert run.game.translator(x).mean().item() == pytest.approx(-0.8, abs=0.1)


@needs_lite0
def test_the_perceptual_term_is_of_a_frozen_network_and_moves_the_translator() -> None:
    game, batch = game_of(perceptual=10.0), pairs()
    term = game.generator_loss(batch, NOW).terms["perceptual"]
    assert torch.autograd.grad(term, next(game.translator.parameters()))[0].abs().sum() > 0
    assert not [name for name in begin(game).state()["parts"] if "perceptual" in name]
    distance = Perceptual((32, 48))
    x = torch.rand(2, 3, 32, 48) * 2 - 1
    noise = torch.randn_like(x)
    curve = [float(distance(x, (x + s * noise).clamp(-1, 1)).mean()) for s in (0, 0.05, 0.2, 0.8)]
    assert curve[0] == pytest.approx(0, abs=1e-6)
    assert curve == sorted(curve)


@pytest.mark.parametrize("upsample", ["resize", "transposed"])
@pytest.mark.parametrize("family", ["unet", "resnet"])
def test_translators_take_any_multiple_of_what_they_say(family: str, upsample: str) -> None:
    config = NetworkSpec(family, 4, 0, (3, 32, 48), options={"upsample": upsample}).translator("x", "x_b")
    network = build_network(config).eval()
    multiple = size_multiple(config)
    assert 2 * multiple <= 32, "what it was trained on, too"
    for high, wide in ((2 * multiple, 3 * multiple), (32, 48), (64, 32)):
        assert network(torch.zeros(1, 3, high, wide)).shape == (1, 3, high, wide)


def test_what_is_fine_goes_past_all_coarser_levels() -> None:
    """A change of one pixel shows there, and nowhere far from it, if nothing comes up from the second level."""
    network = build_network(NetworkSpec("unet", 8, 0, (3, 32, 32)).translator("x", "x_b")).eval()
    inner = network.body[0].body[1]  # type: ignore[index]
    inner.register_forward_hook(
        lambda _, given, out: torch.cat([given[0], torch.zeros_like(out[:, given[0].shape[1] :])], 1)
    )
    x = torch.zeros(1, 3, 32, 32)
    y = x.clone()
    y[..., 16, 16] = 1
    far = (network(x) - network(y)).abs().sum(1)[0].detach()
    assert far[14:19, 14:19].max() > 1e-4
    assert far[:8].max() == far[24:].max() == 0


def test_augmentation_moves_source_and_target_alike() -> None:
    shown = []

    class Judge(nn.Module):
        config = None

        def stages(self, *x: Tensor) -> list[list[Tensor]]:
            shown.append(x)
            return [[x[0]]]

        def forward(self, *x: Tensor) -> Tensor:
            shown.append(x)
            return x[0].flatten(1).mean(1)

    judge = Augmented(Judge(), ["translation", "rotation", "hue", "cutout"], 3, p=1.0)
    x = pairs(8).x
    judge(x, x)
    judge.stages(x, x)
    judge.stages(-x, x)
    for target, source in shown[:2]:
        assert torch.equal(target, source)
        assert not torch.equal(target, x)
    assert torch.equal(shown[1][1], shown[2][1]), "maps that are compared are of the same changes"


def test_pairs_stay_pairs_through_batches_and_training(recoloured: Prepared) -> None:
    """The known map holds row by row, in every batch and part; so few steps find most of it."""
    truth = recoloured.index["translation"]
    batches = Batches(recoloured, 16, 0)
    for k in (0, 100):
        batch = batches.at(k)
        assert (roles.mapped(batch.x, truth, False) - batch.x_b).abs().max() < 2 / 255
    settings = {"learning_rate": 3e-3}
    game: Any = build_game("pix2pix", NetworkSpec("resnet", 16, 0, recoloured.shape), settings)
    run = take_steps(begin(game, plan(120)), batches.at, 120)
    x = recoloured.samples("heldout")[:]
    with torch.no_grad():
        assert roles.r_squared(run.game.translator(x), x, lambda some: roles.mapped(some, truth, False)) > 0.9


def test_psnr_and_ssim_are_their_formulas() -> None:
    a = torch.rand(4, 3, 32, 32) * 1.6 - 0.8
    assert psnr(a, a + 0.2).numpy() == pytest.approx(10 * np.log10(4 / 0.04), rel=1e-5)
    assert psnr(a, a).tolist() == [100] * 4
    b = (a + 0.2 * torch.randn_like(a)).clamp(-1, 1)
    ask = {"sigma": 1.5, "data_range": 1.0, "reduction": "none", "return_full_image": True}
    _, whole = structural_similarity_index_measure(((a + 1) / 2).double(), ((b + 1) / 2).double(), **ask)
    assert ssim(a, b).numpy() == pytest.approx(whole[..., 5:-5, 5:-5].flatten(1).mean(1).numpy(), rel=1e-4)


def test_figures_of_pairs_are_of_each_source_and_its_own_target(recoloured: Prepared) -> None:
    """A perfect translator is perfect, one that does nothing scores as the sources do, and a shifted one is worse."""
    other = recoloured.other
    assert other is not None
    source, truth = recoloured.samples("heldout")[:50], other.samples("heldout")[:50]
    target: Any = SimpleNamespace(domain=other, network=SimpleNamespace(name="own"))

    def of(fake: Tensor) -> dict[str, float]:
        found = Found()
        roles.beside_truth(found, target, {"": fake, "_of_source": source})
        assert all(len(values) == 50 for values in found.means.values()), "each has an interval"
        return found.figures

    assert of(truth) | {"l1": 0.0, "psnr": 100.0, "ssim": pytest.approx(1)} == of(truth)
    nothing = of(source)
    assert all(nothing[name] == nothing[f"{name}_of_source"] for name in ("l1", "psnr", "ssim"))
    assert of(truth.roll(1, 0))["psnr"] < 30 < of(truth + 0.01)["psnr"]


def test_cut_contrasts_the_same_places_and_is_least_where_nothing_changed() -> None:
    """Eq. 4: a picture and itself; and itself in another place, or another picture."""
    game: Any = build_game("cut", NetworkSpec("resnet", 8, 0, (3, 32, 32)), {})
    x = torch.rand(2, 3, 32, 32) * 2 - 1

    def contrast(made: Tensor) -> float:
        torch.manual_seed(0)
        return float(game.contrasted(x, made).detach())

    assert contrast(x) < contrast(x.roll(5, 3))
    assert contrast(x) < contrast(x.flip(0))
    shapes = [tuple(h.shape[1:]) for h in game.translator.stages(x)]
    assert shapes == [(3, 32, 32), (16, 16, 16), (16, 16, 16), (16, 16, 16)], "picture, down, first and middle block"
    update = game.updates()[0]
    assert update.players == ("translator", "heads")


def test_what_enlarges_begins_with_repeated_pixels_and_its_discriminator_sees_them() -> None:
    """With nothing added the result is the source, each pixel a square; beside it D sees the source at that size."""
    spec = NetworkSpec("srresnet", 4, 0, (3, 32, 32), options={"blocks": 1}, scale=4)
    game = build_game("pix2pix", spec, {})
    assert isinstance(game, Pix2Pix)
    x = torch.rand(2, 3, 8, 8) * 2 - 1
    whole = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    last = game.translator.get_submodule("body.6")
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight.zero_()
        assert last.bias is not None
        last.bias.zero_()
    assert torch.equal(game.translator(x), whole)
    assert torch.equal(game.discriminator(whole, x), game.discriminator(whole, whole))
    odd = torch.rand(1, 3, 5, 9)
    assert game.translator(odd).shape == (1, 3, 20, 36)


REFUSED = {
    "another size": (
        {"dataset": "larger"},
        "is 'resnet', whose translator keeps the size, and targets are 2 times as large as sources; use srresnet",
    ),
    "unpaired": (
        {"dataset": "recolour"},
        "whose two domains are not paired, and variant 'pix2pix' needs pairs: declare `paired: true`",
    ),
    "one domain": ({"dataset": "digits"}, "needs two, as source digit_domains has, and images with `pairs`"),
    "no loss": (
        {"settings": {"adversarial": 0, "l1": 0}},
        "l1 is 0, and so are adversarial and perceptual: nothing would be learned",
    ),
    "matching": (
        {"settings": {"adversarial": 0, "feature_matching": 10}},
        "with adversarial 0 there is none; set it to 0",
    ),
    "augment": (
        {"settings": {"adversarial": 0}, "augment": {"policy": ["hue"], "p": 1.0}},
        "with settings.adversarial 0 none teaches; leave it out",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_played_is_refused(case: str, tmp_path: Path) -> None:
    changes, says = REFUSED[case]
    tree: Any = OmegaConf.to_container(OmegaConf.load(DECLARED))
    entry = {"path": "x", "labels": False, "heldout": 0.2, "size": 16, "channels": 3, "fit": "crop"}
    more = {"background": 0, "on_bad_image": "skip", "pairs": "downscaled", "scale": 2}
    tree["images"] = {"larger": entry | more}
    tree["datasets"]["pairs"] = tree["datasets"]["recolour"] | {"paired": True}
    network = {"family": "resnet", "width": 8, "latent": 0}
    tree["runs"] = {
        "x": {"variant": "pix2pix", "dataset": "pairs", "network": network, "train": {"instance_noise": 0.0}}
    }
    OmegaConf.save(tree, tmp_path / "params.yaml")
    load_params(tmp_path / "params.yaml")
    tree["runs"]["x"] |= changes
    OmegaConf.save(tree, tmp_path / "params.yaml")
    with pytest.raises(InputError, match=says):
        load_params(tmp_path / "params.yaml")
