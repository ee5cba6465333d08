"""Shapes, and clear words where a shape cannot be."""

import numpy as np
import pytest
import torch

from gan_core.core import latents
from gan_core.core.artifact import load, save
from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.networks.layers.memory import Pool
from gan_core.networks.resnet import Reflect
from gan_core.runtime.errors import DataError, InputError

SIZES = [(8, 8), (16, 16), (24, 24), (28, 28), (32, 32), (48, 48), (56, 56), (64, 64), (64, 128), (16, 24)]


@pytest.mark.parametrize("family", ["mlp", "dcgan"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_generator_draws_what_a_discriminator_reads(family: str, size: tuple[int, int], channels: int) -> None:
    body = NetworkSpec(family, 4, 5, (channels, *size))
    x = build_network(body.generator(body.prior()))(torch.randn(3, 5))
    assert x.shape == (3, channels, *size)
    assert x.abs().max() <= 1
    assert build_network(body.discriminator())(x).shape == (3,)
    discriminator = build_network(body.discriminator())
    assert build_network(body.recogniser(7))(discriminator.features(x)).shape == (3, 7)
    encoder = build_network(body.encoder(body.prior()))
    mean, log_variance = encoder.posterior(100 * x)
    assert mean.shape == log_variance.shape == (3, 5)
    assert torch.equal(encoder(100 * x), mean)
    assert log_variance.abs().max() <= 8
    packed = build_network(body.discriminator(pack=3))
    assert packed(torch.randn(2, 3 * channels, *size)).shape == (2,)


def test_points() -> None:
    body = NetworkSpec("mlp", 8, 4, (2,))
    x = build_network(body.generator(body.prior()))(torch.randn(5, 4) * 100)
    assert x.shape == (5, 2)
    assert x.abs().max() > 1, "points are not squashed"


@pytest.mark.parametrize(("side", "patches"), [(8, 16), (12, 36), (16, 64), (32, 14**2), (64, 30**2), (128, 30**2)])
def test_a_translator_keeps_the_shape_and_patches_are_scored(side: int, patches: int) -> None:
    body = NetworkSpec("resnet", 2, 0, (3, side, side))
    x = torch.rand(2, 3, side, side) * 2 - 1
    y = build_network(body.translator("x", "x_b"))(x)
    assert y.shape == x.shape
    assert y.abs().max() <= 1
    assert build_network(body.discriminator())(x).shape == (2, patches)


@pytest.mark.parametrize("side", [8, 12])
def test_a_small_translator_starts_from_grey(side: int) -> None:
    """Which end of its tanh a colour runs into is then up to the game, not to the seed."""
    for seed in range(8):
        torch.manual_seed(seed)
        translator = build_network(NetworkSpec("resnet", 32, 0, (3, side, side)).translator("x", "x_b"))
        assert translator(torch.rand(4, 3, side, side) * 2 - 1).abs().max() < 0.1, seed


@pytest.mark.parametrize(("side", "field"), [(20, 10), (32, 16), (96, 34), (160, 70)])
def test_a_patch_is_at_most_half_the_picture(side: int, field: int) -> None:
    """The pixels that one score in the middle depends on: 70 x 70 for large pictures, as the paper's."""
    discriminator = build_network(NetworkSpec("resnet", 1, 0, (1, side, side)).discriminator()).eval()
    layers = [m for m in discriminator.body if isinstance(m, torch.nn.Conv2d)]
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    v = torch.nn.Sequential(*layers)(x)  # without norms, whose statistics see the whole picture
    v[0, 0, v.shape[2] // 2, v.shape[3] // 2].backward()
    seen = x.grad[0, 0].nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [field, field]
    assert field <= side // 2


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 30, 32), (2,)])
def test_what_a_translator_cannot_read_is_said(shape: tuple[int, ...]) -> None:
    says = (
        r"multiples of 4, from 8 on|draws images, these samples have shape|sees pictures of 8 pixels and more, not of 6"
    )
    spec = NetworkSpec("resnet", 4, 0, shape)
    with pytest.raises(InputError, match=says):
        build_network(spec.translator("x", "x_b"))
    if shape == (3, 30, 32):  # patches need no multiples
        assert build_network(spec.discriminator())(torch.zeros(2, *shape)).shape[0] == 2
        return
    with pytest.raises(InputError, match=says):
        build_network(spec.discriminator())


@pytest.mark.parametrize("p", [1, 3])
def test_reflection_is_torchs(p: int) -> None:
    x = torch.randn(2, 3, 8, 5)
    x.requires_grad_()
    theirs = torch.nn.functional.pad(x, (p, p, p, p), mode="reflect")
    push = torch.randn_like(theirs)
    for ours in (Reflect(p).train()(x), Reflect(p).eval()(x)):
        assert torch.equal(ours, theirs)
        gradients = [torch.autograd.grad(y, x, push, retain_graph=True)[0] for y in (ours, theirs)]
        assert torch.allclose(*gradients, atol=1e-6)


