"""``gan translate``: what comes out is what the network gives, under its name, the right way up, as large as it was."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core import __main__
from gan_core.runtime.errors import DataError, InputError
from gan_core.serving import translate
from gan_core.serving.client import Generator
from tests.conftest import Workspace


@pytest.fixture(scope="module")
def exported(built: Workspace) -> Path:
    return built.folder / "exported/cycle_gan"


def picture(wide: int, high: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(wide * high).integers(0, 256, (high, wide, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


def run(
    folder: Path,
    pictures: Path,
    out: Path,
    role: str | None = "a_to_b",
    at_most: int | None = None,
    tiles: int | None = None,
) -> None:
    """The command."""
    given = {"folder": folder, "pictures": pictures, "out": out, "role": role, "at_most": at_most, "tiles": tiles}
    __main__.translate(argparse.Namespace(**given, on="cpu", server=None))


def given_by(exported: Path, pixels: np.ndarray) -> np.ndarray:
    """What the graph gives for pixels (H, W, C)."""
    (out,) = Generator.open(exported, "a_to_b").compute({"x": pixels[None]})
    return out


def test_a_picture_is_what_the_network_gives(exported: Path, tmp_path: Path) -> None:
    """To the pixel, where the sides fit; where they do not, filled up by mirroring and cut to its size again."""
    fits, odd = picture(16, 12), picture(9, 14)
    for name, image in (("fits.png", fits), ("below/odd.bmp", odd), ("moves.gif", fits)):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "in" / name)
    run(exported, tmp_path / "in", tmp_path / "out")
    (channels,) = {i["shape"][1] for i in Generator.open(exported, "a_to_b").about["inputs"]}
    as_read = {k: np.asarray(v.convert(translate.MODES[channels])) for k, v in (("fits", fits), ("odd", odd))}
    got = np.asarray(read(tmp_path / "out/fits.png"))
    assert (got.reshape(12, 16, channels) == given_by(exported, as_read["fits"].reshape(12, 16, channels))).all()
    mirrored = np.pad(as_read["odd"].reshape(14, 9, channels), [(0, 2), (0, 3), (0, 0)], mode="symmetric")
    got = np.asarray(read(tmp_path / "out/below/odd.bmp"))
    assert (got.reshape(14, 9, channels) == given_by(exported, mirrored)[:14, :9]).all()
    assert (tmp_path / "out/moves.gif.png").is_file()


def test_what_enlarges_gives_every_picture_at_its_scale(built: Workspace, tmp_path: Path) -> None:
    """Any sides, transparency too, whole or in tiles; the pixels of a picture are those that the graph gives."""
    folder, image = built.folder / "exported/larger", picture(37, 21)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "a.png")
    for out, tiles in (("whole", None), ("parts", 8)):
        run(folder, tmp_path / "a.png", tmp_path / out, role=None, tiles=tiles)
    whole, parts = (np.asarray(read(tmp_path / out / "a.png")) for out in ("whole", "parts"))
    assert whole.shape == (42, 74, 4)
    assert (whole == parts).all()
    (graph,) = Generator.open(folder, "translator").compute({"x": np.asarray(image.convert("RGB"))[None]})
    assert (whole[..., :3] == graph).all()


def test_orientation_and_transparency_stay(exported: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(20, 8).save(tmp_path / "turned.png", exif=exif)
    run(exported, tmp_path / "turned.png", tmp_path / "out")
    assert read(tmp_path / "out/turned.png").size == (8, 20)
    clear = picture(12, 12)
    clear.putalpha(Image.linear_gradient("L").resize((12, 12)))
    clear.save(tmp_path / "clear.png")
    run(exported, tmp_path / "clear.png", tmp_path / "out")
    assert read(tmp_path / "out/clear.png").getchannel("A").tobytes() == clear.getchannel("A").tobytes()
    run(exported, tmp_path / "clear.png", tmp_path / "small", at_most=8)
    assert read(tmp_path / "small/clear.png").size == (8, 8)


def test_what_cannot_be_read_is_named_and_the_rest_is_there(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for k in range(3):
        picture(8, 8 + k).save(tmp_path / f"in/{k}.png")
    (tmp_path / "in/1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"in/1\.png is no image that can be read"):
        run(exported, tmp_path / "in", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.png", "2.png"]
    picture(8, 9).save(tmp_path / "in/1.png")
    capsys.readouterr()
    run(exported, tmp_path / "in", tmp_path / "out")
    assert "wrote 1 pictures" in (said := capsys.readouterr().out) and "2 were there already" in said


def test_what_does_not_translate_is_refused(exported: Path, built: Workspace, tmp_path: Path) -> None:
    picture(8, 8).save(tmp_path / "a.png")
    for folder, role, says in (
        (exported, None, "translates by several roles; name one with --role: a_to_b, b_to_a"),
        (exported, "there", "--role there of .* does not go from picture to picture; a_to_b, b_to_a do"),
        (built.folder / "exported/gan", None, "has no role that goes from picture to picture: generator"),
    ):
        with pytest.raises(InputError, match=says):
            run(folder, tmp_path / "a.png", tmp_path / "out", role)
    with pytest.raises(InputError, match="nothing is not there"):
        run(exported, tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(InputError, match=r"lies in .*, whose pictures are read"):
        run(exported, tmp_path, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no pictures"):
        run(exported, tmp_path / "empty", tmp_path / "out")
