"""Pairs of images: from two folders, halves or columns to rows that belong together, and what is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from gan_core.config.schema import ImagePairs, Images, Pair
from gan_core.data import prepare_images as module
from gan_core.data.batches import Batches
from gan_core.data.prepare_images import prepare_images
from gan_core.data.prepared import Prepared
from gan_core.runtime.errors import DataError

N = 60
RNG = np.random.default_rng(0)
SOURCES = RNG.integers(0, 256, (N, 8, 8, 3), np.uint8)
TARGETS = 255 - SOURCES
FOLDERS = ImagePairs("?", False, 0.4, 8, 3, "exact", 0, "error", None, Pair("in", "out"))
HALVES = replace(FOLDERS, pairs="left-right")


def encoded(image: NDArray[Any], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form)
    return buffer.getvalue()


def as_folders(root: Path, targets: Iterable[int] = range(N)) -> Path:
    """Sources and targets, whose names sort the same way, but not as they were made; targets are BMP."""
    names = np.random.default_rng(1).permutation(1000)[:N]
    for k in range(N):
        write(root / "in" / f"{names[k]}.png", encoded(SOURCES[k]))
    for k in targets:
        write(root / "out" / f"{names[k]}.bmp", encoded(TARGETS[k], "BMP"))
    return root


def as_halves(root: Path, which: str = "left-right") -> Path:
    names = np.random.default_rng(1).permutation(1000)[:N]
    for k in range(N):
        pair = (SOURCES[k], TARGETS[k]) if which in ("left-right", "top-bottom") else (TARGETS[k], SOURCES[k])
        write(root / f"{names[k]}.png", encoded(np.concatenate(pair, 1 if "left" in which else 0)))
    return root


def as_columns(path: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    order = np.argsort([str(n) for n in np.random.default_rng(1).permutation(1000)[:N]])
    table = {name: [{"bytes": encoded(x[k])} for k in order] for name, x in (("out", TARGETS), ("in", SOURCES))}
    pq.write_table(pa.table(table | {"text": ["?"] * N}), path)
    return path


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def prepare(spec: ImagePairs, path: Path, out: Path, workers: int = 1) -> Prepared:
    prepare_images(replace(spec, path=str(path)), out, workers)
    return Prepared(out)


def belong_together(data: Prepared) -> int:
    """How many pairs there are in both parts, of which every one must be a picture and its negative."""
    assert data.aligned
    assert data.other is not None
    for part in ("train", "heldout"):
        assert np.array_equal(data.raw(part).numpy(), 255 - data.other.raw(part).numpy())
    assert data.index["counts"] == data.index["other"]["counts"]
    return int(sum(data.index["counts"].values()))


def test_files_of_one_name_in_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 7)  # chunks end between pairs, whatever is asked
    data = prepare(FOLDERS, as_folders(tmp_path / "d"), tmp_path / "out", workers=2)
    assert belong_together(data) == N
    assert (data.domains, data.index["counts"]["heldout"]) == (2, round(0.4 * N))


def test_a_zip_with_official_parts_in_either_order_of_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for k in range(N):
            part = "test" if k % 3 == 0 else "train"
            archive.writestr(f"set/{part}/in/a/{k}.png", encoded(SOURCES[k]))
            archive.writestr(f"set/out/{part}/a/{k}.png", encoded(TARGETS[k]))
    data = prepare(replace(FOLDERS, heldout="official"), tmp_path / "d.zip", tmp_path / "out")
    assert belong_together(data) == N
    assert data.index["counts"]["heldout"] == N // 3


@pytest.mark.parametrize("which", ["left-right", "right-left", "top-bottom", "bottom-top"])
def test_halves_are_what_two_folders_are(tmp_path: Path, which: Any) -> None:
    data = prepare(replace(HALVES, pairs=which), as_halves(tmp_path / "d", which), tmp_path / "out")
    folders = prepare(FOLDERS, as_folders(tmp_path / "e"), tmp_path / "folders")
    assert belong_together(data) == N
    assert data.index["sha256"] == folders.index["sha256"]
    assert data.index["found"]["sizes"] == folders.index["found"]["sizes"]


def test_columns_of_parquet_are_what_two_folders_are(tmp_path: Path) -> None:
    data = prepare(FOLDERS, as_columns(tmp_path / "d.parquet"), tmp_path / "out")
    assert data.index["sha256"] == prepare(FOLDERS, as_folders(tmp_path / "e"), tmp_path / "folders").index["sha256"]


def test_copies_of_a_source_are_on_one_side_with_their_targets(tmp_path: Path) -> None:
    for k in range(N):
        write(tmp_path / f"d/in/{k}.png", encoded(SOURCES[k // 4]))
        write(tmp_path / f"d/out/{k}.png", encoded(TARGETS[k]))
    data = prepare(FOLDERS, tmp_path / "d", tmp_path / "out")
    sides = [{row.numpy().tobytes() for row in data.raw(part)} for part in ("train", "heldout")]
    assert not sides[0] & sides[1]
    assert data.index["counts"] == data.index["other"]["counts"]
    source_of = {TARGETS[k].tobytes(): SOURCES[k // 4].tobytes() for k in range(N)}
    for part in ("train", "heldout"):
        pairs = zip(data.raw(part).numpy(), data.other.raw(part).numpy(), strict=True)
        assert all(source.tobytes() == source_of[target.tobytes()] for source, target in pairs)


def test_what_is_bad_takes_its_partner_along(tmp_path: Path) -> None:
    path = as_folders(tmp_path / "d", range(4, N))
    bad, wide = sorted((path / "out").iterdir())[:2]
    bad.write_bytes(b"no picture")
    wide.write_bytes(encoded(np.zeros((8, 16, 3), np.uint8)))
    spec = replace(FOLDERS, on_bad_image="skip", fit="crop")
    data = prepare(spec, path, tmp_path / "out")
    assert belong_together(data) == N - 6
    found = data.index["found"]
    assert found["skipped"] == 4
    assert any("4 images have no partner and are left out: " in odd for odd in found["odd"])
    assert any("has a partner that is no image that can be read" in said for said in found["skipped_first"])
    assert any("and its partner 16x8: they cannot show the same place" in said for said in found["skipped_first"])


def test_a_range_is_measured_of_what_is_kept(tmp_path: Path) -> None:
    """A picture whose partner cannot be read has no say in what is white."""
    for k in range(N):
        for name, first in (("in", 1000 + 4 * k), ("out", 1238 - 4 * k)):
            pixels = np.full((8, 8), first, np.uint16) + np.arange(0, 72, 9, dtype=np.uint16)
            write(tmp_path / f"d/{name}/{k}.png", encoded(pixels))
    write(tmp_path / "d/in/bright.png", encoded(np.full((8, 8), 65535, np.uint16)))
    write(tmp_path / "d/out/bright.png", b"no picture")
    spec = replace(FOLDERS, channels=1, range="measured", on_bad_image="skip", pairs=Pair("in", "out"))
    assert prepare(spec, tmp_path / "d", tmp_path / "out").index["range"] == [1000, 1238 + 63]


def test_a_mirror_moves_both(tmp_path: Path) -> None:
    data = prepare(replace(FOLDERS, flip=True), as_folders(tmp_path / "d"), tmp_path / "out")
    batches = Batches(data, 8, 0)
    seen = [batches.at(k) for k in range(6)]
    assert all((batch.x + batch.x_b).abs().max() < 1e-6 for batch in seen)
    known = {row.numpy().tobytes() for row in data.samples("train")[:]}
    assert 0 < sum(row.numpy().tobytes() in known for batch in seen for row in batch.x) < 48


@pytest.mark.parametrize("store", [None, "store"])
def test_a_window_is_the_same_of_both(tmp_path: Path, store: str | None) -> None:
    """Of every picture any window of the declared size; figures look at the middle."""
    where = f"file://{tmp_path / store}" if store else None
    for k, pixels in enumerate(RNG.integers(0, 256, (N, 8, 12, 3), np.uint8)):
        write(tmp_path / f"d/in/{k}.png", encoded(pixels))
        write(tmp_path / f"d/out/{k}.png", encoded(255 - pixels))
    data = prepare(replace(FOLDERS, crop_from=[8, 12], store=where), tmp_path / "d", tmp_path / "out")
    whole = data.raw("train", whole=True)[:]
    assert (data.shape, tuple(whole.shape[1:])) == ((3, 8, 8), (8, 12, 3))
    assert torch.equal(data.raw("train")[:], whole[:, :, 2:10])
    known = {row[:, at : at + 8].numpy().tobytes(): at for row in whole for at in range(5)}
    first, again = Batches(data, 8, 0), Batches(data, 8, 0)
    seen = [first.at(k) for k in range(12)]
    assert all((batch.x + batch.x_b).abs().max() < 1e-6 for batch in seen)
    packed = [torch.round((batch.x + 1) * 127.5).to(torch.uint8).permute(0, 2, 3, 1) for batch in seen]
    starts = [known[row.contiguous().numpy().tobytes()] for rows in packed for row in rows]
    assert set(starts) == set(range(5))
    assert torch.equal(again.at(7).x, seen[7].x)


def test_windows_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="must be as large as size 8 or larger"):
        replace(FOLDERS, crop_from=[12, 7])
    with pytest.raises(ValueError, match="is for pairs of one size: leave it out, or scale"):
        replace(FOLDERS, size=16, scale=2, crop_from=20)


@pytest.mark.parametrize("scale", [2, 4])
def test_sources_that_are_smaller_keep_their_own_pixels(tmp_path: Path, scale: int) -> None:
    """Of two folders, every pixel of the smaller; a batch has both sizes, each source beside its own target."""
    small = RNG.integers(0, 256, (N, 8 // scale * 2, 8 // scale * 2, 3), np.uint8)
    for k in range(N):
        write(tmp_path / f"in/{k}.png", encoded(small[k]))
        write(tmp_path / f"out/{k}.png", encoded(255 - small[k].repeat(scale, 0).repeat(scale, 1)))
    data = prepare(replace(FOLDERS, size=16, scale=scale), tmp_path, tmp_path / "data")
    given = {row.tobytes() for row in small}
    assert all(row.numpy().tobytes() in given for row in data.raw("train").contiguous())
    batch = Batches(data, 8, 0).at(3)
    assert batch.x_b is not None
    assert (batch.x.shape[2:], batch.x_b.shape[2:]) == ((16 // scale,) * 2, (16, 16))
    assert torch.allclose(batch.x, -batch.x_b[:, :, ::scale, ::scale], atol=1e-6)
    assert {space: domain.shape[1] for space, domain in data.spaces.items()} == {"x": 16 // scale, "x_b": 16}


def test_a_source_is_made_of_its_target(tmp_path: Path) -> None:
    """`downscaled`: the picture as it would be packed at the smaller size, with the same crop."""
    wide = RNG.integers(0, 256, (N, 20, 32, 3), np.uint8)
    for k in range(N):
        write(tmp_path / f"{k}.png", encoded(wide[k]))
    asked = replace(FOLDERS, size=16, fit="crop", pairs="downscaled", scale=2)
    pairs = prepare(asked, tmp_path, tmp_path / "pairs")
    small = prepare(Images("?", False, 0.4, 8, 3, "crop", 0, "error", None), tmp_path, tmp_path / "small")
    assert torch.equal(pairs.raw("train"), small.raw("train"))
    exact = prepare(replace(asked, size=[20, 32], fit="exact"), tmp_path, tmp_path / "exact")
    assert exact.spaces["x"].shape == (3, 10, 16)


def test_a_declared_scale_is_held(tmp_path: Path) -> None:
    for k in range(N):
        write(tmp_path / f"in/{k}.png", encoded(SOURCES[k]))
        write(tmp_path / f"out/{k}.png", encoded(TARGETS[k].repeat(3, 0).repeat(3, 1)))
    with pytest.raises(DataError, match="has 8x8 pixels, and its partner 24x24, not 2 times as many a side"):
        prepare(replace(FOLDERS, size=16, fit="crop", scale=2), tmp_path, tmp_path / "data")


def twice(path: Path) -> None:
    path = next((path / "in").iterdir())
    write(path.with_suffix(".gif"), path.read_bytes())


def odd_width(path: Path) -> None:
    for k in range(N):
        write(path / f"{k}.png", encoded(np.zeros((8, 15, 3), np.uint8)))


def other_names(path: Path) -> None:
    for file in (as_folders(path) / "out").iterdir():
        file.rename(file.with_stem(f"{file.stem}_out"))


REFUSED: dict[str, tuple[Callable[[Path], object], Any, str]] = {
    "no folder": (lambda p: as_folders(p, []), FOLDERS, r"domain 'out' has 0 images: .* needs a folder of that name"),
    "no partner": (
        lambda p: as_folders(p, range(1, N)),
        FOLDERS,
        r"1 of 119 images in .* have no partner of their name: '.*/in/\d+\.png'; the folders 'in', 'out' must hold "
        "files of the same names; mend it, or declare on_bad_image: skip",
    ),
    "hardly any partner": (
        other_names,
        replace(FOLDERS, on_bad_image="skip"),
        r"120 of 120 images .* must hold files of the same names$",
    ),
    "one name, two suffixes": (
        lambda p: twice(as_folders(p)),
        FOLDERS,
        r"\.gif and .*\.png are called the same but for their suffix, so which of them is meant is not known",
    ),
    "itself": (
        lambda p: [write(p / f"{f}/{k}.png", encoded(SOURCES[k])) for f in ("in", "out") for k in range(N)],
        FOLDERS,
        "in all 60 pairs of .* source and target are the same image; look at `pairs`",
    ),
    "odd width": (odd_width, HALVES, "has 15x8 pixels and cannot be cut into two equal halves; mend or remove it"),
    "arrays": (
        lambda p: (p.mkdir(), np.savez(p / "x.npz", images=SOURCES)),
        FOLDERS,
        r"`pairs` names two folders of a folder or an archive, or two columns of Parquet",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_pair_is_refused_with_what_to_do(case: str, tmp_path: Path) -> None:
    make, spec, says = REFUSED[case]
    make(tmp_path / "d")
    path = tmp_path / "d" / "x.npz" if case == "arrays" else tmp_path / "d"
    with pytest.raises(DataError, match=says):
        prepare(spec, path, tmp_path / "out")
