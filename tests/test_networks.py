"""Shapes, and clear words where a shape cannot be."""

import pytest
import torch

from gan_core.artifact import load, save
from gan_core.errors import DataError, InputError
from gan_core.networks.build import build
from gan_core.signature import Body, Input, Recipe

SIZES = [(8, 8), (16, 16), (24, 24), (28, 28), (32, 32), (48, 48), (56, 56), (64, 64), (64, 128), (16, 24)]


@pytest.mark.parametrize("family", ["mlp", "dcgan"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_generator_draws_what_a_discriminator_reads(family: str, size: tuple[int, int], channels: int) -> None:
    body = Body(family, 4, 5, (channels, *size))
    x = build(body.generator(body.prior()))(torch.randn(3, 5))
    assert x.shape == (3, channels, *size)
    assert x.abs().max() <= 1
    assert build(body.discriminator())(x).shape == (3,)
    assert build(body.discriminator(outputs=7))(x).shape == (3, 7)


def test_points() -> None:
    body = Body("mlp", 8, 4, (2,))
    x = build(body.generator(body.prior()))(torch.randn(5, 4) * 100)
    assert x.shape == (5, 2)
    assert x.abs().max() > 1, "points are not squashed"


@pytest.mark.parametrize("shape", [(1, 7, 7), (1, 30, 30), (3, 36, 64), (2,), (1, 4, 64)])
def test_what_convolutions_cannot_draw_is_said(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="use 'mlp'"):
        build(Body("dcgan", 4, 4, shape).generator(Input("z", "normal", 4)))


def test_inputs_stand_side_by_side() -> None:
    recipe = Recipe("mlp.generator", (2,), 8, (Input("z", "normal", 3), Input("y", "label", 4)))
    rows = recipe.encode((torch.zeros(2, 3), torch.tensor([1, 3])))
    assert rows.tolist() == [[0, 0, 0, -1, 1, -1, -1], [0, 0, 0, -1, -1, -1, 1]]
    assert build(recipe)(torch.zeros(2, 3), torch.tensor([1, 3])).shape == (2, 2)


def test_pinned_latents_are_the_same_everywhere() -> None:
    """Philox is specified: these numbers hold on every machine, for every NumPy (its stream policy) and any count."""
    z = Input("z", "normal", 3)
    assert z.pinned(2, 7)[0] == pytest.approx(z.pinned(9, 7)[0])
    assert not (z.pinned(2, 7) == z.pinned(2, 8)).any()
    assert not (z.pinned(2, 7) == Input("w", "normal", 3).pinned(2, 7)).any()
    y = Input("y", "label", 10).pinned(2000, 0)
    assert set(y) == set(range(10))
    u = Input("u", "uniform", 2).pinned(2000, 0)
    assert -1 <= u.min() < -0.99 < 0.99 < u.max() < 1


def test_an_artefact_brings_itself_back(tmp_path) -> None:
    recipe = Body("dcgan", 4, 6, (1, 8, 8)).generator(Input("z", "normal", 6))
    network = build(recipe)
    path = tmp_path / "a.safetensors"
    save(path, network, recipe, {"why": "test"})
    back = load(path)
    assert back.recipe == recipe
    assert back.notes == {"why": "test"}
    assert not back.network.training
    z = torch.randn(4, 6)
    assert torch.equal(back.network(z), network.eval()(z))
    save(tmp_path / "elsewhere.safetensors", back.network, back.recipe, back.notes)
    assert (tmp_path / "elsewhere.safetensors").read_bytes() == path.read_bytes()


def test_damage_is_noticed(tmp_path, rng) -> None:
    """50 single bit flips and 20 truncations: each is refused with a sentence."""
    recipe = Body("mlp", 8, 4, (2,)).generator(Input("z", "normal", 4))
    path = tmp_path / "a.safetensors"
    save(path, build(recipe), recipe, {})
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
