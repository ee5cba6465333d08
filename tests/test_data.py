"""Data: the same bytes every time, facts that hold, one scaling, and clear words about what is wrong."""

import json

import numpy as np
import pytest
import torch

from gan_core import config
from gan_core.datasets.prepared import Batches, Prepared, prepare, to_model
from gan_core.datasets.sources import read
from gan_core.errors import DataError
from gan_core.pictures import to_uint8
from tests.conftest import DIGITS

RING = config.Ring("ring", 8, 0.05, 4000, 0, 0.2)
GRID = config.Grid("grid", 5, 0.05, 4000, 0, 0.2)


@pytest.mark.parametrize("spec", [DIGITS, RING, GRID], ids=lambda s: s.source)
def test_preparing_twice_gives_the_same_bytes(spec, tmp_path) -> None:
    for name in ("a", "b"):
        prepare(read(spec), spec, tmp_path / name)
    for file in ("data.safetensors", "index.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_digits(digits: Prepared) -> None:
    assert digits.shape == (1, 8, 8)
    assert digits.classes == 10
    assert sum(digits.index["counts"].values()) == 1797
    assert digits.raw("train").dtype == torch.uint8
    assert digits.raw("train").shape == (1438, 8, 8, 1)
    share = np.array(digits.index["class_counts"]["heldout"]) / 359
    assert share == pytest.approx(0.1, abs=0.01)
    train, heldout = ({bytes(x.numpy()) for x in digits.raw(part)} for part in ("train", "heldout"))
    assert not train & heldout, "no picture is both trained on and held out"


@pytest.mark.parametrize(("spec", "modes", "nearest"), [(RING, 8, 0.765), (GRID, 25, 0.707)], ids=["ring", "grid"])
def test_mixtures_are_what_their_facts_say(spec, modes, nearest, tmp_path) -> None:
    prepare(read(spec), spec, tmp_path)
    data = Prepared(tmp_path)
    centres, std = np.array(data.index["mixture"]["centres"]), data.index["mixture"]["std"]
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 9 * np.eye(modes)
    assert gaps.min() == pytest.approx(nearest, abs=1e-3), "all modes are distinct"
    x, y = data.samples("train").numpy(), data.labels("train").numpy()
    for k in range(modes):
        assert x[y == k].mean(0) == pytest.approx(centres[k], abs=6 * std / np.sqrt((y == k).sum()))
        assert (x[y == k] - centres[k]).std() == pytest.approx(std, rel=0.15)


def test_scaling_has_an_inverse() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    x = to_model(every)
    assert (x.min(), x.max()) == (-1, 1)
    assert x.shape == (1, 1, 16, 16)
    assert torch.equal(torch.from_numpy(to_uint8(x.numpy())), every)


def test_batches_are_a_function_of_seed_and_number(digits: Prepared) -> None:
    one, two, other = Batches(digits, 64, 5), Batches(digits, 64, 5), Batches(digits, 64, 6)
    epoch = [one.at(i) for i in range(one.per_epoch)]
    assert torch.equal(two.at(30).x, one.at(30).x), "any batch, without those before it"
    assert not torch.equal(other.at(3).x, one.at(3).x)
    seen = torch.cat([b.x for b in epoch]).flatten(1)
    assert len(torch.unique(seen, dim=0)) == len(seen), "no sample twice in an epoch"
    assert not torch.equal(one.at(one.per_epoch).x, epoch[0].x), "another order in the next epoch"


def test_labels_stay_with_their_samples(digits: Prepared) -> None:
    truth = {bytes(x.numpy()): int(y) for x, y in zip(digits.raw("train"), digits.labels("train"), strict=True)}
    batch = Batches(digits, 64, 0).at(3)
    assert [truth[bytes(torch.from_numpy(to_uint8(x[None].numpy()))[0].numpy())] for x in batch.x] == batch.y.tolist()


@pytest.mark.parametrize("spec", [config.Digits("digits", 0.001), config.Ring("ring", 8, 0.05, 16, 0, 0.2)])
def test_too_few_for_a_part(spec, tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"samples leaves \d+ to train on and \d+ to measure with; each needs at least 50"
    ):
        prepare(read(spec), spec, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_than_there_is(digits: Prepared) -> None:
    with pytest.raises(DataError, match=r"train\.batch_size 2000 is more than the 1438 training samples"):
        Batches(digits, 2000, 0)


def test_damage_is_noticed(tmp_path, rng) -> None:
    prepare(read(RING), RING, tmp_path)
    path = tmp_path / "data.safetensors"
    whole = path.read_bytes()
    for _ in range(20):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(flipped))
        with pytest.raises(DataError, match="corrupt"):
            Prepared(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"holds no prepared data set .* run `dvc repro`"):
        Prepared(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"sha256": 1})])
def test_a_bad_index_is_named(text: str, tmp_path) -> None:
    prepare(read(RING), RING, tmp_path)
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"damaged|corrupt"):
        Prepared(tmp_path)
