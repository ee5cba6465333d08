"""A user's own images: one set from every container, pixels that are right, a sentence for every fault."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import pickle
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from gan_core.config.schema import ImageDomains, Images
from gan_core.data import prepare_images as preparing
from gan_core.data.found import in_words
from gan_core.data.prepare_images import prepare_images
from gan_core.data.prepared import Prepared
from gan_core.data.readers.images import BadImage, chunk, opened, packed
from gan_core.data.readers.items import Item
from gan_core.runtime.errors import DataError, EnvironmentFailure, FoundryError

SPEC = Images("?", True, 0.25, 8, 1, "exact", 0, "error", None)
X, Y = load_digits(return_X_y=True)
X = np.rint(X * 255 / 16).astype(np.uint8).reshape(-1, 8, 8)[:400]
Y = Y[:400]


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


PNGS = [png(x) for x in X]


def members(official: bool = False) -> list[tuple[str, bytes]]:
    """(name, file) of 400 digits, a folder a class; the last 100 are the official test set."""
    parts = [("test/" if k >= 300 else "train/") if official else "" for k in range(400)]
    return [(f"{p}{y}/{k:03}.png", f) for k, (p, y, f) in enumerate(zip(parts, Y, PNGS, strict=True))]


def as_folder(path: Path, files: list[tuple[str, bytes]]) -> Path:
    for name, content in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def as_zip(path: Path, files: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def as_tar(path: Path, files: list[tuple[str, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return path


def as_idx(path: Path, x: np.ndarray = X, y: np.ndarray = Y) -> Path:
    """MNIST's four files, one of them not compressed."""
    path.mkdir(exist_ok=True)
    for part, rows in (("train", slice(300)), ("t10k", slice(300, None))):
        images = struct.pack(">4I", 0x803, *x[rows].shape) + x[rows].tobytes()
        labels = struct.pack(">2I", 0x801, len(y[rows])) + y[rows].astype(np.uint8).tobytes()
        (path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return path


def as_npz(path: Path) -> Path:
    np.savez_compressed(path, x_train=X[:300], y_train=Y[:300], x_test=X[300:], y_test=Y[300:, None])
    return path


def as_parquet(path: Path, files: list[bytes] = PNGS, labels: object = Y, parts: bool = True) -> Path:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pyarrow.parquet as pq

    (path / "data").mkdir(parents=True)
    for part, rows in (("train", slice(300)), ("test", slice(300, None))) if parts else (("train", slice(None)),):
        images = pa.array([{"bytes": f, "path": None} for f in files[rows]])
        table = pa.table({"image": images, "label": pa.array(labels[rows])})  # type: ignore[index]
        names = ",".join(f'"digit {k}"' for k in range(10))
        notes = f'{{"info": {{"features": {{"label": {{"names": [{names}], "_type": "ClassLabel"}}}}}}}}'
        table = table.replace_schema_metadata({"huggingface": notes})
        pq.write_table(table, path / "data" / f"{part}-00000-of-00001.parquet", row_group_size=64)
    return path


def prepare(spec: Images, path: Path, folder: Path, workers: int = 1) -> Prepared:
    prepare_images(replace(spec, path=str(path)), folder, workers)
    return Prepared(folder)


OFFICIAL = replace(SPEC, heldout="official")
CONTAINERS: dict[str, Callable[[Path], Path]] = {
    "folder": lambda p: as_folder(p / "d", members(True)),
    "zip": lambda p: as_zip(p / "d.zip", members(True)),
    "zip of a folder": lambda p: as_zip(p / "d.zip", [(f"digits/{n}", f) for n, f in members(True)]),
    "tar": lambda p: as_tar(p / "d.tar", sorted(members(True)), "w"),
    "tar.gz": lambda p: as_tar(p / "d.tar.gz", sorted(members(True))),
    "idx": lambda p: as_idx(p / "d"),
    "npz": lambda p: as_npz(p / "d.npz"),
    "parquet": lambda p: as_parquet(p / "d"),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same_set(container: str, tmp_path: Path) -> None:
    data = prepare(OFFICIAL, CONTAINERS[container](tmp_path), tmp_path / "out")
    assert data.index["counts"] == {"train": 300, "heldout": 100}
    assert data.index["class_names"] == [f"digit {k}" if container == "parquet" else str(k) for k in range(10)]
    for part, rows in (("train", slice(300)), ("heldout", slice(300, None))):
        pairs = zip(data.raw(part)[..., 0].numpy(), data.labels(part).tolist(), strict=True)
        assert sorted((x.tobytes(), y) for x, y in pairs) == sorted(
            (x.tobytes(), y) for x, y in zip(X[rows], Y[rows].tolist(), strict=True)
        )
        assert data.index["class_counts"][part] == np.bincount(Y[rows], minlength=10).tolist()


def test_a_share_is_held_out_where_no_part_is_official(tmp_path: Path) -> None:
    data = prepare(SPEC, as_idx(tmp_path / "d"), tmp_path / "out")
    assert sum(data.index["counts"].values()) == 400
    assert data.index["counts"]["heldout"] == pytest.approx(100, abs=5)
    assert np.array(data.index["class_counts"]["heldout"]) == pytest.approx(np.bincount(Y) / 4, abs=1)


def test_the_bytes_do_not_depend_on_how_many_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "ALONE", 0)
    monkeypatch.setattr(preparing, "AT_ONCE", 16)
    path = as_folder(tmp_path / "d", [*members(), ("0/bad.png", b"<html>"), ("1/none.png", b"")])
    one, three = (prepare(replace(SPEC, on_bad_image="skip"), path, tmp_path / f"{n}", n) for n in (1, 3))
    assert sorted(p.name for p in (tmp_path / "1").iterdir()) == [
        "heldout.x.npy", "heldout.y.npy", "index.json", "train.x.npy", "train.y.npy",
    ]  # fmt: skip
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "3" / file.name).read_bytes()
    assert one.index["found"]["skipped"] == three.index["found"]["skipped"] == 2


