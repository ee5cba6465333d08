"""Large pictures in tiles: the same as whole where a network sees a part, refused where it sees all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.core.build_network import build_network
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.tiles import Tiles, spans
from gan_core.export.manifest import manifest_of
from gan_core.export.onnx import size_multiple
from gan_core.export.tiles import WHOLE, reach
from gan_core.runtime.errors import InputError
from tests.conftest import Workspace
from tests.test_translate import picture, read, run


def config_of(family: str, side: int, **options: object) -> NetworkConfig:
    scale = 2 if family == "srresnet" else 1
    return NetworkSpec(family, 4, 0, (3, side, side), options=options, scale=scale).translator("x", "x_b")


def test_spans_keep_every_pixel_once_and_see_their_margins() -> None:
    found = list(spans(100, 24, 8))
    assert [(to.start, to.stop) for _, _, to in found] == [(0, 24), (24, 48), (48, 72), (72, 96), (96, 100)]
    assert [(seen.start, seen.stop) for seen, _, _ in found] == [(0, 32), (16, 56), (40, 80), (64, 100), (88, 100)]
    assert all(seen.start + kept.start == to.start for seen, kept, to in found)


def test_the_reach_of_plain_convolutions_is_their_sum() -> None:
    """Below 16 pixels: 3x3, two blocks of two 3x3 each, 3x3."""
    config = config_of("resnet", 8)
    assert reach(build_network(config), config) == 6


SEEN = [("resnet", 16), ("resnet", 64), ("unet", 16), ("unet", 64), ("srresnet", 16)]


@pytest.mark.parametrize(("family", "side"), SEEN)
def test_tiles_are_the_whole_picture_and_less_margin_is_not(family: str, side: int) -> None:
    config = config_of(family, side, **({} if family == "srresnet" else {"norm": "none"}))
    network, multiple = build_network(config).double().eval(), size_multiple(config)
    far = reach(network, config)
    assert far is not None

    def compute(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()

    core = -(-max(far, 2 * multiple) // multiple) * multiple
    x = np.random.default_rng(0).uniform(-1, 1, (2 * core, 3 * core, 3))
    whole = compute(x)
    assert Tiles(far, multiple, config.scale, core)(compute, x) == pytest.approx(whole, abs=1e-12)
    near = Tiles(far // 4, multiple, config.scale, core)(compute, x)
    assert np.abs(near - whole).max() > 1e-9


@pytest.mark.parametrize("family", ["resnet", "unet"])
def test_instance_normalisation_sees_the_whole_picture(family: str) -> None:
    config = config_of(family, 32)
    assert reach(build_network(config), config) is None


def test_an_exported_translator_takes_tiles_that_fit_together(built: Workspace, tmp_path: Path) -> None:
    folder = built.folder / "exported/cycle_gan"
    about = manifest_of(folder)["roles"]["a_to_b"]["tiles"]
    assert (about["reach"], about["pixels_off"]) == (6, 0)
    assert (
        "tiles that see 6 pixels beyond what is kept of them: 0.00% of pixels then differ"
        in (folder / "README.md").read_text()
    )
    picture(90, 61).save(tmp_path / "a.png")
    run(folder, tmp_path / "a.png", tmp_path / "whole")
    run(folder, tmp_path / "a.png", tmp_path / "parts", tiles=20)
    assert np.array_equal(np.asarray(read(tmp_path / "whole/a.png")), np.asarray(read(tmp_path / "parts/a.png")))


def test_tiles_of_what_sees_all_are_refused(built: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gan_core.serving import translate

    picture(90, 61).save(tmp_path / "a.png")
    manifest = manifest_of(built.folder / "exported/cycle_gan")
    manifest["roles"]["a_to_b"]["tiles"] = {"reach": None, "why": WHOLE}
    monkeypatch.setattr(translate, "manifest_of", lambda _: manifest)
    with pytest.raises(InputError, match=r"cannot be given tiles: its normalisation takes means over the"):
        run(built.folder / "exported/cycle_gan", tmp_path / "a.png", tmp_path / "out", tiles=20)
