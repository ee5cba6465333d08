"""The autoencoder of latent diffusion and what only it has: an adaptive weight, codes, a latent that is a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from gan_core.config.load import load_params
from gan_core.core.artifact import Artifact
from gan_core.core.build_game import build_game
from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.types import Batch, Moment
from gan_core.data.batches import Batches
from gan_core.data.prepared import Prepared
from gan_core.export import card, onnx
from gan_core.export.gate import onnx_runner
from gan_core.export.ship import AcceptanceReference, ship
from gan_core.metrics import roles
from gan_core.metrics.drawn import with_latents
from gan_core.networks.autoencoder import Codebook
from gan_core.networks.efficientnet_lite0 import installed
from gan_core.objectives.adaptive import adaptive_weight
from gan_core.objectives.quantisation import perplexity, quantisation
from gan_core.runtime.errors import InputError
from gan_core.serving.backends.triton import repository
from gan_core.serving.translate import from_picture_to_picture
from gan_core.training.augmentation import overfitting
from gan_core.training.run import ExecutionConfig
from gan_core.variants.autoencoder import Autoencoder
from tests.conftest import DECLARED, Made, begin, flat_reference, plan, take_steps

NOW, LATER = Moment(), Moment(progress=0.9)
REGULARISATIONS = ("kl", "vq")
needs_lite0 = pytest.mark.skipif(installed() is None, reason="the weights of EfficientNet-Lite0 are not installed")


def spec(side: int = 16, latent: int = 4, **options: int) -> NetworkSpec:
    return NetworkSpec("autoencoder", 8, latent, (3, side, side), 0, {"blocks": 1, **options})


def game_of(regularisation: str = "kl", side: int = 16, **settings: Any) -> Autoencoder:
    chosen = {"regularisation": regularisation, "downsampling": 4, "codes": 32, "perceptual": 0.0}
    game: Any = build_game("autoencoder", spec(side), chosen | settings)
    return game  # type: ignore[no-any-return]


def pictures(n: int = 4, side: int = 16) -> Batch:
    return Batch(torch.rand(n, 3, side, side) * 2 - 1)


def gradient(term: Tensor, *of: Tensor) -> float:
    found = torch.autograd.grad(term, of, retain_graph=True, allow_unused=True, materialize_grads=True)
    return float(torch.cat([g.flatten() for g in found]).norm())


def test_the_adaptive_weight_is_the_quotient_of_gradients() -> None:
    """Of <a, w> and <b, w> that is |a| / (|b| + 1e-4), at most 1e4, and a constant."""
    w, a, b = (torch.randn(5, 3, requires_grad=k == 0) for k in range(3))
    found = adaptive_weight((a * w).sum(), (b * w).sum(), w)
    assert found.item() == pytest.approx((a.norm() / (b.norm() + 1e-4)).item(), rel=1e-6)
    assert not found.requires_grad
    assert adaptive_weight((1e9 * a * w).sum(), (b * w).sum(), w).item() == pytest.approx(1e4)


@pytest.mark.parametrize("regularisation", REGULARISATIONS)
def test_the_game_pulls_at_the_last_layer_as_declared(regularisation: str) -> None:
    """Half as hard as the reconstruction, whatever scale scores have; at first not at all."""
    game, batch = game_of(regularisation), pictures()
    assert "adversarial" not in game.reconstruction_loss(batch, NOW).terms
    for scale in (1.0, 30.0):
        nn.init.normal_(game.discriminator.scales[0].body[-1].weight, std=scale)  # type: ignore[attr-defined]
        found = game.reconstruction_loss(batch, Moment(progress=1.0)).terms
        last = game.decoder.last_layer
        share = gradient(found["adversarial"], last) / gradient(found["l1"], last)
        assert share == pytest.approx(0.5, rel=1e-2)
    half = game.reconstruction_loss(batch, Moment(progress=0.625)).stats["adaptive_weight"]
    assert half.item() > 0


@needs_lite0
@pytest.mark.parametrize("regularisation", REGULARISATIONS)
def test_every_term_moves_its_network(regularisation: str) -> None:
    """A perceptual term computed without gradients, as in public code, would move none."""
    game, batch = game_of(regularisation, 32, perceptual=1.0), pictures(2, 32)
    losses = game.reconstruction_loss(batch, LATER)
    own = {"kl": {"kl"}, "vq": {"codebook", "commitment"}}[regularisation]
    assert losses.terms.keys() == {"l1", "perceptual", "adversarial", *own}
    moved = {
        name: {part for part in ("encoder", "decoder") if gradient(term, *getattr(game, part).parameters())}
        for name, term in losses.terms.items()
    }
    both = {"encoder", "decoder"}
    expected = dict.fromkeys(losses.terms, both) | {"kl": {"encoder"}, "commitment": {"encoder"}}
    assert moved == {k: v for k, v in expected.items() if k in moved} | (
        {"codebook": {"decoder"}} if "codebook" in own else {}
    )
    of_d = game.discriminator_loss(batch.extended(losses.shared), NOW).terms
    assert all(gradient(term, *game.discriminator.parameters()) for term in of_d.values())


def test_the_divergence_is_a_sum_over_the_latent_as_a_share_of_the_pixels() -> None:
    game, batch = game_of(kl=0.3), pictures()
    mean, log_variance = game.encoder.posterior(batch.x)
    whole = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).flatten(1).sum(1).mean()
    found = game.reconstruction_loss(batch, NOW).terms["kl"]
    assert found.item() == pytest.approx(0.3 * whole.item() / (3 * 16 * 16), rel=1e-5)


def test_a_code_is_the_nearest_by_angle() -> None:
    book, z = Codebook(7, 3), torch.randn(2, 3, 4, 5)
    codes, ids = book(z)
    unit = nn.functional.normalize(book.weight, dim=1)
    distance = (nn.functional.normalize(z, dim=1)[:, None] - unit[None, :, :, None, None]).square().sum(2)
    assert torch.equal(ids, distance.argmin(1))
    assert torch.allclose(codes.square().sum(1), torch.ones(2, 4, 5), atol=1e-6)
    assert torch.equal(book(3 * z)[1], ids)


def test_codes_are_found_in_float32_whatever_the_products_are() -> None:
    book, z = Codebook(512, 4), torch.randn(2, 4, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = book(z)[1]
    assert torch.equal(found, book(z)[1])
    run = begin(game_of("vq", adversarial=0.5), plan(1), execution=ExecutionConfig(precision="bfloat16"))
    take_steps(run, lambda _: pictures(), 1)
    assert run.window["perplexity"] >= 1


def test_the_gradient_goes_straight_through_the_codebook() -> None:
    """It reaches the latent as it is at the code, and through the decoder no code; only the codebook's term does."""
    game, batch = game_of("vq"), pictures()
    z = game.encoder(batch.x).detach().requires_grad_()
    codes, _ = game.decoder.nearest(z)
    at_code = codes.detach().requires_grad_()
    push = torch.randn_like(batch.x)
    (straight,) = torch.autograd.grad((game.decoder(z) * push).sum(), z)
    (expected,) = torch.autograd.grad((game.decoder.body(at_code) * push).sum(), at_code)  # type: ignore[attr-defined]
    assert torch.allclose(straight, expected, rtol=1e-4, atol=1e-4)
    assert gradient(game.decoder(z).sum(), game.decoder.codebook.weight) == 0  # type: ignore[attr-defined]
    terms = quantisation(z, codes, 0.25)
    assert terms["commitment"].item() == pytest.approx(terms["codebook"].item() / 4)
    (pulled,) = torch.autograd.grad(terms["commitment"], z)
    assert torch.allclose(pulled, 0.25 * 2 * (z - codes) / z.numel(), atol=1e-7)
    game.decoder.eval()  # type: ignore[attr-defined]
    assert torch.equal(game.decoder(z), game.decoder(codes)), "what is shipped decodes codes"