def die(*arguments: object) -> object:
    return chunk(*arguments) if multiprocessing.parent_process() is None else os._exit(9)


def test_a_killed_worker_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "ALONE", 0)
    path = as_folder(tmp_path / "d", members())
    prepare(SPEC, path, tmp_path / "out" / "x")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out" / "x").iterdir()}
    monkeypatch.setattr(preparing, "chunk", die)
    with pytest.raises(EnvironmentFailure, match="a process that decodes images was killed"):
        prepare(SPEC, path, tmp_path / "out" / "x", 2)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out" / "x").iterdir()} == before
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["x"]


def test_what_is_read_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly images come and however fast they are decoded, no more than four chunks a process are held."""
    monkeypatch.setattr(preparing, "ALONE", 0)
    monkeypatch.setattr(preparing, "AT_ONCE", 1)
    monkeypatch.setattr(preparing, "ProcessPoolExecutor", lambda workers, _: ThreadPoolExecutor(workers))
    held = [0, 0]

    def slowly() -> Iterator[Item]:
        for k in range(100):
            held[0] += 1
            held[1] = max(held)
            time.sleep(0.002)
            yield Item(str(k), X[k], 0, "train", 0)

    for _ in preparing.decoded(slowly(), SPEC, 4):
        held[0] -= 1
    assert held[0] == 0
    assert held[1] <= 4 * 4 + 1  # and the one that is being read


# What becomes of a pixel.


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def one(content: bytes | np.ndarray, **changes: object) -> np.ndarray:
    """What one image becomes."""
    return packed(opened(content)[0], replace(SPEC, labels=False, **changes))


RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
RED = np.zeros((8, 8, 3), np.uint8) + np.array([200, 30, 30], np.uint8)


def with_alpha(level: int) -> bytes:
    return saved(Image.fromarray(np.dstack([RED, np.full((8, 8), level, np.uint8)])), "PNG")


def deep(values: np.ndarray) -> bytes:
    return saved(Image.fromarray(values.astype(np.uint16)), "PNG")


EXIF = Image.Exif()
EXIF[0x0112] = 6  # to be turned by 90 degrees clockwise

PIXELS = [
    ("grey", png(RAMP), {}, RAMP[..., None]),
    ("grey to three", png(RAMP), {"channels": 3}, np.dstack([RAMP] * 3)),
    ("colour", png(RED), {"channels": 3}, RED),
    ("colour to grey", png(RED), {}, np.full((8, 8, 1), round(0.299 * 200 + 0.587 * 30 + 0.114 * 30))),
    ("palette", saved(Image.fromarray(RED).quantize(4), "PNG"), {"channels": 3}, RED),
    ("one bit", saved(Image.fromarray(RAMP).convert("1", dither=0), "PNG"), {}, ((RAMP >= 128) * 255)[..., None]),
    ("16 bits", deep(RAMP.astype(np.uint16) * 257), {}, RAMP[..., None]),
    ("16 bits, rounded", deep(np.full((8, 8), 128)), {}, np.zeros((8, 8, 1))),
    ("alpha 0", with_alpha(0), {"channels": 3, "background": 90}, np.full((8, 8, 3), 90)),
    ("alpha 255", with_alpha(255), {"channels": 3, "background": 90}, RED),
    ("alpha 51", with_alpha(51), {"channels": 3, "background": 100}, np.rint(0.2 * RED + 0.8 * 100)),
    ("grey and alpha", saved(Image.new("LA", (8, 8), (200, 0)), "PNG"), {"background": 255}, np.full((8, 8, 1), 255)),
    (
        "transparent colour",
        saved(Image.fromarray(RED), "PNG", transparency=(200, 30, 30)),
        {"channels": 3, "background": 7},
        np.full((8, 8, 3), 7),
    ),
    ("CMYK", saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), {"channels": 3}, RED * 0 + [255, 0, 0]),
    ("turned", saved(Image.fromarray(RAMP), "PNG", exif=EXIF), {}, np.rot90(RAMP, -1)[..., None]),
    (
        "animation",
        saved(Image.fromarray(RAMP), "GIF", save_all=True, append_images=[Image.new("L", (8, 8))]),
        {},
        RAMP[..., None],
    ),
    ("crop, wide", png(np.hstack([RAMP[:, :4] * 0, RAMP, RAMP[:, :4] * 0])), {"fit": "crop"}, RAMP[..., None]),
    ("crop, tall", png(np.vstack([RAMP[:1] * 0, RAMP, RAMP[:1] * 0])), {"fit": "crop"}, RAMP[..., None]),
    (
        "pad",
        png(RAMP[:, 2:6]),
        {"fit": "pad", "background": 9},
        np.hstack([np.full((8, 2), 9), RAMP[:, 2:6], np.full((8, 2), 9)])[..., None],
    ),
    ("pixels (H, W)", RAMP, {}, RAMP[..., None]),
    ("pixels (H, W, 4)", np.dstack([RED, np.zeros((8, 8), np.uint8)]), {"background": 3}, np.full((8, 8, 1), 3)),
]


@pytest.mark.parametrize(("content", "changes", "expected"), [p[1:] for p in PIXELS], ids=[p[0] for p in PIXELS])
def test_a_pixel_is_what_it_should_be(content, changes, expected) -> None:
    made = one(content, **changes)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - np.broadcast_to(expected, made.shape)).max() <= 1


def test_a_photograph_of_jpeg_and_webp_is_close() -> None:
    soft = np.dstack([np.add.outer(np.arange(64), np.arange(64))] * 3).astype(np.uint8) * 2
    for kind in ("JPEG", "WEBP", "BMP", "PPM"):
        made = one(saved(Image.fromarray(soft), kind), size=64, channels=3)
        assert np.abs(made.astype(int) - soft).mean() < 3


@pytest.mark.parametrize("fit", ["crop", "pad"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_size_becomes_the_declared_one_and_flat_stays_flat(fit: str, data: st.DataObject) -> None:
    """Antialiasing makes weights that sum to one: an even grey survives any resizing, and nothing leaves its range."""
    w, h, grey, size = (data.draw(st.integers(*r)) for r in ((1, 90), (1, 90), (0, 255), (4, 40)))
    channels = data.draw(st.sampled_from([1, 3]))
    made = one(png(np.full((h, w), grey, np.uint8)), fit=fit, size=size, channels=channels, background=grey)
    assert made.shape == (size, size, channels)
    assert (made == grey).all()


def test_shrinking_does_not_alias() -> None:
    """A fine checkerboard shrinks to its mean, not to a pattern that was never there."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(one(png(board), fit="crop").astype(int) - 127).max() <= 3


