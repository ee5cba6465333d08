"""The features that pictures are compared in: the same bits on any number of threads, asked once, and what they see."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_core.core.feature_names import feature_name, in_features, split_name
from gan_core.metrics import features
from gan_core.metrics.copying import nearest_of
from gan_core.metrics.drawn import Drawn, thumbnails
from gan_core.metrics.features import FeatureNetwork, feature_network
from gan_core.metrics.intervals import intervals
from gan_core.metrics.measure import Reference, measure
from gan_core.metrics.verdicts import unknown, verdicts
from gan_core.runtime.device import set_up
from tests.conftest import Made


def pictures(n: int, side: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth colour pictures of 12 kinds: a coarse pattern of the kind, and another one of its own over it."""
    source = torch.Generator().manual_seed(seed)
    kinds = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(7))
    coarse = 0.65 * kinds[torch.randint(12, (n,), generator=source)] + 0.35 * torch.rand(n, 3, 4, 4, generator=source)
    large = torch.nn.functional.interpolate(coarse, side, mode="bicubic").clamp(0, 1)
    edges = (torch.rand(n, 1, 8, 8, generator=source) > 0.5).float()
    return (0.8 * large + 0.2 * torch.nn.functional.interpolate(edges, side)) * 2 - 1


def lite0(cache: Path | None = None) -> FeatureNetwork:
    return feature_network("lite0", None, None, cache=cache)  # type: ignore[arg-type]