@pytest.mark.parametrize("family", ["mlp", "dcgan"])
def test_spectral_norm_bounds_every_layer(family: str) -> None:
    """After some power iterations each weight, as a matrix of its outputs, has the largest singular value 1."""
    discriminator = build_network(NetworkSpec(family, 8, 4, (1, 8, 8)).discriminator(spectral=True))
    for _ in range(60):
        discriminator(torch.randn(4, 1, 8, 8))
    layers = [m for m in discriminator.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    largest = [torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() for m in layers]
    assert largest == pytest.approx([1.0] * len(layers), abs=0.02)
    plain = build_network(NetworkSpec(family, 8, 4, (1, 8, 8)).discriminator())
    assert not any("parametrizations" in name for name, _ in plain.named_parameters())


def test_a_pool_returns_what_it_was_given() -> None:
    """The first 50 as they are; then half of the time an older one, each at most once, and what is new is kept."""
    pool = Pool(50, (1,))
    first = pool(torch.arange(50.0)[:, None])
    assert torch.equal(first, torch.arange(50.0)[:, None])
    shown = [pool(torch.arange(k, k + 10.0)[:, None]).flatten().tolist() for k in range(50, 4050, 10)]
    flat = [v for row in shown for v in row]
    fresh = sum(v >= 50 + 10 * k for k, row in enumerate(shown) for v in row) / len(flat)
    assert fresh == pytest.approx(0.5, abs=0.03)
    assert len(set(flat)) == len(flat), "a sample that was returned from the history has left it"
    assert set(flat) <= set(map(float, range(4050)))


def test_a_pool_is_part_of_the_state_and_holds_no_graph() -> None:
    pool, other = Pool(4, (2,)), Pool(4, (2,))
    x = torch.randn(4, 2, requires_grad=True)
    assert not pool(x * 2).requires_grad
    other.load_state_dict(pool.state_dict())
    torch.manual_seed(1)
    a = pool(torch.ones(3, 2))
    torch.manual_seed(1)
    assert torch.equal(a, other(torch.ones(3, 2)))


@pytest.mark.parametrize("shape", [(1, 7, 7), (1, 30, 30), (3, 36, 64), (2,), (1, 4, 64)])
def test_what_convolutions_cannot_draw_is_said(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="use 'mlp'"):
        build_network(NetworkSpec("dcgan", 4, 4, shape).generator(Input("z", "normal", 4)))


def test_inputs_stand_side_by_side() -> None:
    config = NetworkConfig("mlp.generator", (2,), 8, (Input("z", "normal", 3), Input("y", "label", 4)))
    rows = config.concat((torch.zeros(2, 3), torch.tensor([1, 3])))
    assert rows.tolist() == [[0, 0, 0, -1, 1, -1, -1], [0, 0, 0, -1, -1, -1, 1]]
    assert build_network(config)(torch.zeros(2, 3), torch.tensor([1, 3])).shape == (2, 2)
    assert Input("c", "category", 3).embed(torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    for wrong in (-1, -3, 3):
        with pytest.raises(IndexError):
            Input("c", "category", 3).embed(torch.tensor([0, wrong]))


def test_fixed_inputs_are_the_same_everywhere() -> None:
    """They are what ``latents.draw`` gives, whose bits are published ones: a function of seed, row and whole name."""
    z = Input("noise_res8_0", "normal", 3)
    described = NetworkConfig("mlp.generator", (2,), 8, (z,)).described_inputs()
    assert (z.fixed(9, 7) == latents.draw(described, (7 << 32) + np.arange(9))[z.name]).all()
    assert (z.fixed(2, 7) == z.fixed(9, 7)[:2]).all()
    assert not (z.fixed(2, 2**32 - 1) == z.fixed(2, 2**31)).any(), "a seed of 32 bits"
    assert not (z.fixed(2, 7) == z.fixed(2, 8)).any()
    assert not (z.fixed(2, 7) == Input("noise_res8_1", "normal", 3).fixed(2, 7)).any()
    assert Input("x", "x", 12, (3, 2, 2)).fixed(5, 1).shape == (5, 3, 2, 2)
    y = Input("y", "label", 10).fixed(2000, 0)
    assert set(y) == set(range(10))
    u = Input("u", "uniform", 2).fixed(2000, 0)
    assert -1 <= u.min() < -0.99 < 0.99 < u.max() < 1


def test_an_artefact_brings_itself_back(tmp_path) -> None:
    config = NetworkSpec("dcgan", 4, 6, (1, 8, 8)).generator(Input("z", "normal", 6))
    network = build_network(config)
    path = tmp_path / "a.safetensors"
    save(path, network, config, {"why": "test"})
    back = load(path)
    assert back.config == config
    assert back.notes == {"why": "test"}
    assert not back.network.training
    z = torch.randn(4, 6)
    assert torch.equal(back.network(z), network.eval()(z))
    save(tmp_path / "elsewhere.safetensors", back.network, back.config, back.notes)
    assert (tmp_path / "elsewhere.safetensors").read_bytes() == path.read_bytes()


def test_damage_is_noticed(tmp_path, rng) -> None:
    """50 single bit flips and 20 truncations: each is refused with a sentence."""
    config = NetworkSpec("mlp", 8, 4, (2,)).generator(Input("z", "normal", 4))
    path = tmp_path / "a.safetensors"
    save(path, build_network(config), config, {})
    whole = path.read_bytes()
    for _ in range(50):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(flipped))
        with pytest.raises((DataError, InputError)):
            load(path)
    for cut in rng.integers(len(whole), size=20):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="not a complete artefact"):
            load(path)
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "none.safetensors")
