"""Data: the same bytes every time, facts that hold, one scaling, and clear words about what is wrong."""

import io
import json
import re
import typing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_core.config import rules, schema
from gan_core.config.checker import Checker
from gan_core.config.load import load_params
from gan_core.core import artifact
from gan_core.core.pixels import to_uint8
from gan_core.data.batches import Balanced, Batches
from gan_core.data.packed import to_model
from gan_core.data.prepare import prepare
from gan_core.data.prepared import Prepared
from gan_core.data.sources import SOURCES, Raw, draw, read
from gan_core.data.split import split
from gan_core.metrics.extractor import accuracy, save_extractor
from gan_core.metrics.measure import measure, references
from gan_core.report.pictures import INK, PAPER, TRUTH, scatter
from gan_core.runtime.device import set_up
from gan_core.runtime.errors import DataError
from gan_core.runtime.seeds import fold
from tests import conftest
from tests.conftest import DIGITS

EXTRACTOR = schema.Extractor(16, 0, 64, 2e-3, 80, 800, 4000)
RING = schema.Ring("ring", 8, 0.05, 4000, 0, 0.2)
GRID = schema.Grid("grid", 5, 0.05, 4000, 0, 0.2)
MIXTURE = schema.Mixture("mixture", [0.3, 0.5, 0.2], [-2.0, 0.0, 3.0], [0.3, 0.2, 0.5], 20000, 0, 0.2)
LINE = schema.Line("line", 0.5, 4000, 0, 0.2)
KINDS: list[typing.Literal["disc", "cross", "frame"]] = ["disc", "cross", "frame"]
SHAPES = schema.Shapes("shapes", 16, KINDS, 4.0, 0.0, 3000, 0, 0.2)
STACKED = schema.StackedDigits("stacked_digits", 3000, 0, 0.2)
RECOLOUR = schema.DigitDomains("digit_domains", "recolour", 0, 0.2)
INVERSION = schema.DigitDomains("digit_domains", "inversion", 0, 0.2)
EVERY = [DIGITS, RING, GRID, MIXTURE, LINE, SHAPES, STACKED, RECOLOUR, INVERSION]


@pytest.mark.parametrize("spec", EVERY, ids=lambda s: s.source)
def test_preparing_twice_gives_the_same_bytes(spec, tmp_path) -> None:
    for name in ("a", "b"):
        prepare(read(spec), spec, tmp_path / name)
    for file in ("train.x.npy", "heldout.x.npy", "index.json"):
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


