"""From pictures to a declaration: what is seen is declared, with its reason, and trains and ships as it is."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import Generator
from omegaconf import OmegaConf
from PIL import Image

from gan_core import __main__
from gan_core.config.load import load_params
from gan_core.core.build_game import build_game
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.schedule import Schedule
from gan_core.propose import append, declare, look, presets
from gan_core.runtime.errors import DataError, InputError
from stages import evaluate, export, prepare_images, train
from tests.conftest import DECLARED


def picture(rng: Generator, high: int, wide: int, channels: int) -> Image.Image:
    """A disc of some colour somewhere on a ground."""
    y, x = np.mgrid[0:high, 0:wide]
    at = rng.uniform(0.3, 0.7, 2)
    disc = ((y / high - at[0]) ** 2 + (x / wide - at[1]) ** 2 < 0.06)[..., None]
    pixels = np.where(disc, rng.integers(128, 256, channels), rng.integers(0, 100, channels)).astype(np.uint8)
    if channels == 4:
        pixels[..., 3] = 255 * disc[..., 0]
    return Image.fromarray(pixels if channels > 1 else pixels[..., 0])


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def logos(folder: Path, rng: Generator) -> None:
    for k in range(130):
        save(picture(rng, 18, 17, 4), folder / f"logo {k}.png")


def emoji(folder: Path, rng: Generator) -> None:
    rows = []
    for k in range(260):
        save(picture(rng, 16, 16, 3), folder / f"img/{k:04x}.png")
        save(picture(rng, 16, 16, 3), folder / f"img/{k:04x}-skin.png")
        rows.append({"image": f"{k:04x}.png", "short_name": f"name {k}", "category": ["Flags", "Food & Drink"][k % 2]})
    (folder / "emoji.json").write_text(json.dumps(rows))


def mnist(folder: Path, rng: Generator) -> None:
    folder.mkdir()
    for part, n in (("train", 200), ("t10k", 100)):
        x = rng.integers(0, 256, (n, 8, 8), np.uint8)
        y = np.arange(n, dtype=np.uint8) % 10
        images = struct.pack(">4I", 0x803, *x.shape) + x.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">2I", 0x801, n) + y.tobytes()))


def photographs(folder: Path, rng: Generator) -> None:
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["pth", "Label", "confidence"])
        for k in range(260):
            high, wide = rng.integers(34, 48, 2)
            save(picture(rng, high, wide, 3), folder / f"face{k:03}.jpg")
            rows.writerow([f"face{k:03}.jpg", ["Happy", "happy", "anger"][k % 3], 0.5 + k / 1000])


def few(folder: Path, rng: Generator) -> None:
    for k in range(20):
        save(picture(rng, 12, 12, 1), folder / f"{k}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")


KINDS: dict[str, tuple[Callable[[Path, Generator], None], dict[str, str]]] = {
    "logos": (
        logos,
        {
            "labels: false": "no folders, table or column name classes",
            "size: 16": "all pictures are 17x18; a size near it that the network can draw",
            "channels: 4": "130 of 130 have transparent pixels",
            "fit: pad": "nothing of a picture with transparency is cut off",
            "augment:": "69 pictures are few",
            "policy: [color, translation, cutout]": "DiffAugment",
            "flip: false": "logos often have letters",
        },
    ),
    "emoji": (
        emoji,
        {
            "labels: emoji.json": "of 130 of the 260 looked at; 260 images have no row in emoji.json and are left",
            "size: 16": "all pictures are 16x16",
            "channels: 3": "260 of 260 are in colour",
            "variant: cgan": "2 classes: each can be asked for",
            "flip: true": "as of photographs",
        },
    ),
    "mnist": (
        mnist,
        {
            "labels: true": "10 classes",
            "heldout: official": "the source says itself",
            "size: 8": "all pictures are 8x8",
            "family: mlp": "for sides below 16 pixels",
        },
    ),
    "photographs": (
        photographs,
        {
            "labels: labels.csv": "2 classes, named by labels.csv, of 86 to 174 of the 260 looked at",
            "spelling: folded": "'Happy' and 'happy' are one class",
            "fit: crop": "the middle of pictures of several shapes",
            "variant: projected_gan": "EfficientNet-Lite0",
            "conditional: true": "2 classes: each can be asked for",
        },
    ),
    "few": (
        few,
        {
            "heldout: 0.25": "of 20 pictures: 5 to measure with, which cannot show all",
            "channels: 1": "are grey",
            "on_bad_image: skip": "1 of 21 cannot be used: few/broken.png is",
            "batch_size: 8": "pictures to train on",
        },
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a declaration of nothing, made to be quick."""
    monkeypatch.chdir(tmp_path)
    params = OmegaConf.load(DECLARED)
    params.datasets = params.images = params.runs = {}
    params.extractor.min_steps = params.extractor.max_steps = 10
    params.evaluate.samples, params.evaluate.resamples, params.evaluate.features = 500, 20, "own"
    params.export.precisions = {"fp32": params.export.precisions.fp32}
    params.export.engines.flavour, params.export.engines.precisions = "none", ["fp32"]
    params.export.max_batch_size = 8
    OmegaConf.save(params, "params.yaml")
    return tmp_path


