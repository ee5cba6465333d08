"""Measures against the reference packages on the same features, to four digits, and on sets made for them."""

import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prdc import compute_prdc
from sklearn.neighbors import KernelDensity
from torchmetrics.functional.image import structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from gan_core.metrics import copying, distances, inception, intervals, likelihood, recognition, similarity
from gan_core.metrics.measure import measure
from gan_core.metrics.modes import class_coverage
from gan_core.metrics.verdicts import Advice, verdicts
from gan_core.runtime.errors import DataError
from tests.conftest import Made, flat_reference

pytestmark = pytest.mark.filterwarnings(
    "ignore:Metric .* will save all extracted features:UserWarning",
    r"ignore:std\(\). degrees of freedom is <= 0:UserWarning",  # of one split
)


class Given(torch.nn.Module):
    """An extractor for a reference package: the features are the input."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def sets(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mix = rng.normal(size=(16, 16)) / 4
    return rng.normal(size=(400, 16)) @ mix, 0.9 * rng.normal(size=(300, 16)) @ mix + 0.2


def test_fid_is_the_reference_s(sets) -> None:
    theirs = FrechetInceptionDistance(feature=Given(16)).set_dtype(torch.float64)
    for x, real in zip(sets, (True, False), strict=True):
        theirs.update(torch.from_numpy(x), real)
    assert distances.frechet(*sets) == pytest.approx(theirs.compute().item(), rel=1e-4)


def test_kid_is_the_reference_s(sets) -> None:
    real, fake = (x[:300] for x in sets)
    theirs = KernelInceptionDistance(feature=Given(16), subsets=2, subset_size=300)
    theirs.update(torch.from_numpy(real), True)
    theirs.update(torch.from_numpy(fake), False)
    assert distances.kernel(real, fake) == pytest.approx(theirs.compute()[0].item(), rel=1e-4)


def test_prdc_is_the_reference_s(sets) -> None:
    real, fake = sets
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(real, fake, nearest_k=5)
    ours = {name: v.mean() for name, v in distances.prdc(real, fake, 5).items()}
    assert ours == pytest.approx({name: float(v) for name, v in theirs.items()}, rel=1e-4)


def test_extractor_score_is_the_formula_of_the_inception_score(rng) -> None:
    logits = rng.normal(size=(500, 10)) * 3
    theirs = InceptionScore(feature=Given(10), splits=1)
    theirs.update(torch.from_numpy(logits))
    ours = recognition.recognition(logits, np.ones(10, int))["extractor_score"]
    assert ours == pytest.approx(theirs.compute()[0].item(), rel=1e-4)


@pytest.mark.parametrize(("side", "expected"), [(8, (3, 2)), (28, (11, 2)), (64, (11, 3)), (224, (11, 5))])
def test_ms_ssim_is_made_of_the_reference_s_terms(side: int, expected: tuple[int, int]) -> None:
    """Scale by scale; of the luminance the reference also counts a reflected border, which is cut off here."""
    assert similarity.scales(side) == expected
    size, count = expected
    torch.manual_seed(0)
    a = torch.rand(4, 3, side, side, dtype=torch.float64)
    b = (a + 0.3 * torch.randn_like(a)).clamp(0, 1)
    sigma, cut = similarity.SIGMA * size / similarity.LARGEST, size // 2
    result, weights = torch.ones(4, dtype=torch.float64), torch.tensor(similarity.WEIGHTS[:count], dtype=torch.float64)
    x, y = a, b
    for k, weight in enumerate(weights / weights.sum()):
        ask = {"sigma": sigma, "data_range": 1.0, "reduction": "none"}
        _, whole = structural_similarity_index_measure(x, y, return_full_image=True, **ask)
        _, structure = structural_similarity_index_measure(x, y, return_contrast_sensitivity=True, **ask)
        inner = whole[..., cut:-cut, cut:-cut].flatten(1).mean(1)
        ours = similarity.terms(x, y, similarity.window(size))
        assert ours[0].numpy() == pytest.approx(inner.numpy(), rel=1e-4)
        assert ours[1].numpy() == pytest.approx(structure.numpy(), rel=1e-4)
        result *= (inner if k == count - 1 else structure).clamp(min=0) ** weight
        x, y = torch.nn.functional.avg_pool2d(x, 2), torch.nn.functional.avg_pool2d(y, 2)
    assert similarity.ms_ssim(a * 2 - 1, b * 2 - 1).numpy() == pytest.approx(result.numpy(), rel=1e-4)


def test_likeness_knows_copies_and_classes() -> None:
    torch.manual_seed(0)
    x = torch.rand(40, 3, 8, 8) * 2 - 1
    assert similarity.likeness(x[:1].expand(10, -1, -1, -1)).mean() == pytest.approx(1, abs=1e-6)
    assert similarity.likeness(x).mean() < 0.3
    labels = torch.arange(40) % 2
    two = x[labels]  # two images, one a class: alike within each
    assert similarity.likeness(two, labels).mean() == pytest.approx(1, abs=1e-6)


def test_parzen_is_kernel_density_and_its_truth(rng) -> None:
    fake, validation, real = (rng.uniform(size=(n, 6)) for n in (300, 100, 200))
    _, width = likelihood.parzen(fake, validation, [real[:150], real[150:]])
    assert width in likelihood.WIDTHS
    for w in (0.1, width, 1.0):
        theirs = KernelDensity(bandwidth=w).fit(fake).score_samples(real)
        assert likelihood.log_likelihood(fake, real, w) == pytest.approx(theirs, rel=1e-6)
    assert likelihood.log_likelihood(fake, validation, width).mean() == pytest.approx(
        max(KernelDensity(bandwidth=w).fit(fake).score_samples(validation).mean() for w in likelihood.WIDTHS)
    )
    # One window is a Gaussian: its log-density at its centre is -d/2 log(2 pi w^2).
    assert likelihood.log_likelihood(np.zeros((1, 6)), np.zeros((1, 6)), 0.3) == pytest.approx(
        -3 * np.log(2 * np.pi * 0.09)
    )


def test_copying_names_a_copier_and_no_honest_generator(rng) -> None:
    train, heldout, fresh = (rng.normal(size=(n, 4)) for n in (800, 200, 500))
    made = Made(*(torch.from_numpy(x).float() for x in (train, heldout)))
    reference = flat_reference(made)

    def copied(x: NDArray[np.float64]) -> dict[str, float]:
        samples = torch.from_numpy(x).float()
        return copying.copying(reference.network, samples, x, reference.train, reference.heldout, reference.fair)

    honest = copied(fresh)
    assert honest["train_distance_ratio"] == pytest.approx(1, abs=0.1)
    assert honest["nearer_to_train"] == pytest.approx(0.5, abs=0.05)
    copier = copied(train[:500])
    assert copier["train_distance_ratio"] == pytest.approx(0, abs=1e-6)
    assert copier["nearer_to_train"] > 0.6
    bad = copied(fresh + 3)
    # By chance a ball of half the radius holds the nearest: 800 / (800 + 200 * 2^4) in four dimensions.
    chance = copying.floor(reference.fair)["copied"]
    assert (chance, honest["copied"]) == (pytest.approx(0.2, abs=0.06), pytest.approx(0.2, abs=0.06))
    assert (copier["copied"], bad["copied"]) == (1, pytest.approx(0, abs=0.01))
    mixed = np.concatenate([train[:100], fresh[:400]])
    assert copied(mixed)["copied"] == pytest.approx(0.2 + 0.8 * honest["copied"], abs=0.03), "one in five"
    assert bad["train_distance_ratio"] > 2
    assert bad["nearer_to_train"] == pytest.approx(0.5, abs=0.15), "bad is not copied"


def test_a_mirrored_copy_is_a_copy_where_mirrored_pictures_are_as_likely() -> None:
    pictures = torch.rand(300, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mirrored = pictures[:200].flip(3)
    for flip, share in ((True, 1.0), (False, 0.0)):
        made = Made(pictures[:200], pictures[200:], index={"flip": flip})
        reference = flat_reference(made)
        seen = reference.network(mirrored)
        found = copying.copying(reference.network, mirrored, seen, reference.train, reference.heldout, reference.fair)
        assert found["copied"] == pytest.approx(share, abs=0.02)


def test_intervals_cover_what_they_should(rng) -> None:
    """FD and KID of fresh sets scatter no more than the interval of one says, and no less than a third of it."""
    draw = lambda: (rng.normal(size=(300, 8)), 0.8 * rng.normal(size=(400, 8)) + 0.3)  # noqa: E731
    many = [draw() for _ in range(60)]
    for name, figure, interval in (
        ("fd", distances.frechet, intervals.of_frechet),
        ("kid", distances.kernel, intervals.of_kernel),
    ):
        true = np.std([figure(*pair) for pair in many])
        drawn = (60, intervals.source(0, name)) if name == "kid" else ()
        low, high = interval(*many[0], figure(*many[0]), *drawn)
        assert low < figure(*many[0]) < high
        assert 0.75 < (high - low) / (2 * 1.96 * true) < 2.5
    values = rng.random(1000) < 0.3
    low, high = intervals.of_mean(values.astype(float), 400, intervals.source(0, "m"))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.21 / 1000), rel=0.2)


def test_modes_that_are_classes() -> None:
    assert class_coverage(np.array([0, 0, 5, 7, 999]), 1000) == {"modes": 4, "modes_of": 1000}


def test_kid_class_by_class(digits) -> None:
    """Samples under wrong labels are far from each class, though as a whole they are the data itself."""

    class Pixels(torch.nn.Module):
        head = torch.nn.Linear(64, 10)

        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.features(x))

    x, y = digits.samples("train")[:], digits.labels("train")
    reference = flat_reference(digits, classifier=Pixels())
    right = measure(reference, x, {"label": y})
    wrong = measure(reference, x, {"label": (y + 1) % 10})
    assert len(right.figures["kid_of_class"]) == 10
    assert right.figures["fd"] == wrong.figures["fd"]
    assert wrong.figures["kid_within_class"] > 1.5 * abs(right.figures["kid_within_class"]) + 0.1
    assert right.facts["class_of_fake"] == "asked for"


def test_inception_is_the_network_of_the_papers(tmp_path) -> None:
    """Without its last layer it has 21,785,568 weights; the file that is missing is asked for by name."""
    network = inception.Network()
    assert sum(p.numel() for p in network.parameters()) == 21_785_568
    assert {k for k in network.state_dict() if "Mixed_7c.branch3x3dbl" in k and k.endswith("conv.weight")} == {
        f"Mixed_7c.branch3x3dbl_{n}.conv.weight" for n in ("1", "2", "3a", "3b")
    }
    with pytest.raises(
        DataError, match=r"absent.pth does not exist; evaluate.inception names .*set evaluate.inception"
    ):
        inception.Inception.read(tmp_path / "absent.pth")
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="does not hold the weights of Inception v3"):
        inception.Inception.read(tmp_path / "other.pth")
    weights = network.state_dict() | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(weights, tmp_path / "pt.pth")
    read = inception.Inception.read(tmp_path / "pt.pth")
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    assert read.features(x).shape == (3, 2048)
    assert read.fid(x, x) == pytest.approx(0, abs=1e-6)
    assert len(read.facts["sha256"]) == 64


def test_verdicts_tell_a_lack_from_samples_beside_thin_data() -> None:
    """Each threshold from both sides; a class that real samples do not show either is nobody's fault."""
    floor = {"fd": 1.0, "recall": 0.8, "precision": 0.9, "copied": 0.2, "classes_seen": 9}

    def kinds(**figures: float) -> list[str]:
        good = {"fd": 1.5, "recall": 0.6, "precision": 0.9, "copied": 0.25, "classes_seen": 9}
        return [verdict["kind"] for verdict in verdicts(good | figures, floor, 16.0)]

    assert kinds() == kinds(fd=1.99) == kinds(recall=0.21) == kinds(copied=0.29) == []
    assert kinds(fd=2.01) == ["does_not_resemble_the_data"]
    assert kinds(recall=0.19) == kinds(recall=0.5, classes_seen=8) == ["covers_little"]
    assert kinds(recall=0.1, precision=0.09) == [], "both lost alike"
    assert kinds(recall=0.01, precision=0.09) == ["covers_little"]
    assert kinds(copied=0.31, fd=0.1) == ["copies"]


@pytest.mark.parametrize(
    ("notes", "prior", "wider", "classes"),
    [
        ({"variant": "gan"}, "normal", "raise r1, or train on", "raise r1, or condition on the class"),
        ({"variant": "cgan"}, "label", "rate, or train on", "rate, or train on"),
        ({"variant": "wgan_gp"}, "normal", "rate, or train on", "rate, or condition on the class"),
        ({"variant": "vae"}, "normal", "rate, or train on", "rate, or train on"),
        ({"imported": "{}"}, "normal", "expects of its inputs", "expects of its inputs"),
    ],
)
def test_advice_is_of_what_a_run_has(notes: dict[str, str], prior: str, wider: str, classes: str) -> None:
    """No r1 of a paper without one, no class for a network that is told it, no training of a file."""
    config = SimpleNamespace(inputs=[SimpleNamespace(is_data=False, prior=prior)])
    told = Advice.on(SimpleNamespace(notes=notes, config=config))  # type: ignore[arg-type]
    assert wider in told.wider
    assert classes in told.classes