@pytest.mark.parametrize(
    ("sizes", "share"),
    [
        ([3] * 1000, 0.2),
        ([1] * 100, 0.5),
        ([70, 20, 7, 3], 0.29),
        ([101, 1, 1], 0.1),
        ([10], 0.25),
        ([1] * 40 + [3, 4] * 20, 0.3),
    ],
)
def test_the_share_held_out_is_exact_in_all_and_to_within_one_in_every_class(sizes: list[int], share: float) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    heldout = split(len(labels), labels, share)
    assert heldout.sum() == round(share * len(labels))
    each = np.bincount(labels[heldout], minlength=len(sizes))
    assert (np.abs(each - share * np.array(sizes)) < 1).all()
    given, rest = np.divmod(share * np.array(sizes), 1)
    could = (each == given) & (rest > 0) & (given + 1 < sizes)
    assert not (each == sizes).any() or not could.any(), "no class is held out whole where others can give"
    if len(set(sizes)) == 1 and len(sizes) > 1:
        assert 0.2 < (each[: len(each) // 2].sum() / each.sum()) < 0.8, "which class gives more is left to chance"
    assert split(len(labels), None, share).sum() == round(share * len(labels))


@pytest.mark.parametrize(("spec", "modes", "nearest"), [(RING, 8, 0.765), (GRID, 25, 0.707)], ids=["ring", "grid"])
def test_mixtures_are_what_their_facts_say(spec, modes, nearest, tmp_path) -> None:
    prepare(read(spec), spec, tmp_path)
    data = Prepared(tmp_path)
    centres, std = np.array(data.index["mixture"]["centres"]), data.index["mixture"]["std"]
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 9 * np.eye(modes)
    assert gaps.min() == pytest.approx(nearest, abs=1e-3), "all modes are distinct"
    x, y = data.samples("train")[:].numpy(), data.labels("train").numpy()
    for k in range(modes):
        assert x[y == k].mean(0) == pytest.approx(centres[k], abs=6 * std / np.sqrt((y == k).sum()))
        assert (x[y == k] - centres[k]).std() == pytest.approx(std, rel=0.15)


def test_mixture_has_the_moments_of_its_density() -> None:
    """Mean sum w m; variance sum w (s^2 + m^2) - mean^2; the label is the component."""
    raw = read(MIXTURE)
    w, m, s = map(np.array, (MIXTURE.weights, MIXTURE.means, MIXTURE.stds))
    x, n = raw.samples[:, 0].astype(np.float64), MIXTURE.count
    mean = (w * m).sum()
    variance = (w * (s**2 + m**2)).sum() - mean**2
    assert raw.samples.shape == (n, 1)
    assert x.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
    error = np.sqrt((np.mean((x - mean) ** 4) - variance**2) / n)
    assert x.var() == pytest.approx(variance, abs=4 * error)
    for k in range(3):
        own = x[raw.labels == k]
        assert len(own) / n == pytest.approx(w[k], abs=4 * np.sqrt(w[k] * (1 - w[k]) / n))
        assert own.mean() == pytest.approx(m[k], abs=4 * s[k] / np.sqrt(len(own)))
        assert own.std() == pytest.approx(s[k], abs=4 * s[k] / np.sqrt(2 * len(own)))
    assert raw.facts["components"] == {"weights": MIXTURE.weights, "means": MIXTURE.means, "stds": MIXTURE.stds}


def test_line_is_uniform_on_its_segment() -> None:
    raw = read(LINE)
    x, height = raw.samples.T
    assert (raw.labels, raw.classes) == (None, 0)
    assert (x == LINE.theta).all()
    assert 0 <= height.min() < height.max() <= 1
    steps = np.arange(1, LINE.count + 1) / LINE.count
    assert np.abs(np.sort(height) - steps).max() < 1.95 / np.sqrt(LINE.count), "Kolmogorov-Smirnov at 0.001"


def centres_of_mass(images: np.ndarray) -> np.ndarray:
    """(N, 2): right and down from the middle, in pixels."""
    axis = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    mass = images.sum((1, 2))
    return np.stack([(images.sum(1) * axis).sum(1) / mass, (images.sum(2) * axis).sum(1) / mass], 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, 13, 28])
def test_a_shape_is_where_its_shift_says(kind: str, size: int, rng) -> None:
    shifts = rng.uniform(-size / 4, size / 4, (200, 2))
    drawn = draw(kind, size, shifts)
    assert drawn.shape == (200, size, size)
    assert 0 <= drawn.min() < drawn.max() <= 1 + 1e-12
    assert centres_of_mass(drawn) == pytest.approx(shifts, abs=0.1)
    whole = draw(kind, size, np.zeros((1, 2)))
    assert drawn.sum((1, 2)) == pytest.approx(whole.sum(), rel=0.03), "none of it leaves the picture"
    assert np.array_equal(whole[0], whole[0].T) and np.array_equal(whole[0], whole[0, ::-1])


def test_shapes_are_of_known_factors() -> None:
    raw = read(SHAPES)
    assert raw.samples.shape == (3000, 16, 16, 1)
    assert np.bincount(raw.labels).tolist() == [1000] * 3
    right, down = centres_of_mass(raw.samples[..., 0] / 255).T
    assert np.abs(down).max() < 0.1, "shift_y is 0"
    assert np.abs(right).max() < SHAPES.shift_x + 0.1
    assert right.mean() == pytest.approx(0, abs=4 * SHAPES.shift_x / np.sqrt(3 * 3000))
    assert right.std() == pytest.approx(SHAPES.shift_x / np.sqrt(3), rel=0.05)


def test_the_kinds_of_shapes_are_told_apart() -> None:
    """In the middle a frame is empty; off the middle, along the diagonal, a cross is."""
    disc, cross, frame = (draw(kind, 16, np.zeros((1, 2)))[0] for kind in KINDS)
    assert (disc[7, 7], cross[7, 7], frame[7, 7]) == (1, 1, 0)
    assert (disc[5, 5], cross[5, 5], frame[5, 5]) == pytest.approx((1, 0, 1), abs=0.1)
    assert (disc[4, 4], cross[4, 4], frame[4, 4]) == pytest.approx((0, 0, 1), abs=0.1)


def test_a_stacked_label_is_its_channels() -> None:
    single, raw = read(DIGITS), read(STACKED)
    truth = {bytes(x): int(y) for x, y in zip(single.samples[..., 0], single.labels, strict=True)}
    read_off = [[truth[bytes(np.ascontiguousarray(x[..., c]))] for c in range(3)] for x in raw.samples]
    assert raw.samples.shape == (3000, 8, 8, 3)
    assert [100 * a + 10 * b + c for a, b, c in read_off] == raw.labels.tolist()
    shares = np.array([np.bincount(channel, minlength=10) for channel in zip(*read_off, strict=True)]) / 3000
    assert shares == pytest.approx(0.1, abs=0.03)
    assert np.abs(np.corrcoef(np.array(read_off).T) - np.eye(3)).max() < 4 / np.sqrt(3000), "independent channels"


def which_digit(pictures: torch.Tensor, digits: torch.Tensor) -> list[int]:
    """The one digit that each picture is, up to one step of 8 bits."""
    apart = torch.cdist(pictures.flatten(1), digits.flatten(1), p=torch.inf)
    assert apart.min(1).values.max() <= 1 / 127.5
    assert ((apart <= 1 / 127.5).sum(1) == 1).all()
    return apart.argmin(1).tolist()


@pytest.mark.parametrize("spec", [RECOLOUR, INVERSION], ids=lambda s: s.map)
def test_two_domains_are_disjoint_halves_under_a_known_map(spec) -> None:
    """What B shows of a digit is T of what A would show of it."""
    single, a = read(DIGITS), read(spec)
    b = a.other
    intensity = to_model(torch.from_numpy(single.samples))
    channels = a.samples.shape[3]
    in_a = torch.cat([intensity, -torch.ones(1797, channels - 1, 8, 8)], 1)
    matrix, offset = (torch.tensor(a.facts["translation"][k], dtype=torch.float32) for k in ("matrix", "offset"))
    in_b = torch.einsum("dc,nchw->ndhw", matrix, in_a) + offset[:, None, None]
    assert torch.linalg.det(matrix).abs() > 0.5, "T has an inverse"
    first = which_digit(to_model(torch.from_numpy(a.samples)), in_a)
    second = which_digit(to_model(torch.from_numpy(b.samples)), in_b)
    assert sorted(first + second) == list(range(1797)), "each digit in one domain, once"
    assert abs(len(first) - len(second)) == 1
    for domain, digits in ((a, first), (b, second)):
        assert np.array_equal(domain.labels, single.labels[digits])
        assert digits != sorted(digits), "in a new order"
    assert np.mean(a.labels[:898] == b.labels[:898]) < 0.2, "unpaired"


def test_recolour_is_red_on_black_to_blue_on_sand() -> None:
    truth = read(RECOLOUR).facts["translation"]
    matrix, offset = np.array(truth["matrix"]), np.array(truth["offset"])
    for before, after in (((0, 0, 0), (0.93, 0.84, 0.65)), ((1, 0, 0), (0.1, 0.2, 0.8))):
        assert (matrix @ (2 * np.array(before) - 1) + offset + 1) / 2 == pytest.approx(after, abs=0.005)


@pytest.mark.parametrize("spec", EVERY, ids=lambda s: s.source)
def test_what_checks_know_of_a_source_is_true(spec) -> None:
    raw = read(spec)
    assert set(SOURCES) == set(typing.get_args(schema.Dataset)) == {type(s) for s in EVERY}
    assert (raw.samples.dtype == np.float32) == (spec.source in rules.POINTS)
    assert (raw.other is not None) == (spec.source in rules.TWO_DOMAIN_SOURCES)
    assert (raw.labels is None) == (spec.source in rules.UNLABELLED)
    assert raw.labels is None or {0, raw.classes - 1} <= set(raw.labels) <= set(range(raw.classes))


DECLARED: dict[str, dict[str, object]] = {
    "mixture": {"weights": [0.3, 0.7], "means": [0.0, 1.0], "stds": [1.0, 1.0], "count": 500, "seed": 0},
    "shapes": {"size": 8, "kinds": ["disc"], "shift_x": 2.0, "shift_y": 0, "count": 500, "seed": 0},
    "digit_domains": {"map": "recolour", "seed": 0},
}


@pytest.mark.parametrize(
    ("source", "change", "said"),
    [
        ("mixture", {}, None),
        ("mixture", {"weights": [0.3, 0.6]}, "d.weights is [0.3, 0.6]: must sum to 1, not to 0.9"),
        ("mixture", {"means": [0.0]}, "d.means is [0.0]: must hold one number a weight, 2"),
        ("mixture", {"stds": [1.0, 1.0, 1.0]}, "d.stds is [1.0, 1.0, 1.0]: must hold one number a weight, 2"),
        ("mixture", {"stds": [1.0, 0.0]}, "d.stds.1 is 0.0: must be greater than 0"),
        ("shapes", {}, None),
        ("shapes", {"kinds": []}, "d.kinds is []"),
        ("shapes", {"kinds": ["star"]}, "d.kinds.0 is 'star': must be 'disc', 'cross' or 'frame'"),
        ("shapes", {"kinds": ["disc", "disc"]}, "d.kinds is ['disc', 'disc']: must name each kind once"),
        ("shapes", {"shift_y": 2.5}, "d.shift_y is 2.5: must be at most size / 4, or the shapes leave the picture"),
        ("digit_domains", {}, None),
        ("digit_domains", {"map": "rotation"}, "d.map is 'rotation': must be 'recolour' or 'inversion'"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(source: str, change: dict[str, object], said: str | None) -> None:
    checker = Checker(Path("params.yaml"))
    entry = {"source": source, **DECLARED[source], **change, "heldout": 0.2}
    built = dict(rules.check_datasets(checker, {"d": entry}))
    assert (len(built), len(checker.mistakes)) == ((1, 0) if said is None else (0, 1))
    assert said is None or f"datasets.{said}" in str(checker.mistakes[0])


def test_scaling_has_an_inverse() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    x = to_model(every)
    assert (x.min(), x.max()) == (-1, 1)
    assert x.shape == (1, 1, 16, 16)
    assert torch.equal(torch.from_numpy(to_uint8(x.numpy())), every)


def test_batches_are_a_function_of_seed_and_number(digits: Prepared) -> None:
    one, two, other = Batches(digits, 64, 5), Batches(digits, 64, 5), Batches(digits, 64, 6)
    epoch = [one.at(i) for i in range(len(digits.raw("train")) // 64)]
    assert torch.equal(two.at(30).x, one.at(30).x), "any batch, without those before it"
    assert not torch.equal(other.at(3).x, one.at(3).x)
    seen = torch.cat([b.x for b in epoch]).flatten(1)
    assert len(torch.unique(seen, dim=0)) == len(seen), "no sample twice in an epoch"
    assert not torch.equal(one.at(len(epoch)).x, epoch[0].x), "another order in the next epoch"


@pytest.mark.parametrize("size", [7, 64])
def test_balanced_batches_ask_every_class_as_often(size: int) -> None:
    """Of 1, 5, 0 and 90 samples; each class goes through all it has before any comes again, in a new order then."""
    labels = torch.tensor([0] * 1 + [1] * 5 + [3] * 90)[torch.randperm(96)]
    batches, again = (Balanced(labels, size, "cpu", 5, "epoch") for _ in range(2))
    drawn = [batches.rows(i) for i in range(40)]
    assert torch.equal(again.rows(33), drawn[33]), "any batch, without those before it"
    assert not torch.equal(Balanced(labels, size, "cpu", 6, "epoch").rows(33), drawn[33])
    for rows in drawn:
        counts = torch.bincount(labels[rows], minlength=4)
        assert counts[2] == 0
        assert counts[[0, 1, 3]].max() - counts[[0, 1, 3]].min() <= 2
    rows = torch.cat(drawn)
    counts = torch.bincount(labels[rows], minlength=4)[[0, 1, 3]]
    assert counts.max() - counts.min() <= 1, "exactly as often, but for a round that is not over"
    for c in (0, 1, 3):
        mine, members = rows[labels[rows] == c], torch.nonzero(labels == c).flatten()
        epochs = [e for e in mine.split(len(members)) if len(e) == len(members)]
        assert epochs or c == 3
        assert all(torch.equal(e.sort()[0], members) for e in epochs)
        assert len(members) == 1 or len(epochs) < 2 or len({tuple(e.tolist()) for e in epochs}) > 1


def test_balanced_batches_keep_samples_and_labels_together(digits: Prepared, tmp_path: Path) -> None:
    x, y = digits.samples("train")[:], digits.labels("train")
    batch = Batches(digits, 64, 5, balanced=True).at(9)
    rows = Balanced(y, 64, "cpu", 5, "epoch").rows(9)
    assert torch.equal(batch.x, x[rows])
    assert torch.equal(batch.y, y[rows])
    two = Batches(numbered(300, 260, tmp_path), 16, 5, balanced=True).at(2)
    assert set(two.x_b.flatten().tolist()) <= set(range(1000, 1260)), "a second domain is balanced on its own"
    assert torch.bincount((two.x_b.flatten().long() - 1000) % 2).tolist() == [8, 8]


def test_batches_of_one_domain_follow_one_rule(digits: Prepared) -> None:
    """The rule every earlier result was drawn by: one permutation an epoch, noise after the samples."""
    x, y = digits.samples("train")[:], digits.labels("train")
    batches = Batches(digits, 64, 5, noise=0.1)
    for i in (0, 21, 22, 47):
        epoch, k = divmod(i, 1438 // 64)
        order = torch.randperm(1438, generator=torch.Generator().manual_seed(fold(5, "epoch", epoch)))
        rows = order[64 * k : 64 * (k + 1)]
        torch.manual_seed(i)
        noise = torch.randn(64, 1, 8, 8)
        torch.manual_seed(i)
        batch = batches.at(i)
        assert torch.equal(batch.x, x[rows] + 0.1 * noise)
        assert torch.equal(batch.y, y[rows])
        assert vars(batch).keys() == {"x", "y"}


def numbered(first: int, second: int, folder: Path) -> Prepared:
    """Two domains of points that are their own numbers, from 0 and from 1000."""
    raw, other = (
        Raw(np.arange(start, start + n, dtype=np.float32)[:, None], np.arange(n) % 2, 2)
        for start, n in ((0, first), (1000, second))
    )
    prepare(Raw(raw.samples, raw.labels, 2, {}, other), RING, folder)
    return Prepared(folder)


def test_two_domains_are_shuffled_independently(tmp_path) -> None:
    data = numbered(300, 260, tmp_path)  # 240 and 208 to train on: 15 and 13 batches of 16 an epoch
    one, two, third = Batches(data, 16, 5), Batches(data, 16, 5), Batches(data, 16, 6)
    run = [one.at(i) for i in range(30)]
    assert torch.equal(two.at(29).x_b, run[29].x_b), "any batch, without those before it"
    assert not torch.equal(third.at(29).x_b, run[29].x_b)
    for domain, length in (("x", 15), ("x_b", 13)):
        everything = (data if domain == "x" else data.other).samples("train")[:].flatten()
        epochs = [torch.cat([getattr(b, domain) for b in run[k : k + length]]).flatten() for k in (0, length)]
        for seen in epochs:
            assert torch.equal(seen.sort().values, everything.sort().values), "every sample once an epoch"
        assert not torch.equal(*epochs), "another order in the next epoch"
    rows = numbered(300, 300, tmp_path / "equal")
    assert not torch.equal(Batches(rows, 16, 5).at(0).x + 1000, Batches(rows, 16, 5).at(0).x_b), "unpaired"
    rows.index["aligned"] = True
    paired = [Batches(rows, 16, 5).at(i) for i in range(30)]
    assert all(torch.equal(batch.x + 1000, batch.x_b) for batch in paired), "pairs stay together"


def test_the_second_domain_gets_its_noise_after_the_first(tmp_path) -> None:
    data = numbered(300, 260, tmp_path)
    plain = Batches(data, 16, 5).at(3)
    torch.manual_seed(1)
    noise = torch.randn(16, 1), torch.randn(16, 1)
    torch.manual_seed(1)
    noisy = Batches(data, 16, 5, noise=0.1).at(3)
    assert torch.equal(noisy.x, plain.x + 0.1 * noise[0])
    assert torch.equal(noisy.x_b, plain.x_b + 0.1 * noise[1])


def test_domains_apart_and_united(tmp_path) -> None:
    data = numbered(300, 260, tmp_path)
    assert (data.index["domains"], data.index["counts"]) == (2, {"train": 240, "heldout": 60})
    assert data.index["other"]["counts"] == {"train": 208, "heldout": 52}
    assert data.other.index["counts"] == data.index["other"]["counts"]
    for part in ("train", "heldout"):
        assert data.raw(part).max() < 1000 <= data.other.raw(part).min()
        for domain in (data, data.other, data.united):
            assert torch.equal(domain.labels(part), domain.raw(part)[:, 0].long() % 2)
        assert set(data.united.raw(part)[:, 0].tolist()) == {
            *data.raw(part)[:, 0].tolist(),
            *data.other.raw(part)[:, 0].tolist(),
        }
    assert data.united.index["counts"] == {"train": 448, "heldout": 112}
    for one in (data.other, data.united):
        assert (one.other, one.united) == (None, one)
        assert vars(Batches(one, 16, 0).at(0)).keys() == {"x", "y"}


def test_labels_stay_with_their_samples(digits: Prepared) -> None:
    truth = {bytes(x.numpy()): int(y) for x, y in zip(digits.raw("train"), digits.labels("train"), strict=True)}
    batch = Batches(digits, 64, 0).at(3)
    assert [truth[bytes(torch.from_numpy(to_uint8(x[None].numpy()))[0].numpy())] for x in batch.x] == batch.y.tolist()


@pytest.mark.parametrize("spec", [schema.Digits("digits", 0.001), schema.Ring("ring", 8, 0.05, 16, 0, 0.5)])
def test_too_few_for_a_part(spec, tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"samples leaves \d+ to train on and \d+ to measure with; 20 in all and 4 of each are the"
    ):
        prepare(read(spec), spec, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_than_there_is(digits: Prepared) -> None:
    with pytest.raises(DataError, match=r"train\.batch_size 2000 is more than the 1438 training samples"):
        Batches(digits, 2000, 0)


def test_more_than_the_second_domain_has(tmp_path) -> None:
    with pytest.raises(DataError, match=r"batch_size 210 is more than the 208 training samples of the second domain"):
        Batches(numbered(300, 260, tmp_path), 210, 0)


def test_too_few_in_the_second_domain(tmp_path) -> None:
    with pytest.raises(DataError, match=r"heldout 0\.2 of 19 samples leaves 15 .* and 4 "):
        numbered(300, 19, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_extractor_holds_in_both_domains(tmp_path) -> None:
    """Trained on the first domain alone it would misread the negatives of the second."""
    prepare(read(INVERSION), INVERSION, tmp_path)
    data = Prepared(tmp_path)
    set_up(1)
    save_extractor(data, EXTRACTOR, tmp_path / "extractor.safetensors")
    extractor = artifact.load(tmp_path / "extractor.safetensors")
    found = [accuracy(extractor.network, d.samples("heldout"), d.labels("heldout")) for d in (data, data.other)]
    assert min(found) > 0.9
    assert extractor.notes["heldout_accuracy"] == pytest.approx(np.mean(found)), "of 180 each"


def test_the_extractor_tells_a_thousand_classes(tmp_path) -> None:
    """Else a count of modes would say more about the extractor than about the generator."""
    spec = schema.StackedDigits("stacked_digits", 20000, 0, 0.2)
    prepare(read(spec), spec, tmp_path)
    set_up(1)
    save_extractor(Prepared(tmp_path), EXTRACTOR, tmp_path / "extractor.safetensors")
    assert artifact.load(tmp_path / "extractor.safetensors").notes["heldout_accuracy"] > 0.9


@pytest.mark.parametrize("classes", [0, 1])
def test_images_without_classes_get_an_extractor_that_says_where_its_classes_come_from(classes: int, tmp_path) -> None:
    """K-means finds ten; measures that speak of classes are left out, and the others stand."""
    raw = read(DIGITS)
    prepare(Raw(raw.samples, np.zeros(1797, np.int64) if classes else None, classes), DIGITS, tmp_path)
    data = Prepared(tmp_path)
    set_up(1)
    save_extractor(data, EXTRACTOR, tmp_path / "extractor.safetensors")
    extractor = artifact.load(tmp_path / "extractor.safetensors")
    assert extractor.notes["classes"] == "found by k-means: 10"
    assert extractor.config.outputs == 10
    assert extractor.notes["heldout_accuracy"] > 0.8, "it can be learned"
    asked = replace(load_params(conftest.DECLARED).evaluate, features="own")
    (reference,) = references(data, extractor, asked).values()
    assert reference.classifier is None
    real = data.samples("train")[:]
    found = measure(reference, real).figures
    assert {"fd", "kid", "precision", "recall", "density", "coverage"} <= found.keys()
    assert not [name for name in found if re.search("class|recognised|label|category", name)]
    noise = measure(reference, torch.rand_like(real) * 2 - 1).figures
    assert found["fd"] < 1 < noise["fd"], "noise is far from digits"


def test_points_on_a_line_are_pictured_as_a_histogram(rng) -> None:
    """Truth uniform on [0, 1], samples on its upper half: the line follows them, the grey the truth."""
    truth, points = (rng.uniform(low, 1, (2000, 1)).astype(np.float32) for low in (0, 0.5))
    sheet = np.array(Image.open(io.BytesIO(scatter(points, truth))))
    assert sheet.shape == (560, 560)
    assert set(np.unique(sheet)) == {PAPER, TRUTH, INK}
    middle = 280
    inked, grey = ((sheet[:-4] == ink).any(0) for ink in (INK, TRUTH))
    assert not inked[: middle - 8].any() and inked[middle + 8 : 530].any()
    assert grey[30 : middle - 8].all() and not grey[:20].any() and not grey[540:].any()
    same = np.array(Image.open(io.BytesIO(scatter(truth, truth))))
    top = np.array([column.nonzero()[0][0] for column in (same[:, 40:520] == INK).T])
    assert np.array_equal(top, [(column != PAPER).nonzero()[0][0] for column in same[:, 40:520].T]), "on its top"


def test_damage_is_noticed(tmp_path, rng) -> None:
    prepare(read(RING), RING, tmp_path / "d")
    for path in sorted((tmp_path / "d").glob("*.npy")):
        whole = path.read_bytes()
        for _ in range(5):
            flipped = bytearray(whole)
            flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(flipped))
            data = Prepared(tmp_path / "d")
            with pytest.raises(DataError, match=rf"{path.name} is corrupt"):
                data.read()
        path.write_bytes(whole[:-1])
        with pytest.raises(DataError, match="cut short"):
            Prepared(tmp_path / "d")
        path.write_bytes(whole)
    Prepared(tmp_path / "d").read()
    path.unlink()
    with pytest.raises(DataError, match=r"holds no prepared data set .* run `dvc repro`"):
        Prepared(tmp_path / "d")


def test_a_part_is_verified_when_it_is_used_and_not_before(tmp_path) -> None:
    """Evaluating looks at held-out samples alone, and need not read a huge training set."""
    prepare(read(RING), RING, tmp_path / "d")
    path = tmp_path / "d" / "train.x.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    data = Prepared(tmp_path / "d")
    assert len(data.raw("heldout")) == 800
    with pytest.raises(DataError, match=r"train\.x\.npy is corrupt"):
        data.raw("train")


def test_what_is_written_to_a_mapped_set_stays_in_memory(tmp_path) -> None:
    prepare(read(RING), RING, tmp_path / "d")
    Prepared(tmp_path / "d").raw("train").zero_()
    assert Prepared(tmp_path / "d").raw("train").abs().sum() > 0


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"sha256": 1})])
def test_a_bad_index_is_named(text: str, tmp_path) -> None:
    prepare(read(RING), RING, tmp_path / "d")
    (tmp_path / "d" / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"damaged|corrupt|has format None; this program reads format"):
        Prepared(tmp_path / "d")
