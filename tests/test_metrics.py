"""Measures against closed forms, and against plain definitions computed another way."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray

from gan_core.core.artifact import Artifact
from gan_core.core.inputs import Input
from gan_core.core.network_config import NetworkConfig
from gan_core.metrics import distances, roles
from gan_core.metrics.distances import energy, frechet, kernel, prdc
from gan_core.metrics.features import of_network
from gan_core.metrics.modes import mode_coverage
from gan_core.metrics.online import OnlineMeasure
from gan_core.metrics.recognition import label_accuracy, matched_accuracy, recognition
from tests.conftest import Flat, Made, flat_reference


def exactly(
    n: int, mean: NDArray[np.float64], cov: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Samples whose empirical mean and covariance are exactly those asked for."""
    x = rng.normal(size=(n, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    return x @ np.linalg.cholesky(cov).T + mean


def test_frechet_of_two_gaussians(rng) -> None:
    """Diagonal covariances: sum (m1 - m2)^2 + sum (s1 - s2)^2."""
    m1, m2, s1, s2 = np.array([0.0, 1, 2]), np.array([1.0, -1, 2]), np.array([1.0, 2, 3]), np.array([2.0, 2, 1])
    a, b = exactly(500, m1, np.diag(s1**2), rng), exactly(400, m2, np.diag(s2**2), rng)
    assert frechet(a, b) == pytest.approx(np.square(m1 - m2).sum() + np.square(s1 - s2).sum(), rel=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_with_a_matrix_root(rng) -> None:
    a, b = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)), rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)) + 1
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(c1 + c2 - 2 * root)
    assert frechet(a, b) == pytest.approx(expected, rel=1e-7)


