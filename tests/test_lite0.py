"""The frozen network in whose features pictures are compared, against another implementation; and its distance."""

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_sample_images
from torch.nn.functional import avg_pool2d

from gan_core.data.packed import to_model
from gan_core.metrics.batching import in_batches
from gan_core.metrics.distances import frechet
from gan_core.networks import efficientnet_lite0
from gan_core.networks.efficientnet_lite0 import as_input, installed, lite0, perceptual_distance
from gan_core.runtime.errors import DataError

SIDE = 32


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    """Real pictures: parts of two photographs, uint8 (N, 32, 32, 3), in a fixed order."""
    found = []
    for photograph in load_sample_images().images:
        whole = torch.from_numpy(photograph.copy())
        tiles = whole.unfold(0, SIDE, 16).unfold(1, SIDE, 16)
        found.append(tiles.permute(0, 1, 3, 4, 2).reshape(-1, SIDE, SIDE, 3))
    every = torch.cat(found)
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))]


def blurred(x: torch.Tensor, times: int = 1) -> torch.Tensor:
    for _ in range(times):
        x = avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return x


def test_lite0_is_a_second_implementation_s(patches: torch.Tensor) -> None:
    """Another package's network with the same file, batch by batch; and a Frechet distance to three digits."""
    from efficientnet_lite_pytorch import EfficientNet

    other = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(installed())).eval()

    a, b = to_model(patches[:100]), blurred(to_model(patches[100:200]))
    ours = [in_batches(lite0().features, x) for x in (a, b)]
    them = [in_batches(lambda some: other.extract_features(as_input(some)).mean((2, 3)), x) for x in (a, b)]
    assert max((x - y).abs().max() for x, y in zip(ours, them, strict=True)) < 1e-4
    one, two = (frechet(*(x.double().numpy() for x in pair)) for pair in (ours, them))
    assert one == pytest.approx(two, rel=1e-3)
    assert one > 10, "blur is seen"


def test_another_file_of_weights_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(b"hello")
    lite0.cache_clear()
    monkeypatch.setattr(efficientnet_lite0, "installed", lambda: other)
    with pytest.raises(DataError, match=r"other.pth has sha256 2cf2.*, not 5793.*; install efficientnet-lite0"):
        lite0()
    monkeypatch.setattr(efficientnet_lite0, "installed", lambda: None)
    with pytest.raises(DataError, match=r"EfficientNet-Lite0 are not installed; run `pip install"):
        lite0()
    lite0.cache_clear()


def test_perceptual_distance_is_one_and_can_be_descended(patches: torch.Tensor) -> None:
    """Zero for the same, symmetric, growing with blur; its gradient is that of finite differences, and descends."""
    x = to_model(patches[:2])
    network = lite0()
    levels = network.levels(x, 64)
    assert [tuple(v.shape[1:]) for v in levels] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert perceptual_distance(levels, levels).abs().max() == 0
    far = [perceptual_distance(levels, network.levels(blurred(x, s), 64)) for s in (1, 2, 4)]
    assert (far[0] < far[1]).all()
    assert (far[1] < far[2]).all()
    assert torch.equal(far[0], perceptual_distance(network.levels(blurred(x, 1), 64), levels))
    maps = [torch.randn(1, 5, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    fixed = [torch.randn(1, 5, 3, 3, dtype=torch.float64) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda *m: perceptual_distance(m, fixed), maps)
    y = blurred(x, 4).requires_grad_()
    before = perceptual_distance(network.levels(y, 64), levels).sum()
    (gradient,) = torch.autograd.grad(before, y)
    after = perceptual_distance(network.levels(y - 0.05 * gradient / gradient.norm(), 64), levels).sum()
    assert after < before
    assert not any(p.requires_grad for p in network.parameters())