def test_a_large_jpeg_is_read_at_a_part_of_its_size_and_looks_the_same() -> None:
    """Within two grey levels of what all its pixels give, and its own size is what is noted, the way it is seen."""
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    photo = saved(Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC), "JPEG", quality=95, exif=EXIF)
    spec = replace(SPEC, size=16, channels=3, fit="crop")
    image, size = opened(photo, 48)
    assert (image.size, size) == ((75, 100), (600, 800))
    whole, _ = opened(photo)
    assert whole.size == (600, 800)
    assert np.abs(packed(image, spec).astype(int) - packed(whole, spec)).max() <= 2
    assert chunk([photo], spec).sizes == {(600, 800): 1}
    assert chunk([photo], replace(spec, fit="exact")).bad == {0: "has 600x800 pixels, not the declared 16x16"}


# What is noticed.


def test_copies_stay_on_one_side_and_are_counted(tmp_path: Path) -> None:
    """Each of 100 contents four times, two of them under another class: none is both trained on and held out."""
    files = [(f"{Y[k]}/{k}-{n}.png", PNGS[k]) for k in range(200) for n in range(3)]
    files += [(f"other/{k}.png", PNGS[k]) for k in range(2)]
    files += [(f"{Y[0]}/blank.png", png(np.full((8, 8), 77, np.uint8))), (f"{Y[0]}/notes.txt", b"")]
    data = prepare(SPEC, as_folder(tmp_path / "d", files), tmp_path / "out")
    found = data.index["found"]
    assert (found["packed"], found["duplicates"], found["on_both_sides"]) == (603, 402, 0)
    assert (found["near_blank"], found["other_files"], found["duplicates_of_another_class"]) == (1, {".txt": 1}, 2)
    train, heldout = ({bytes(x.numpy()) for x in data.raw(part)} for part in ("train", "heldout"))
    assert not train & heldout
    assert len(train | heldout) == 201
    for words in (
        "603 images packed",
        "402 are copies of another",
        "2 of them under another class",
        "1 are near-blank",
    ):
        assert words in in_words(found)


