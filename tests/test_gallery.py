"""Pictures of a run follow from its config, hold what they say they hold, and show what the network made."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from gan_core.core.artifact import Artifact
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.data.prepared import Prepared
from gan_core.report import gallery, pictures
from tests.conftest import flat_reference

Z, CODE, Y = Input("z", "normal", 6), Input("code", "uniform", 2), Input("y", "label", 10)
COUNTS = st.integers(2, 12)


class Listening(nn.Module):
    """Remembers what it was fed; draws the label where it has one, as a grey level."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config, self.heard = config, []

    def forward(self, *inputs: Tensor) -> Tensor:
        self.heard.append(inputs)
        grey = [v for i, v in zip(self.config.inputs, inputs, strict=True) if i.is_integer]
        level = grey[0] / 10 if grey else torch.zeros(len(inputs[0]))
        return level.float()[:, None, None, None].expand(-1, *self.config.shape)

    def said(self, name: str) -> Any:
        """All rows of one input."""
        place = [i.name for i in self.config.inputs].index(name)
        return torch.cat([inputs[place] for inputs in self.heard]).numpy()


def listening(*inputs: Input) -> tuple[Listening, Artifact]:
    network = Listening(NetworkConfig("none", (1, 8, 8), 0, inputs))
    return network, Artifact(network, network.config, {}, "")


def opened(png: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(png)))


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), COUNTS)
def test_a_walk_of_normal_latents_is_a_great_circle(seed: int, size: int, steps: int) -> None:
    """It begins and ends where it should, turns at one speed, and its radius goes evenly."""
    a, b = np.random.default_rng(seed).standard_normal((2, 3, size), dtype=np.float32)
    way = gallery.between("normal", a, b, steps).astype(np.float64)
    np.testing.assert_allclose(way[:, 0], a, atol=1e-5)
    np.testing.assert_allclose(way[:, -1], b, atol=1e-5)
    radius = np.linalg.norm(way, axis=2)
    np.testing.assert_allclose(radius, np.linspace(radius[:, 0], radius[:, -1], steps, axis=1), rtol=1e-4)
    unit = way / radius[..., None]
    turns = np.linalg.norm(np.diff(unit, axis=1), axis=2)
    np.testing.assert_allclose(turns, turns[:, :1].repeat(steps - 1, 1), atol=1e-3)


def test_a_walk_between_parallel_latents_is_straight() -> None:
    a = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(gallery.between("normal", a, 3 * a, 3)[0, 1], 2.0, rtol=1e-6)
    assert np.isfinite(gallery.between("normal", a, -a, 5)).all()
    assert np.isfinite(gallery.between("normal", 0 * a, a, 5)).all()


def test_a_walk_of_uniform_latents_stays_in_the_cube(rng: np.random.Generator) -> None:
    a, b = rng.uniform(-1, 1, (2, 5, 8)).astype(np.float32)
    way = gallery.between("uniform", a, b, 7)
    assert np.abs(way).max() <= 1
    np.testing.assert_allclose(way[:, 3], (a + b) / 2, atol=1e-6)


def test_on_a_walk_all_else_is_held() -> None:
    network, artefact = listening(Z, CODE, Y)
    gallery.interpolation(artefact, Z, np.zeros((4, 1, 8, 8), np.float32), 3)
    for name in ("code", "y"):
        rows = network.said(name).reshape(gallery.WALKS, gallery.STEPS, -1)
        assert (rows == rows[:, :1]).all(), name
    walked = network.said("z").reshape(gallery.WALKS, gallery.STEPS, -1)
    ends = artefact.config.fixed_inputs(2 * gallery.WALKS, 3)["z"]
    np.testing.assert_allclose(np.concatenate([walked[:, 0], walked[:, -1]]), ends, atol=1e-5)


def test_a_sweep_moves_one_number_of_the_code() -> None:
    network, artefact = listening(Z, CODE, Y)
    gallery.traversal(artefact, CODE, np.zeros((4, 1, 8, 8), np.float32), 3)
    code = network.said("code").reshape(CODE.size, 3, -1, CODE.size)
    for d in range(CODE.size):
        np.testing.assert_allclose(code[d, :, :, d], np.linspace(-1, 1, code.shape[2])[None].repeat(3, 0), atol=1e-6)
        assert (np.delete(code[d], d, axis=2) == 0).all()
    latents = network.said("z").reshape(CODE.size, 3, -1, Z.size)
    assert (latents == latents[:1, :, :1]).all(), "the same three latents for every number"