@pytest.mark.parametrize(("ids", "expected"), [(torch.arange(8), 8.0), (torch.zeros(3, 4, dtype=torch.long), 1.0)])
def test_perplexity_is_the_number_of_codes_that_are_used_alike(ids: Tensor, expected: float) -> None:
    assert perplexity(ids, 8).item() == pytest.approx(expected)


@pytest.mark.parametrize("factor", [4, 8, 16])
@pytest.mark.parametrize("codes", [{}, {"codes": 5}])
def test_a_latent_is_a_map_of_a_share_of_any_sides(factor: int, codes: dict[str, int]) -> None:
    body = spec(32)
    z = body.latent_map(factor)
    assert z.shape == (4, 32 // factor, 32 // factor)
    body = body.with_family("autoencoder", **body.options, **codes)
    encoder, decoder = (build_network(c).eval() for c in (body.encoder(z), body.decoder(z)))
    assert (onnx.size_multiple(body.encoder(z)), onnx.size_multiple(body.decoder(z))) == (factor, 1)
    made = encoder(torch.rand(2, 3, 2 * factor, 5 * factor))
    assert made.shape == (2, 4, 2, 5)
    assert decoder(made).shape == (2, 3, 2 * factor, 5 * factor)


@pytest.mark.parametrize("shape", [(3, 20, 32), (3, 8, 32), (2,)])
def test_sides_that_do_not_fit_are_said(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="multiples of 8, from 16 up"):
        build_game("autoencoder", NetworkSpec("autoencoder", 8, 4, shape), {"perceptual": 0.0})


def test_a_map_of_latents_is_no_image() -> None:
    body = spec()
    z = body.latent_map(4)
    encoder, decoder = body.encoder(z), body.decoder(z)
    assert (encoder.is_image, encoder.output_name, encoder.images) == (False, "z", ["x"])
    assert (decoder.is_image, decoder.output_name, decoder.images) == (True, "image", ["image"])
    assert onnx.ports(decoder, pixels=True) == {"z": ("float32", (4, -1, -1)), "image": ("uint8", (-1, -1, 3))}
    assert onnx.ports(encoder, pixels=False) == {"x": ("float32", (3, -1, -1)), "z": ("float32", (4, -1, -1))}
    assert (z.is_data, z.field) == (True, None), "no seed draws it, and no batch has it"


@pytest.mark.parametrize("regularisation", REGULARISATIONS)
def test_both_halves_ship_for_pictures_of_any_size(regularisation: str, tmp_path: Path) -> None:
    """Through the gate; and both graphs, one after the other, rebuild as both networks do at sides of their own."""
    game, x = game_of(regularisation), pictures(64).x
    trained = {
        role: Artifact(network.eval().requires_grad_(False), network.config, {"data": "none"}, "none")
        for role, network in (("encoder", game.encoder), ("decoder", game.decoder))
    }
    export = load_params(DECLARED).export
    export = replace(
        export,
        max_batch_size=8,
        precisions={"fp32": export.precisions["fp32"]},
        engines=replace(export.engines, targets=[86], precisions=["fp32"] if regularisation == "vq" else []),
    )
    real = with_latents(trained, {"x": x})
    assert torch.equal(real["latent"][:], trained["encoder"].network(x))
    reference = AcceptanceReference({}, real, 100, 1)
    entries = {}
    for role, network in trained.items():
        entries[role], offered = ship("r", role, network, tmp_path, export, reference, 1, repository.write)
        assert not any(e.seeded for e in offered)
        assert entries[role]["refused"] == {}
        assert not from_picture_to_picture(entries[role])
    assert [len(entries[role]["engines"]) for role in trained] == ([1, 2] if regularisation == "vq" else [0, 0])
    wide = torch.rand(3, 3, 8, 28) * 2 - 1
    z = onnx_runner((tmp_path / "encoder.onnx").read_bytes(), 1)({"x": wide.numpy()})
    expected = trained["decoder"].network(trained["encoder"].network(wide))
    image = onnx_runner((tmp_path / "decoder.onnx").read_bytes(), 1)({"z": z})
    assert np.abs(image - expected.numpy()).max() < 1e-4
    pixels = onnx_runner((tmp_path / "decoder.uint8.onnx").read_bytes(), 1)({"z": z})
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 8, 28, 3)
    assert card.open_sides(entries["decoder"], []).startswith(
        " Height and width may be any from 2 up. It is given no tiles"
    )


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_figures_are_of_reconstructions() -> None:
    """Of halves that undo each other nothing is lost; and of latents 2 x + 1 mean and deviation are known."""
    shape = (3, 16, 16)
    x = (torch.rand(50, *shape) * 255).round() / 127.5 - 1
    reference = flat_reference(Made(x, x))
    given, z = Input("x", "x", 768, shape), Input("z", "latent", 768, shape)

    def halves(decode: Callable[[Tensor], Tensor]) -> dict[str, Artifact]:
        configs = {
            "encoder": NetworkConfig("none", shape, 1, (given,), output_space="latent"),
            "decoder": NetworkConfig("none", shape, 1, (z,)),
        }
        functions = {"encoder": lambda x: 2 * x + 1, "decoder": decode}
        return {role: Artifact(Function(functions[role]), config, {}, "") for role, config in configs.items()}

    def figures(decode: Callable[[Tensor], Tensor]) -> dict[str, float]:
        trained = halves(decode)
        inputs = trained["decoder"].config.fixed_columns(50, 0, with_latents(trained, {"x": x}))
        fake = trained["decoder"].network(inputs["z"][:])
        return roles.figures("decoder", trained, {"x": reference}, inputs, fake).figures

    perfect, off = figures(lambda z: (z - 1) / 2), figures(lambda z: (z - 1) / 2 + 0.1)
    assert (perfect["psnr"], perfect["l1"], perfect["ssim"]) == pytest.approx((100, 0, 1), abs=1e-5)
    assert off["l1"] == pytest.approx(0.1, rel=1e-4)
    assert off["psnr"] == pytest.approx(10 * np.log10(4 / 0.01), rel=1e-4)
    assert "psnr_of_source" not in off
    mean, deviation = 2 * x.double().mean().item() + 1, 2 * x.double().std(correction=0).item()
    assert off["latent_mean"] == pytest.approx(mean, rel=1e-5)
    assert off["latent_scale"] == pytest.approx(1 / deviation, rel=1e-5)
    assert f"{1 / deviation:.4g} times `z`" in card.scale({"encoder": {}, "decoder": off})