def test_what_an_official_split_shares_is_said(tmp_path: Path) -> None:
    files = [*members(True), *((f"test/{Y[k]}/again-{k}.png", PNGS[k]) for k in range(5))]
    found = prepare(OFFICIAL, as_folder(tmp_path / "d", files), tmp_path / "out").index["found"]
    assert found["on_both_sides"] == 5
    assert "5 are both trained on and held out" in in_words(found)


def test_a_class_without_images_is_said(tmp_path: Path) -> None:
    keep = Y != 3
    found = prepare(SPEC, as_idx(tmp_path / "d", X[keep], Y[keep]), tmp_path / "out").index["found"]
    assert found["classes_without_images"] == ["3"]
    assert "no image has the class '3'" in found["odd"]


def test_two_folders_are_two_domains(tmp_path: Path) -> None:
    files = [(f"{'cats' if k % 3 else 'dogs'}/{n}", f) for k, (n, f) in enumerate(members())]
    spec = ImageDomains("?", True, 0.4, 8, 1, "exact", 0, "error", None, ["dogs", "cats"])  # not in the order of names
    data = prepare(spec, as_folder(tmp_path / "d", [*files, ("birds/1/x.png", PNGS[0])]), tmp_path / "out")
    assert data.domains == 2
    ks = np.arange(400)
    for domain, rows in ((data, ks % 3 == 0), (data.other, ks % 3 > 0)):
        assert sum(domain.index["counts"].values()) == rows.sum()
        seen = np.concatenate([domain.raw(part)[..., 0].numpy() for part in ("train", "heldout")])
        labels = np.concatenate([domain.labels(part).numpy() for part in ("train", "heldout")])
        assert sorted((x.tobytes(), y) for x, y in zip(seen, labels, strict=True)) == sorted(
            (x.tobytes(), y) for x, y in zip(X[rows], Y[rows], strict=True)
        )
    assert data.united.index["counts"]["train"] == sum(d.index["counts"]["train"] for d in (data, data.other))
    assert len(data.united.raw("train")) == len(data.united.labels("train")) == data.united.index["counts"]["train"]


def test_without_labels_folders_mean_nothing(tmp_path: Path) -> None:
    data = prepare(replace(SPEC, labels=False), as_folder(tmp_path / "d", members()), tmp_path / "out")
    assert (data.classes, data.labels("train"), data.index["class_counts"]) == (0, None, {})
    assert not list((tmp_path / "out").glob("*.y.npy"))