def test_kernel_is_the_definition(rng) -> None:
    a, b = rng.normal(size=(30, 4)), rng.normal(size=(20, 4)) + 0.5

    def k(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return float((x @ y / 4 + 1) ** 3)

    aa = np.mean([k(a[i], a[j]) for i in range(30) for j in range(30) if i != j])
    bb = np.mean([k(b[i], b[j]) for i in range(20) for j in range(20) if i != j])
    ab = np.mean([k(x, y) for x in a for y in b])
    assert kernel(a, b) == pytest.approx(aa + bb - 2 * ab, rel=1e-9)


def test_the_nearest_is_the_nearest(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where both sets are looked at in pieces, and of two as near the first."""
    monkeypatch.setattr(distances, "ACROSS", 20)
    x, known = rng.normal(size=(1_100, 3)), rng.normal(size=(70, 3))
    at, far = distances.nearest(x, np.concatenate([known, known]))
    plain = np.linalg.norm(x[:, None] - known[None], axis=2)
    assert np.array_equal(at, plain.argmin(1))
    np.testing.assert_allclose(far, plain.min(1), rtol=1e-6, atol=1e-9)


def test_pieces_change_no_figure(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = rng.normal(size=(90, 4)), rng.normal(size=(80, 4)) + 0.3

    def figures() -> list[float]:
        return [kernel(a, b), energy(a, b), *(float(v.mean()) for v in prdc(a, b, 5).values())]

    whole = figures()
    monkeypatch.setattr(distances, "ACROSS", 20)
    monkeypatch.setattr(distances.pieces, "__defaults__", (30,))
    assert figures() == pytest.approx(whole, rel=1e-12)


def test_kernel_is_unbiased_at_zero(rng) -> None:
    """Over 400 pairs of samples of one distribution the mean is 0 within 4 standard errors; a V-statistic's is not."""
    found = np.array([kernel(rng.normal(size=(25, 3)), rng.normal(size=(20, 3))) for _ in range(400)])
    assert abs(found.mean()) < 4 * found.std() / 20


def test_kernel_does_not_depend_on_how_it_is_cut(rng) -> None:
    a, b = rng.normal(size=(1300, 3)), rng.normal(size=(900, 3)) + 0.1
    whole = ((a @ b.T / 3 + 1) ** 3).mean()
    aa, bb = (a @ a.T / 3 + 1) ** 3, (b @ b.T / 3 + 1) ** 3
    expected = (aa.sum() - np.trace(aa)) / (1300 * 1299) + (bb.sum() - np.trace(bb)) / (900 * 899) - 2 * whole
    assert kernel(a, b) == pytest.approx(expected, rel=1e-9)


def means(values: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: float(v.mean()) for name, v in values.items()}


def test_prdc_on_sets_made_for_it(rng) -> None:
    real = rng.normal(size=(400, 2))
    same = means(prdc(real, rng.normal(size=(400, 2)), 5))
    assert all(0.85 < same[k] <= 1.15 for k in same)
    far = means(prdc(real, rng.normal(size=(400, 2)) + 100, 5))
    assert far == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    collapsed = means(prdc(real, real[:1] + rng.normal(size=(400, 2)) * 1e-3, 5))
    assert collapsed["precision"] > 0.99
    assert collapsed["recall"] < 0.02
    assert collapsed["coverage"] < 0.05


def test_coverage_of_the_truth(rng) -> None:
    """Of a true mixture in the plane, 1 - exp(-9/2) = 98.89 % lie within three deviations, and no mode is missed."""
    centres = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)
    points = centres[rng.integers(8, size=50_000)] + rng.normal(0, 0.05, (50_000, 2))
    found = mode_coverage(points, centres, 0.05)
    assert found["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.002)
    assert (found["modes"], found["modes_strong"], found["modes_of"]) == (8, 8, 8)
    assert found["reverse_kl"] < 1e-3


def test_coverage_of_a_collapse(rng) -> None:
    centres = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    points = np.concatenate([np.zeros((995, 2)), np.ones((5, 2))])
    found = mode_coverage(points, centres, 0.05)
    assert (found["modes"], found["modes_strong"]) == (2, 1)
    p = np.array([0.995, 0.005])
    assert found["reverse_kl"] == pytest.approx((p * np.log(p * 4)).sum())
    assert mode_coverage(points + 9, centres, 0.05)["high_quality"] == 0


def test_label_accuracy() -> None:
    assert label_accuracy(np.eye(4), np.array([0, 1, 2, 0])) == 0.75


def test_recognition() -> None:
    sure = np.full((100, 10), -20.0)
    sure[np.arange(100), np.arange(100) % 10] = 20
    expected = {"recognised": 1, "classes_seen": 10, "class_evenness": 1, "class_kl": 0, "extractor_score": 10}
    assert recognition(sure, np.full(10, 7)) == pytest.approx(expected, abs=1e-6)
    one = recognition(np.tile([20.0] + [0.0] * 9, (100, 1)), np.full(10, 7))
    assert (one["recognised"], one["classes_seen"], one["class_evenness"]) == (1, 1, 0)
    assert one["extractor_score"] == pytest.approx(1)
    assert one["class_kl"] == pytest.approx(np.log(10)), "KL of one class from ten even ones"
    assert recognition(np.zeros((100, 10)), np.full(10, 7))["recognised"] == 0


def test_matched_accuracy_knows_no_names() -> None:
    """A permutation of the categories is perfect, chance is chance, and more categories than classes may be asked."""
    y = np.arange(300) % 3
    assert matched_accuracy(y, (y + 1) % 3) == 1
    assert matched_accuracy(y, np.zeros_like(y)) == pytest.approx(1 / 3)
    assert matched_accuracy(y, np.arange(300) % 6) == pytest.approx(0.5)


def test_frechet_of_numbers(rng) -> None:
    """(m1 - m2)^2 + (s1 - s2)^2 in one dimension."""
    a, b = rng.normal(0, 1, (200_000, 1)), rng.normal(2, 3, (200_000, 1))
    assert frechet(a, b) == pytest.approx(4 + 4, rel=0.02)


def artifact(makes: str, takes: str, function) -> Artifact:
    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(x)

    prior, size = ("normal", 4) if takes == "latent" else (takes, 4)
    name = "z" if takes == "latent" else "x"
    config = NetworkConfig("none", (4,), 1, (Input(name, prior, size),), output_space=makes)
    return Artifact(Network(), config, {}, "")


def test_both_directions_of_a_translation_are_measured(domains) -> None:
    """The true map has R^2 1 and no cycle loss; its negative has neither."""
    spaces = {space: flat_reference(domain) for space, domain in domains.spaces.items()}
    x, truth = domains.samples("heldout")[:], domains.index["translation"]
    there, back = (lambda x, i=i: roles.mapped(x, truth, i) for i in (False, True))
    assert torch.allclose(back(there(x)), x, atol=1e-5)
    trained = {"a_to_b": artifact("x_b", "x", there), "b_to_a": artifact("x", "x_b", back)}
    for role, given in (("a_to_b", x), ("b_to_a", domains.other.samples("heldout")[:])):
        found = roles.figures(role, trained, spaces, {"x": given}, trained[role].network(given)).figures
        assert found["translation_r2"] == pytest.approx(1, abs=1e-4)
        assert found["cycle_l1"] == pytest.approx(0, abs=1e-5)
        wrong = roles.figures(role, trained, spaces, {"x": given}, -trained[role].network(given)).figures
        assert wrong["translation_r2"] < 0
        assert wrong["fd"] > found["fd"]


def test_an_encoder_and_a_decoder_are_measured_together() -> None:
    pair = {
        "decoder": artifact("x", "latent", lambda z: z - 1),
        "encoder": artifact("latent", "x", lambda x: x),
    }
    pair["encoder"] = replace(pair["encoder"], config=replace(pair["encoder"].config, output_space="latent"))
    x = torch.randn(50, 4)
    reference = flat_reference(Made(x, x))
    assert dict(roles.reconstruction("decoder", pair, reference, x))["reconstruction_mse"] == pytest.approx(1)
    assert dict(roles.reconstruction("decoder", {"decoder": pair["decoder"]}, reference, x)) == {}


@pytest.mark.parametrize("raw", [False, True])
def test_what_is_measured_in_training_is_the_measure(rng, raw: bool) -> None:
    """Computed in parts, it is KID, or for points the energy distance, of the same samples."""
    x, fake = (torch.from_numpy(rng.normal(size=(n, 6))).float() for n in (400, 300))
    quick = OnlineMeasure(of_network("coordinates" if raw else "own", Flat()), x)
    found = quick(fake)
    a, b = (v.double().numpy() for v in (x, fake))
    assert found[quick.distance] == pytest.approx((energy if raw else kernel)(a, b), rel=1e-6)
    assert found["fd"] == pytest.approx(frechet(a, b), rel=1e-6)
    assert found["coverage"] == pytest.approx(prdc(quick.real[:400], b, 5)["coverage"].mean(), abs=1e-9)
    differences = torch.cdist(x.double(), fake.double()).mean().item()
    if raw:
        inner = [torch.cdist(v.double(), v.double()).sum().item() / (len(v) * (len(v) - 1)) for v in (x, fake)]
        assert found["energy_distance"] == pytest.approx(2 * differences - sum(inner), rel=1e-4)