def test_features_are_the_same_bits_on_any_number_of_threads() -> None:
    """And what draws the samples has all threads, as if nobody looked."""
    x, found = pictures(40), []
    seen: list[int] = []

    def draw(some: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return some

    for threads in (1, 2, 3):
        set_up(threads)
        found.append(lite0()(Drawn(draw, [x], x.shape[1:])))
        assert torch.get_num_threads() == threads
    assert seen == [1, 2, 3]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    with torch.no_grad():
        assert found[0] == pytest.approx(lite0().extract(x).double().numpy(), abs=1e-4)


def test_real_samples_are_looked_at_once(tmp_path: Path) -> None:
    """What is kept is what the network gives; a damaged file is made again, and only the latest are kept."""
    x, asked = pictures(20), []

    def extract(some: torch.Tensor) -> torch.Tensor:
        asked.append(len(some))
        return some.mean((2, 3))

    def seen(which: int, sha: str = "a") -> Any:
        return FeatureNetwork("lite0", extract, {"sha256": sha}, True, "cpu", tmp_path).remembered(x, "data", which)

    first = seen(0)
    assert np.array_equal(first, seen(0))
    assert sum(asked) == 20
    (path,) = tmp_path.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert np.array_equal(first, seen(0))
    assert sum(asked) == 40
    seen(0, "b")
    assert sum(asked) == 60, "other weights are another network"
    for k in range(1, features.REMEMBERED + 5):
        seen(k)
    assert len(list(tmp_path.glob("*.npy"))) == features.REMEMBERED


def test_a_figure_s_name_says_its_features() -> None:
    assert [feature_name("auto", s) for s in ((3, 32, 32), (3, 31, 64), (2,))] == ["lite0", "own", "coordinates"]
    assert [feature_name("own", s) for s in ((3, 64, 64), (2,))] == ["own", "coordinates"]
    assert split_name(in_features("kid_of_class", "lite0")) == ("kid_of_class", "lite0")
    assert split_name(in_features("modes", "lite0")) == ("modes", "")


def test_samples_drawn_when_asked_for_are_the_same_in_any_order() -> None:
    """Kept or not, in any rows, in 8 bits or as they are."""
    source, calls = torch.rand(700, 3, 16, 16) * 2 - 1, []

    def draw(some: torch.Tensor) -> torch.Tensor:
        calls.append(len(some))
        return some

    rows = torch.tensor([699, 0, 256, 0])
    for seen in (False, True):
        x = Drawn(draw, [source], (3, 16, 16), 8 if seen else None)
        assert torch.equal(x[rows], x[:][rows])
        assert (x[:] - source).abs().max() <= (1 / 255 + 1e-6 if seen else 0)
        assert x[3:5].shape == (2, 3, 16, 16)
    assert sum(calls) == 2 * 700, "each once"
    small = thumbnails(x, 8, 10)
    assert small.shape == (10, 3, 8, 8)
    exact = torch.nn.functional.avg_pool2d(x[:10], 2)
    assert (small[:] - exact).abs().max() <= 1 / 255 + 1e-6


@pytest.fixture(scope="module")
def reference() -> Reference:
    made = Made(pictures(600), pictures(300, seed=1), index={"sha256": "made"})
    return Reference.of(lite0(), made, 300)


def said(reference: Reference, x: torch.Tensor) -> tuple[dict[str, Any], set[str]]:
    """The figures of some samples, and the kinds of what is said of them."""
    found, floor = measure(reference, x).figures, reference.floor(300, False).figures
    return found, {v["kind"] for v in verdicts(found, floor, float(reference.heldout.features.var(0).sum()))}


def test_figures_see_what_is_wrong_with_pictures(reference: Reference) -> None:
    """Good, blurred, collapsed and copied pictures, known by construction: each is told, and for what it is."""
    good, train = pictures(300, seed=2), reference.train.whole[:][:300]
    found, kinds = said(reference, good)
    floor = reference.floor(300, False).figures
    assert kinds == set(), "fresh pictures of the same kind"
    assert found["fd"] == pytest.approx(floor["fd"], rel=0.2)
    small = [torch.nn.functional.avg_pool2d(good, k) for k in (2, 4)]
    blurred = [torch.nn.functional.interpolate(x, 32, mode="bilinear") for x in small]
    worse = [said(reference, x) for x in blurred]
    assert found["fd"] < worse[0][0]["fd"] < worse[1][0]["fd"]
    assert "does_not_resemble_the_data" in worse[1][1]
    collapsed, kinds = said(reference, good[:10].repeat(30, 1, 1, 1))
    assert "covers_little" in kinds
    assert collapsed["recall"] < found["recall"] / 4
    copied, kinds = said(reference, train)
    assert kinds == {"copies"}
    assert copied["fd"] <= found["fd"] * 1.1, "a Frechet distance is blind to copies"
    half = torch.cat([train[:90], good[90:]])
    share = said(reference, half)[0]["copied"]
    assert share == pytest.approx(0.3 + 0.7 * found["copied"], abs=0.05)


@pytest.mark.parametrize("costly", [False, True])
def test_a_copy_of_any_training_sample_is_found(costly: bool) -> None:
    """Also of those that are none of the floor's: of 600, 60 are compared with as many drawn ones."""
    made = Made(pictures(600), pictures(60, seed=1))
    reference = Reference.of(FeatureNetwork("own", lambda x: x.flatten(1), costly=costly), made, 60)
    chosen = set(reference.train.rows.tolist())
    others = [row for row in range(600) if row not in chosen][:50]
    found = measure(reference, made.train[others]).figures
    assert found["copied"] == 1
    x = made.train[others]
    rows, far = nearest_of(reference.network, [(x, reference.network(x))], reference.train)
    assert rows.tolist() == others
    assert far.max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("good", set()),
        ("noise", {"does_not_resemble_the_data"}),
        ("copies", {"copies"}),
        ("one", {"copies", "does_not_resemble_the_data"}),
    ],
)
def test_four_held_out_pictures_tell_noise_and_copies_and_nothing_of_what_is_covered(kind: str, said: set[str]) -> None:
    x = pictures(36, seed=3)
    reference = Reference.of(lite0(), Made(x[:16], x[16:20], index={"sha256": "few"}), 100)
    drawn = {
        "good": x[20:], "noise": torch.rand(16, 3, 32, 32) * 2 - 1, "copies": x[:16], "one": x[:1].repeat(16, 1, 1, 1)
    }[kind]  # fmt: skip
    found, floor = measure(reference, drawn), reference.floor(16, labelled=False)
    spans = intervals(reference.heldout.features, found.seen, found.figures, found.means, 200, 0)
    assert np.isfinite([*found.figures.values(), *np.ravel([*spans.values()])]).all()
    assert not {"precision", "recall", "density", "coverage"} & (found.figures.keys() | floor.figures.keys())
    assert {v["kind"] for v in verdicts(found.figures, floor.figures, 1.0, spans["kid"][0])} == said


def test_few_of_either_kind_are_said_to_be_few() -> None:
    assert [len(list(unknown(*n))) for n in ((4, 16), (49, 5_000), (5_000, 49), (50, 50))] == [1, 1, 1, 0]