def new(pictures: str, name: str | None = None, shown: bool = False, preset: str | None = None) -> None:
    """The command."""
    __main__.new(
        argparse.Namespace(pictures=pictures, name=name, print=shown, params=Path("params.yaml"), preset=preset)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_declared_trains_and_ships(kind: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, reasons = KINDS[kind]
    make(project / kind, np.random.default_rng(0))
    new(kind)
    text = Path("params.yaml").read_text()
    for value, why in reasons.items():
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{value} #")]
        assert why in line
    assert capsys.readouterr().out.splitlines()[-2:] == [f"  gan forecast {kind}", f"  dvc repro export@{kind}"]
    steps = load_params().runs[kind].train.steps
    Path("params.yaml").write_text(text.replace(f"steps: {steps}", "steps: 2").replace("width: 32", "width: 4"))
    assert load_params().runs[kind].train.steps == 2
    prepare_images.main(kind)
    train.main(kind)
    evaluate.main(kind, kind)
    export.main(kind, kind)
    assert Path(f"exported/{kind}/manifest.json").is_file()


@pytest.mark.parametrize(
    ("preset", "million", "batch"), [("tiny", 0.15, 32), ("small", 5.65, 128), ("paper", 20.7, 512)]
)
def test_a_preset_of_r3gan_is_a_declaration(preset: str, million: float, batch: int, project: Path) -> None:
    for k in range(30):
        save(picture(np.random.default_rng(k), 32, 32, 3), project / f"discs/{k}.png")
    new("discs", preset=preset)
    run = load_params().runs["discs"]
    assert (run.variant, run.train.batch_size) == ("r3gan", batch)
    assert run.settings["gamma"] == Schedule(0.05, 0.005, presets.preset(preset)["images"], shape="cosine")
    with torch.device("meta"):
        spec = NetworkSpec("r3gan", run.network.width, run.network.latent, (3, 32, 32), 0, run.network.options, 8)
        game = build_game("r3gan", spec, run.settings)
    assert sum(w.numel() for w in game.generator.parameters()) == pytest.approx(million * 1e6, rel=0.05)


def test_gamma_between_the_papers_sizes_is_on_a_line_in_logarithms() -> None:
    assert [presets.gamma(side)[0] for side in (16, 32, 64, 256, 512)] == [0.05, 0.05, 2.0, 150.0, 150.0]
    assert presets.gamma(128)[0] == pytest.approx((2 * 150) ** 0.5, rel=0.03)


def test_a_gpu_and_many_pictures_are_given_r3gan_and_few_are_not(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(project / "photographs", np.random.default_rng(0))
    seen = look.look(Path("photographs"))
    assert declared(replace(seen, total=9_000)) == "r3gan"
    assert declared(seen) == "projected_gan"


def declared(seen: look.Seen) -> str:
    """The variant that a machine with a GPU is given."""
    return str(declare.run(seen, declare.images(seen, True), "x", True)["variant"].value)


def test_too_few_pictures_are_refused_with_the_least_number(project: Path) -> None:
    for k in range(19):
        save(picture(np.random.default_rng(k), 12, 12, 3), Path(f"nineteen/{k}.png"))
    before = Path("params.yaml").read_text()
    with pytest.raises(
        DataError, match="nineteen holds 19 pictures that can be read, and 20 are the least; bring more"
    ):
        new("nineteen")
    assert Path("params.yaml").read_text() == before


def test_a_name_that_is_taken_is_refused_and_printing_writes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few(Path("few"), np.random.default_rng(0))
    new("few")
    before = Path("params.yaml").read_text()
    with pytest.raises(InputError, match="has 'few' under images already; give another with --name"):
        new("few")
    capsys.readouterr()
    new("few", "others", shown=True)
    assert Path("params.yaml").read_text() == before
    added = OmegaConf.create(capsys.readouterr().out)
    assert list(added.images) == list(added.runs) == ["others"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("images: {}\nruns:\n", "images:\n  new: {}\nruns:\n"),
        ("images: {} # mine\nruns:\n", "images: # mine\n  new: {}\nruns:\n"),
        ("images:\n  a: 1 # one\n\n# of runs\nruns:\n", "images:\n  a: 1 # one\n  new: {}\n\n# of runs\nruns:\n"),
        ("images:\n  a:\n    b: 1\n  # of a\nruns:\n", "images:\n  a:\n    b: 1\n  # of a\n  new: {}\nruns:\n"),
        ("images:\n  a: 1", "images:\n  a: 1\n  new: {}\n"),
        ("images:\nruns:\n", "images:\n  new: {}\nruns:\n"),
        ("runs: {}\n", "runs: {}\n\nimages:\n  new: {}\n"),
    ],
)
def test_an_entry_is_added_as_text(before: str, after: str) -> None:
    assert append.added(before, "images", "  new: {}\n") == after


def test_a_section_in_braces_is_left_alone() -> None:
    with pytest.raises(InputError, match="images is written in braces"):
        append.added("images: {a: {b: 1}}\n", "images", "  new: {}\n")


def drawn(rng: Generator, side: int = 24) -> tuple[Image.Image, Image.Image]:
    """An outline of a shape, and the shape in colours."""
    y, x = np.mgrid[:side, :side] / side
    at, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3)
    distance = np.hypot(y - at[0], x - at[1])
    line = np.where(np.abs(distance - radius) < 1.2 / side, 0, 255).astype(np.uint8)
    filled = np.where((distance < radius)[..., None], rng.integers(0, 120, 3), rng.integers(140, 255, 3))
    return Image.fromarray(line).convert("RGB"), Image.fromarray(filled.astype(np.uint8))


def paired_folders(folder: Path, rng: Generator) -> None:
    for k in range(300):
        for part, image in zip(("drawing", "photo"), drawn(rng), strict=True):
            save(image, folder / ("test" if k % 5 == 0 else "train") / part / f"{k}.png")


def paired_halves(folder: Path, rng: Generator) -> None:
    for k in range(100):
        source, target = drawn(rng)
        save(Image.fromarray(np.concatenate([np.asarray(source), np.asarray(target)], 1)), folder / f"{k}.png")


def two_classes(folder: Path, rng: Generator) -> None:
    """Files of one name in two folders, which show different things."""
    for k in range(100):
        for name in ("cats", "dogs"):
            save(drawn(rng)[1], folder / name / f"{k:03}.png")


@pytest.mark.parametrize(
    ("make", "pairs", "heldout", "train"),
    [
        (paired_folders, {"source": "drawing", "target": "photo"}, "official", 240),
        (paired_halves, "left-right", 0.5, 50),
    ],
)
def test_pairs_are_told_by_what_they_show(
    project: Path, make: Callable[[Path, Generator], None], pairs: object, heldout: object, train: int
) -> None:
    """And the declaration that follows is right, prepares, and plays."""
    make(project / "pairs", np.random.default_rng(0))
    new("pairs")
    params = load_params(Path("params.yaml"))
    entry = OmegaConf.to_container(OmegaConf.load("params.yaml"))["images"]["pairs"]
    assert (entry["pairs"], entry["heldout"], entry["size"], entry["labels"]) == (pairs, heldout, 24, False)
    assert (params.runs["pairs"].variant, params.runs["pairs"].train.instance_noise) == ("pix2pix", 0)
    assert (
        f"for {train} pairs" in Path("params.yaml").read_text()
        or f"for {train:,} pictures" in Path("params.yaml").read_text()
    )
    prepare_images.main("pairs")


def scenes(folder: Path, rng: Generator) -> None:
    """Pictures twice as wide as high, each of one scene: its horizon goes through."""
    for k in range(60):
        y = np.arange(24)[:, None] + 4 * np.sin(np.arange(48) / 9 + rng.uniform(0, 6))
        save(Image.fromarray((y > rng.uniform(8, 16)).astype(np.uint8) * 200), folder / f"{k}.png")


def test_one_scene_is_no_pair_of_halves(project: Path) -> None:
    scenes(project / "views", np.random.default_rng(0))
    new("views")
    assert "pairs" not in OmegaConf.load("params.yaml").images.views


@pytest.mark.parametrize("packed", [True, False])
def test_a_table_beside_the_folder_of_pictures_names_classes(project: Path, packed: bool) -> None:
    """In an archive, and in the one folder that all lie in, as somebody zips a folder."""
    rng = np.random.default_rng(0)
    for k in range(60):
        save(picture(rng, 8, 8, 3), project / f"in/shapes/images/{k}.png")
    lines = ["file,label", *(f"images/{k}.png,{'ab'[k % 2]}" for k in range(60))]
    (project / "in/shapes/labels.csv").write_text("\n".join(lines))
    path = Path(shutil.make_archive(str(project / "in"), "zip", project / "in")) if packed else project / "in"
    found = look.look(path)
    assert (found.labels, dict(found.classes)) == ("labels.csv", {"a": 30, "b": 30})


def test_classes_of_pictures_twice_as_wide_as_high_stay_classes(project: Path) -> None:
    for k, name in enumerate(("a", "b")):
        paired_halves(project / "both" / name, np.random.default_rng(k))
    new("both")
    entry = OmegaConf.load("params.yaml").images.both
    assert ("pairs" in entry, entry.labels) == (False, True)


def test_pairs_with_a_partner_missing_are_declared_so_that_they_prepare(project: Path) -> None:
    paired_folders(project / "pairs", np.random.default_rng(0))
    next((project / "pairs/train/photo").iterdir()).unlink()
    new("pairs")
    assert OmegaConf.load("params.yaml").images.pairs.on_bad_image == "skip"
    prepare_images.main("pairs")


def test_files_of_one_name_that_show_different_things_are_classes(project: Path) -> None:
    two_classes(project / "animals", np.random.default_rng(0))
    new("animals")
    entry = OmegaConf.to_container(OmegaConf.load("params.yaml"))["images"]["animals"]
    assert "pairs" not in entry
    assert entry["labels"] is True