def test_memory_stays_flat_while_the_set_grows(tmp_path: Path) -> None:
    """Ten times the images, the same peak but for what each leaves behind: a digest and a label, not 3,072 pixels."""
    rng, peaks = np.random.default_rng(0), []
    for n in (1_000, 10_000):
        np.save(tmp_path / f"{n}.npy", rng.integers(0, 255, (n, 32, 32, 3), np.uint8))
        tracemalloc.start()
        prepare(replace(SPEC, labels=False, size=32, channels=3), tmp_path / f"{n}.npy", tmp_path / f"out-{n}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 9_000 * 300


# What is refused: file, fault and what to do, in one sentence.


def bomb() -> bytes:
    """A PNG of 10,000 x 10,000 pixels in some kilobytes."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(b"\0" * 10_001 * 10_000, 9)
    head = struct.pack(">2I5B", 10_000, 10_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")


BAD_IMAGES = {
    "truncated": (PNGS[0][:-40], "is damaged"),
    "html": (b"<!DOCTYPE html><html>", "is no image that can be read .* it is HTML"),
    "empty": (b"", r"is empty \(0 bytes\)"),
    "bomb": (bomb(), "has 10000x10000 pixels; at most 64,000,000 are read"),
    "flipped": (PNGS[0][:60] + bytes([PNGS[0][60] ^ 8]) + PNGS[0][61:], "is damaged"),
    "size": (png(X[0][:7]), "has 8x7 pixels, not the declared 8x8"),
    "float": (saved(Image.new("F", (8, 8), 300), "TIFF"), "holds numbers of 300 to 300, and F is taken to hold 0 to 1"),
    "pickle": (pickle.dumps({"a": 1}), "is no image"),
    "long": (png(np.zeros((1, 20_000), np.uint8)), "has 20000x1 pixels; at most 64,000,000 are read, 16,384 on a side"),
}


@pytest.mark.parametrize("bad", BAD_IMAGES)
def test_a_bad_image_is_named_and_stops_or_is_skipped_as_declared(bad: str, tmp_path: Path) -> None:
    content, words = BAD_IMAGES[bad]
    path = as_folder(tmp_path / "d", [*members(), ("4/wrong.png", content)])
    with pytest.raises(DataError, match=rf"d/4/wrong\.png {words}.*; mend or remove it, or declare on_bad_image: skip"):
        prepare(SPEC, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = prepare(replace(SPEC, on_bad_image="skip"), path, tmp_path / "out").index["found"]
    assert (found["skipped"], found["packed"]) == (1, 400)
    assert "wrong.png" in found["skipped_first"][0]
    assert "1 skipped, as they cannot be used" in in_words(found)


def linked(p: Path) -> Path:
    path = as_folder(p / "d", members())
    (path / "0" / "leak.png").symlink_to("/etc/passwd")
    return path


def member_linked(p: Path) -> Path:
    path = as_tar(p / "d.tar", members(), "w")
    with tarfile.open(path, "a") as archive:
        about = tarfile.TarInfo("0/leak.png")
        about.type, about.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(about)
    return path


def zip_linked(p: Path) -> Path:
    path = as_zip(p / "d.zip", members())
    with zipfile.ZipFile(path, "a") as archive:
        about = zipfile.ZipInfo("0/leak.png")
        about.external_attr = 0o120777 << 16
        archive.writestr(about, "/etc/passwd")
    return path


def saved_npz(p: Path, **arrays: np.ndarray) -> Path:
    np.savez(p / "d.npz", **arrays)
    return p / "d.npz"


def npz_bomb(p: Path) -> Path:
    """512 MiB of zeros in half a megabyte."""
    with zipfile.ZipFile(p / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 23, 8, 8)})
        for _ in range(512):
            file.write(bytes(1 << 20))
    return p / "d.npz"


def changed(p: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    path = as_idx(p / "d")
    (path / name).write_bytes(change((path / name).read_bytes()))
    return path


def cut(path: Path, keep: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def tracked(p: Path) -> Path:
    (p / "d.dvc").write_text("outs: []")
    return p / "d"


def no_folder(p: Path) -> Path:
    (p / "d").mkdir()
    return p / "d"


def nan(p: Path) -> Path:
    x = X / np.float32(255)
    x[17, 3, 3] = np.nan
    return saved_npz(p, images=x, labels=Y)


DOMAINS = ImageDomains("?", False, 0.4, 8, 1, "exact", 0, "error", None, ["photo", "monet"])
LABELS = "train-labels-idx1-ubyte"
IMAGES_GZ = "train-images-idx3-ubyte.gz"
REFUSED: dict[str, tuple[Callable[[Path], Path], Images, str]] = {
    "missing": (lambda p: p / "d", SPEC, r"path '.*/d' is not found; look at `path` in params\.yaml"),
    "not pulled": (tracked, SPEC, r"is not found; .*/d\.dvc tracks it, so `dvc pull .*/d\.dvc` fetches it"),
    "empty folder": (no_folder, SPEC, r"/d contains 0 images \(looked for \*\.png, \*\.apng, \*\.jpg"),
    "unknown file": (lambda p: as_folder(p, [("d.rar", b"Rar!")]) / "d.rar", SPEC, r"d\.rar is no folder, \*\.zip"),
    "too few": (
        lambda p: as_folder(p / "d", members()[:19]),
        SPEC,
        r"heldout 0\.25 of \d+ samples leaves \d+ to train",
    ),
    "flat, but labelled": (
        lambda p: as_folder(p / "d", [("1.png", PNGS[0])]),
        SPEC,
        r"labels is true, and '1\.png' lies in no folder that names its class; set labels to false",
    ),
    "parts taken for classes": (
        lambda p: as_folder(p / "d", members(True)),
        SPEC,
        r"are called test, train, which are parts, not classes; declare heldout: official",
    ),
    "no official parts": (
        lambda p: as_folder(p / "d", members()),
        OFFICIAL,
        "lies neither in a folder train nor in a folder test",
    ),
    "link out of a folder": (linked, SPEC, r"leak\.png is a link to /etc/passwd; declare links: /etc"),
    "pipe": (
        lambda p: (os.mkfifo(as_folder(p / "d", members()) / "0" / "pipe.png"), p / "d")[1],
        SPEC,
        r"d/0/pipe\.png is no file; remove it",
    ),
    "broken link": (
        lambda p: ((as_folder(p / "d", members()) / "0" / "x.png").symlink_to("nowhere.png"), p / "d")[1],
        SPEC,
        r"d/0/x\.png is no file; remove it",
    ),
    "link in a tar": (member_linked, SPEC, r"d\.tar holds a link or a device, '0/leak\.png'"),
    "link in a zip": (zip_linked, SPEC, r"d\.zip holds a link, '0/leak\.png'"),
    "traversal in a zip": (
        lambda p: as_zip(p / "d.zip", [*members(), ("../../leak.png", PNGS[0])]),
        SPEC,
        r"d\.zip holds a member '\.\./\.\./leak\.png' that points out of the archive; it is not read",
    ),
    "traversal in a tar": (
        lambda p: as_tar(p / "d.tar.gz", [*members(), ("/tmp/leak.png", PNGS[0])]),
        SPEC,
        r"holds a member '/tmp/leak\.png' that points out",
    ),
    "zip cut short": (lambda p: cut(as_zip(p / "d.zip", members()), 0.7), SPEC, r"d\.zip is damaged or cut short"),
    "tar.gz cut short": (lambda p: cut(as_tar(p / "d.tar.gz", members()), 0.7), SPEC, r"d\.tar\.gz is damaged or cut"),
    "text called zip": (
        lambda p: as_folder(p, [("d.zip", b"no zip")]) / "d.zip",
        SPEC,
        r"d\.zip is damaged or cut short",
    ),
    "domain empty": (
        lambda p: as_folder(p / "d", [(f"photo/{n}", f) for n, f in members()]),
        DOMAINS,
        "domain 'monet' has 0 images",
    ),
    "domains in an npz": (lambda p: as_npz(p / "d.npz"), DOMAINS, r"d\.npz holds no folders"),
    "object array": (
        lambda p: saved_npz(p, images=np.array([{}, {}], object)),
        SPEC,
        r"'images' in .*d\.npz holds Python objects, which are never read",
    ),
    "npz bomb": (npz_bomb, SPEC, r"'images' in .*d\.npz unfolds from [\d,]+ to 536,\d+,\d+ bytes; it is not read"),
    "npz cut short": (lambda p: cut(as_npz(p / "d.npz"), 0.5), OFFICIAL, r"d\.npz is damaged or cut short"),
    "NaN": (nan, SPEC, r"d\.npz:images\[17\] holds nan; float32 pixels must lie in 0 to 1"),
    "floats of 255": (
        lambda p: saved_npz(p, images=X.astype(np.float64), labels=Y),
        SPEC,
        r"holds [\d.]+; float64 pixels must lie in 0 to 1",
    ),
    "whole numbers beyond 255": (
        lambda p: saved_npz(p, images=X.astype(np.int64) + 1, labels=Y),
        SPEC,
        "holds 256; int64 pixels must lie in 0 to 255",
    ),
    "channels first": (
        lambda p: saved_npz(p, images=np.zeros((400, 3, 8, 8), np.uint8), labels=Y),
        SPEC,
        r"has shape \(400, 3, 8, 8\); images are \(N, height, width\)",
    ),
    "no images": (lambda p: saved_npz(p, a=Y), SPEC, r"d\.npz holds no images: a \(400,\)"),
    "labels of another number": (
        lambda p: saved_npz(p, images=X, labels=Y[:-1]),
        SPEC,
        r"'labels' in .* has shape \(399,\) for 400 images",
    ),
    "label -1": (
        lambda p: saved_npz(p, images=X, labels=Y - 1),
        SPEC,
        r"\[\d+\] has no class; mend or remove it",
    ),
    "float labels": (
        lambda p: saved_npz(p, images=X, labels=Y * 1.5),
        SPEC,
        r"\[1\] is label 1\.5; a class is one whole number or word",
    ),
    "no labels": (lambda p: saved_npz(p, images=X), SPEC, r"'images' in .*d\.npz has no labels \(labels"),
    "idx without labels": (
        lambda p: (changed(p, LABELS, bytes), (p / "d" / LABELS).unlink())[0],
        SPEC,
        r"train-images-idx3-ubyte\.gz has no labels beside it \(train-labels-idx1-ubyte\)",
    ),
    "idx cut short": (
        lambda p: changed(p, LABELS, lambda b: b[:-5]),
        SPEC,
        r"train-labels-idx1-ubyte is cut short: 300 rows are announced, 295 are there",
    ),
    "idx too long": (lambda p: changed(p, LABELS, lambda b: b + b"!"), SPEC, "goes on after its 300 rows"),
    "idx of another kind": (
        lambda p: changed(p, LABELS, lambda b: b"\0\0\x0d\1" + b[4:]),
        SPEC,
        "is no IDX file of bytes",
    ),
    "idx gz cut short": (lambda p: changed(p, IMAGES_GZ, lambda b: b[:-100]), SPEC, r"is damaged or cut short"),
    "idx labels of another number": (
        lambda p: changed(p, LABELS, lambda b: b[:4] + struct.pack(">I", 299) + b[8:-1]),
        SPEC,
        "holds 299 labels for 300 images; they must be as many",
    ),
    "npy with labels": (
        lambda p: (np.save(p / "d.npy", X), p / "d.npy")[1],
        SPEC,
        r"d\.npy is one array, without labels",
    ),
    "parquet cut short": (
        lambda p: (as_parquet(p / "d"), cut(next(p.rglob("train*.parquet")), 0.9), p / "d")[2],
        SPEC,
        r"parquet is damaged",
    ),
    "parquet without bytes": (
        lambda p: as_parquet(p / "d", files=[*PNGS[:7], None, *PNGS[8:]]),
        SPEC,  # type: ignore[list-item]
        r"\.parquet\[7\] is empty \(0 bytes\)",
    ),
    "parquet label -1": (
        lambda p: as_parquet(p / "d", labels=Y - 1),
        SPEC,
        r"\.parquet\[\d+\] has no class \(label: -1\)",
    ),
    "parquet label missing": (
        lambda p: as_parquet(p / "d", labels=[None, *Y[1:].tolist()]),
        SPEC,
        r"\.parquet\[0\] has no class \(label: None\)",
    ),
    "a class of few": (
        lambda p: as_folder(p / "d", [*members(), ("rare/1.png", PNGS[0]), ("rare/2.png", PNGS[1])]),
        replace(SPEC, min_per_class=3),
        r"class 'rare' has 2 images, and min_per_class is 3; bring more of it, take the class out, or lower it",
    ),
    "a class that cannot be read": (
        lambda p: as_folder(p / "d", [*members(), *((f"rare/{k}.png", b"x") for k in range(9))]),
        replace(SPEC, min_per_class=1, on_bad_image="skip"),
        r"no image of class 'rare' can be read, and min_per_class is 1; mend them, or lower it",
    ),
    "a class without images": (
        lambda p: saved_npz(p, images=X[Y != 3], labels=Y[Y != 3]),
        replace(SPEC, min_per_class=1),
        r"class '3' has 0 images, and min_per_class is 1; bring more",
    ),
    "a class of few in a domain": (
        lambda p: as_folder(p / "d", [*((f"photo/{n}", f) for n, f in members()), ("monet/2/1.png", PNGS[0])]),
        replace(DOMAINS, labels=True, min_per_class=1),
        r"class '0' in domain 'monet' has 0 images, and min_per_class is 1",
    ),
    "one domain all bad": (
        lambda p: as_folder(
            p / "d", [*((f"photo/{n}", f) for n, f in members()), *((f"monet/{n}", b"x") for n, _ in members()[:200])]
        ),
        replace(DOMAINS, on_bad_image="skip"),
        r"heldout 0\.4 in domain 'monet' of 0 samples leaves 0 to train on",
    ),
    "all bad": (
        lambda p: as_folder(p / "d", [(n, b"x") for n, _ in members()]),
        replace(SPEC, on_bad_image="skip"),
        r"400 of 400 images in .*/d cannot be used, the first is .*000\.png is no image",
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused_is_said_in_one_sentence(row: str, tmp_path: Path) -> None:
    make, spec, words = REFUSED[row]
    path = make(tmp_path)
    with pytest.raises(DataError, match=words) as error:
        prepare(spec, path, tmp_path / "out")
    assert len(str(error.value).splitlines()) == 1
    assert error.value.exit_code == 3
    assert not (tmp_path / "out").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_link_into_dvc_s_cache_is_as_good_as_a_file(tmp_path: Path) -> None:
    """What `dvc add` leaves where its cache links instead of copying."""
    path = as_folder(tmp_path / "d", members())
    for k, file in enumerate(sorted(path.rglob("*.png"))[:50]):
        cached = tmp_path / ".dvc/cache/files/md5" / f"{k:02x}" / f"{k:030x}"
        cached.parent.mkdir(parents=True)
        file.rename(cached)
        file.symlink_to(cached)
    assert prepare(SPEC, path, tmp_path / "out").index["found"]["packed"] == 400


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_mutated_image_is_one_or_is_bad(data: st.DataObject) -> None:
    """Never an exception of another kind, and always pixels of the declared shape."""
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"]))
    content = bytearray(saved(Image.fromarray(RAMP), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    made = chunk([bytes(content)], replace(SPEC, fit="crop"))
    assert len(made.pixels) + len(made.bad) == 1
    assert made.pixels.shape[1:] == (8, 8, 1)


@pytest.mark.parametrize("container", ["zip", "tar.gz", "npz", "parquet", "idx"])
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_container_is_read_or_refused(container: str, data: st.DataObject, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    path = CONTAINERS[container](folder)
    file = path if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())[0]
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content))
    try:
        made = prepare(replace(OFFICIAL, on_bad_image="skip"), path, folder / "out")
    except FoundryError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert made.raw("train").shape[1:] == (8, 8, 1)


def test_bad_images_are_an_exception_of_their_own() -> None:
    with pytest.raises(
        BadImage, match="holds numbers of 70000 to 70000, and I is taken to hold 0 to 65535; declare range"
    ):
        one(saved(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"))


MNIST = Path(os.environ.get("GAN_MNIST", "mnist"))


@pytest.mark.skipif(not MNIST.is_dir(), reason="no IDX files of MNIST in $GAN_MNIST or ./mnist")
def test_mnist_from_its_original_files(tmp_path: Path) -> None:
    """The counts that its authors give, the first labels that everyone knows, and ink on black."""
    data = prepare(replace(OFFICIAL, size=28), MNIST, tmp_path / "out")
    assert data.index["counts"] == {"train": 60_000, "heldout": 10_000}
    assert data.index["class_counts"]["heldout"] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.labels("train")[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.raw("train").float().mean() == pytest.approx(33.318, abs=0.001)
    assert (data.index["found"]["duplicates"], data.index["found"]["on_both_sides"]) == (0, 0)