def test_a_row_of_a_traversal_is_a_value_and_a_column_a_latent() -> None:
    network, artefact = listening(Z, Y)
    sheet = opened(gallery.traversal(artefact, Y, np.zeros((4, 1, 8, 8), np.float32), 3))
    latents = network.said("z").reshape(Y.size, gallery.COLUMNS, -1)
    assert (latents == latents[:1]).all()
    middle = sheet[:, -20]
    grey = [int(v) for v in np.rint((np.arange(10) / 10 + 1) * 127.5)]
    order = [v for k, v in enumerate(middle) if v != pictures.PAPER and (k == 0 or middle[k - 1] == pictures.PAPER)]
    assert order == grey


@pytest.mark.parametrize("size", [3, 1000])
def test_of_very_many_values_some_are_shown(size: int) -> None:
    many = Input("y", "label", size)
    network, artefact = listening(Z, many)
    title, _ = pictures.caption(gallery.traversal(artefact, many, np.zeros((4, 1, 8, 8), np.float32), 0))
    asked = np.unique(network.said("y"))
    assert (asked.min(), asked.max(), len(asked)) == (0, size - 1, min(size, gallery.MOST_VALUES))
    assert title == ("Every y" if size == 3 else "20 of 1000 values of y")


def test_a_copier_is_seen(digits: Prepared) -> None:
    """A network that draws training samples has its own neighbours, at no distance; one of noise does not."""

    class Copier(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return digits.samples("train")[: len(z)]

    class Noise(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.rand(len(z), 1, 8, 8) * 2 - 1

    reference = flat_reference(digits)
    said = []
    for network in (Copier(), Noise()):
        artefact = Artifact(network, NetworkConfig("none", (1, 8, 8), 0, (Z,)), {}, "")
        png = gallery.neighbours(artefact, reference, 1)
        said.append(pictures.caption(png)[1])
        again = gallery.neighbours(artefact, reference, 1)
        assert (png == again) == (network.__class__ is Copier), "nothing but the network decides"
    assert "Median 0.00" in said[0]
    assert "Median 0.00" not in said[1]


def test_translations_are_shown_with_the_truth_and_the_way_back(domains: Prepared) -> None:
    """One that is the identity gives back what it was given, in every row but the true map's."""
    identity = nn.Identity()
    ways = {
        role: Artifact(
            identity,
            NetworkConfig("none", domains.shape, 0, (Input("x", source, 192, domains.shape),), output_space=target),
            {},
            "",
        )
        for role, source, target in (("there", "x", "x_b"), ("back", "x_b", "x"))
    }
    spaces = {space: flat_reference(domain) for space, domain in domains.spaces.items()}
    ((what, png),) = gallery.pictures_of("there", ways, spaces, domains.spaces, 0)
    assert what == "translation"
    bands = np.array_split(np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[:, 120:], 4)
    height = min(len(b) for b in bands)
    given, made, true, back = (b[:height].astype(int) for b in bands)
    assert np.abs(given - made).mean() < np.abs(given - true).mean() / 3
    assert np.abs(given - back).mean() < np.abs(given - true).mean() / 3


@given(COUNTS, COUNTS, st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
def test_a_sheet_shows_every_image_where_it_belongs(count: int, columns: int, channels: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 255, (count, 4, 5, channels), dtype=np.uint8)
    picture = Image.open(io.BytesIO(pictures.sheet(images, columns, title="ä", says="<é>")))
    assert picture.mode in ("L", "RGB") or channels == 3, "a palette only where there are colours"
    sheet = np.asarray(picture.convert("RGB" if channels == 3 else "L")).reshape(*picture.size[::-1], channels)
    scale = max(1, (640 // max(columns, -(-count // columns)) - 1) // 5)
    gap = max(1, scale // 2)
    for k, image in enumerate(images):
        y, x = k // columns * (4 * scale + gap), k % columns * (5 * scale + gap)
        assert np.array_equal(sheet[y : y + 4 * scale : scale, x : x + 5 * scale : scale], image)


def test_a_picture_carries_its_words() -> None:
    images = np.zeros((1, 4, 4, 1), np.uint8)
    assert pictures.caption(pictures.grid(images, "Ünï", "<says>")) == ("Ünï", "<says>")
    assert pictures.caption(pictures.grid(images)) == ("", "")