@pytest.mark.parametrize("regularisation", REGULARISATIONS)
def test_it_learns_to_rebuild(regularisation: str, digits: Prepared) -> None:
    """Better than the best constant picture."""
    settings = {"downsampling": 4, "perceptual": 0.0, "regularisation": regularisation, "learning_rate": 2e-3}
    game: Any = build_game("autoencoder", replace(spec(8), shape=digits.shape), settings)
    take_steps(begin(game, plan(100)), Batches(digits, 32, 0).at, 100)
    x = digits.samples("heldout")[:]
    y = game.decoder.eval()(game.encoder.eval()(x)).detach()
    constant = (x - digits.samples("train")[:].median(0).values).abs().mean()
    assert (x - y).abs().mean() < 0.9 * constant


def test_augmentation_adapts_to_reconstructions(digits: Prepared) -> None:
    """r_v asks what real, set-aside and generated samples score; the generated ones are reconstructions of the real."""
    settings = {"downsampling": 4, "perceptual": 0.0}
    game: Any = build_game("autoencoder", replace(spec(8), shape=digits.shape), settings)
    run = begin(game)
    aside = Batches(digits, 16, 1).at(0)
    seen: list[Tensor] = []

    class Scored(Autoencoder):
        def scorers(self) -> Any:
            return {"decoder": lambda x, _: seen.append(x) or x.flatten(1).mean(1)}

    run.game = Scored(**{f.name: getattr(game, f.name) for f in fields(game)})
    run.aside_at = lambda _: aside
    batch = Batches(digits, 16, 0).at(0)
    overfitting(run, batch)
    assert torch.equal(seen[2], game.decoder(game.encoder(batch.x)))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "sides": ({"settings": {"downsampling": 8}}, "sides must be multiples of it, from 16 on, and size is 12"),
    "factor": ({"settings": {"downsampling": 3}}, "downsampling"),
    "nothing": ({"settings": {"downsampling": 4, "l1": 0, "perceptual": 0}}, "nothing would be rebuilt"),
    "noise": ({"train": {"instance_noise": 0.05}}, "would be asked for their noise; set it to 0"),
    "family": ({"network": {"family": "dcgan", "width": 8, "latent": 4}}, "has no decoder .*use autoencoder"),
    "latent": ({"network": {"family": "autoencoder", "width": 8, "latent": 0}}, "needs a latent of 1 or more"),
    "codes": ({"network": {"family": "autoencoder", "width": 8, "latent": 4, "codes": 9}}, "codes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_played_is_refused(case: str, tmp_path: Path) -> None:
    changes, says = REFUSED[case]
    tree: Any = OmegaConf.to_container(OmegaConf.load(DECLARED))
    run = {
        "variant": "autoencoder",
        "dataset": "shapes",
        "network": {"family": "autoencoder", "width": 8, "latent": 4},
        "train": {"instance_noise": 0.0},
        "settings": {"downsampling": 4},
    }
    tree["runs"] = {"x": run}
    OmegaConf.save(tree, tmp_path / "params.yaml")
    load_params(tmp_path / "params.yaml")
    tree["runs"]["x"] = run | changes
    OmegaConf.save(tree, tmp_path / "params.yaml")
    with pytest.raises(InputError, match=says):
        load_params(tmp_path / "params.yaml")
