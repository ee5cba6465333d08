"""The demo page in a real browser, on exports of every kind of input and output; its latents are those of Python."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_core.config.load import load_params
from gan_core.core import latents
from gan_core.core.artifact import Artifact
from gan_core.core.build_network import build_network
from gan_core.core.inputs import Input
from gan_core.core.lineage import IMPORTED
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.pixels import in_shades
from gan_core.export.card import card
from gan_core.export.manifest import FORMAT, endpoint_json
from gan_core.export.ship import AcceptanceReference, checksums, ship
from gan_core.report.gallery import between
from gan_core.runtime import files, npm
from gan_core.runtime.errors import DataError, EnvironmentFailure, InputError
from gan_core.serving import demo
from gan_core.serving.backends.base import Ports
from gan_core.serving.backends.triton import repository
from gan_core.serving.client import Generator
from gan_core.serving.demo import local, onnxruntime_web
from tests.conftest import DECLARED, ROOT

CLASSES = ["<b>cat</b>", "dog, wet", "it's"]
SIDES = (1280, 390)

IMAGES, FACES = NetworkSpec("mlp", 16, 5, (1, 8, 8)), NetworkSpec("mlp", 16, 5, (4, 8, 12), 3, bits=16)
POINTS, COLOURS = NetworkSpec("mlp", 16, 4, (2,)), NetworkSpec("resnet", 4, 0, (3, 8, 8))
LARGER = NetworkSpec("srresnet", 4, 0, (3, 16, 16), options={"blocks": 1}, scale=2)
CODES = (Input("u", "uniform", 6), Input("kind", "category", 3), Input("code", "uniform", 2))
RUNS: dict[str, dict[str, NetworkConfig]] = {
    "faces": {"generator": FACES.generator(FACES.prior(), FACES.label())},
    "shapes": {"generator": IMAGES.generator(*CODES)},
    "ring": {"generator": POINTS.generator(POINTS.prior())},
    "line": {"generator": replace(POINTS, shape=(1,)).generator(POINTS.prior())},
    "colours": {"a_to_b": COLOURS.translator("x", "x_b"), "b_to_a": COLOURS.translator("x_b", "x")},
    "larger": {"translator": LARGER.translator("x", "x_b")},
    "digits": {"decoder": IMAGES.generator(IMAGES.prior()), "encoder": IMAGES.encoder(IMAGES.prior())},
}
"""What is exported: images with alpha, of 16 bits, no squares, with named classes; codes; points; pictures to take."""


def network(config: NetworkConfig) -> torch.nn.Module:
    """One that nobody trained, but whose samples differ."""
    made = build_network(config)
    for name, weights in made.named_parameters():
        if name.endswith("weight"):
            weights.data *= 3
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a run, through the gate, in float32 and float16."""
    torch.manual_seed(0)
    root, declared = tmp_path_factory.mktemp("exported"), load_params(DECLARED).export
    loose = replace(declared.precisions["fp16"], max_abs=1, psnr=30, pixels_off=1, pixels_far=1)
    engines = replace(declared.engines, flavour="none")
    export = replace(declared, precisions={"fp32": declared.precisions["fp32"], "fp16": loose}, engines=engines)
    for run, roles in RUNS.items():
        real = {name: torch.rand(20, *next(iter(roles.values())).shape) * 2 - 1 for name in ("x", "x_b")}
        if run == "digits":
            real["x"] = torch.rand(20, 1, 8, 8) * 2 - 1
        if run == "larger":
            real["x"] = torch.rand(20, 3, 8, 8) * 2 - 1
        reference, entries, endpoints = AcceptanceReference({}, real, 100, 0), {}, []
        for role, config in roles.items():
            notes = {"variant": "gan", "steps": 1, "data": "none", "class_names": json.dumps(CLASSES)}
            if run == "ring":
                notes = {"data": "none", IMPORTED: {"file": "theirs.onnx", "sha256": "0" * 64}}
            trained = Artifact(network(config), config, notes, "none")
            entries[role], offered = ship(run, role, trained, root / run, export, reference, 1, repository.write)
            endpoints += map(endpoint_json, offered)
        manifest = {"format": FORMAT, "run": run, "dataset": "made", "metrics": {}, "roles": entries}
        manifest |= {"endpoints": endpoints}
        index = {"kind": "points" if run in ("ring", "line") else "image", "licence": "none"}
        files.write(root / run / "README.md", card(manifest, index).encode())
        files.write_json(root / run / "manifest.json", manifest | {"files": checksums(root / run)})
    return root


@pytest.fixture(scope="module")
def site(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, two folders below what is served."""
    try:
        onnxruntime_web.contents()
    except EnvironmentFailure as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("served") / "some/where"
    demo.write([exported / run for run in RUNS], folder)
    return folder


@pytest.fixture(scope="module")
def host(site: Path) -> Iterator[str]:
    """The page on a host that knows nothing of it: Python's own, in a sub-path."""
    port = Ports.free().http
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", site.parents[1]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(300):  # refused at once, until it listens
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail("http.server does not listen after 30 s")
        yield f"http://127.0.0.1:{port}/some/where/"
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is absent: pip install '.[test]'")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("Chromium is absent: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program)
        yield opened
        opened.close()


READ = """all => all.map(c => {
    const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(c, 0, 0);
    return [c.width, c.height, ...copy.getImageData(0, 0, c.width, c.height).data];
})"""
GO = """to => new Promise(done => {
    addEventListener('popstate', () => done(), { once: true });
    location.hash = to;
})"""


class Shown:
    """The page in a tab."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def settle(self) -> None:
        """Wait until what is asked for is shown."""
        self.page.wait_for_selector("#stage[aria-busy='false']")

    def go(self, state: str) -> None:
        """Follow a link to another state."""
        if self.page.url.partition("#")[2] != state:
            self.page.evaluate(GO, state)
        self.settle()

    def pixels(self, selector: str) -> np.ndarray:
        """What canvases hold, uint8 (N, H, W, 4)."""
        found = self.page.eval_on_selector_all(f"{selector} canvas", READ)
        return np.array([np.array(values, np.uint8).reshape(high, wide, 4) for wide, high, *values in found])

    def set(self, selector: str, value: str) -> None:
        """Move a slider."""
        self.page.eval_on_selector(
            selector, "(e, value) => { e.value = value; e.dispatchEvent(new Event('input')) }", value
        )
        self.settle()

    def choose(self, selector: str, value: str) -> None:
        self.page.select_option(selector, value)
        self.settle()


@contextmanager
def opened(browser: Any, host: str, state: str = "", wide: int = 1280) -> Iterator[Shown]:
    """The page with a state in its address; it says nothing in the console and asks no other host for anything."""
    page = browser.new_page(viewport={"width": wide, "height": 800})
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(host) else None)
    page.goto(f"{host}#{state}")
    shown = Shown(page)
    shown.settle()
    yield shown
    assert page.inner_text("#problem") == ""
    assert wrong == []
    page.close()


def rgba(pixels: np.ndarray) -> np.ndarray:
    """Pixels (N, H, W, C) as a canvas holds them."""
    shades = in_shades(pixels).astype(np.uint8)
    colours = shades[..., :3] if shades.shape[3] > 2 else shades.repeat(3, 3)
    alpha = shades[..., 3:] if shades.shape[3] == 4 else np.full_like(colours[..., :1], 255)
    return np.concatenate([colours, alpha], 3)


def off(here: np.ndarray, there: np.ndarray) -> float:
    """The share of numbers that differ; where a canvas is not opaque, it holds colours but roughly."""
    assert here.shape == there.shape
    seen = (there[..., 3:] == 255) | (np.arange(4) == 3)
    return float((here != there)[np.broadcast_to(seen, there.shape)].mean())


def in_node(program: str, *arguments: str) -> Any:
    """What a JavaScript module prints as JSON."""
    if not (node := shutil.which("node")):
        pytest.skip("node is absent: install Node.js")
    page = (ROOT / "gan_core/serving/demo/page").as_uri()
    command = [node, "--input-type=module", "--eval", program.replace("PAGE", page), "--", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


DRAW = """
import { drawn } from "PAGE/latents.js";
const [inputs, seeds, masses] = JSON.parse(process.argv[1]);
const hex = (rows) => Buffer.from(rows.buffer).toString("hex");
console.log(JSON.stringify(inputs.map((i) => masses.map((mass) => hex(drawn(i, seeds.map(BigInt), mass))))));
"""


def test_a_seed_gives_the_same_bits_in_javascript(rng: np.random.Generator) -> None:
    seeds = [0, 1, 7, -1, 2**63 - 1, -(2**63), *rng.integers(-(2**63), 2**63 - 1, 300).tolist()]
    inputs = [
        {"name": name, "prior": prior, "size": size, "shape": ["batch", size]}
        for name, prior, size in [
            ("z", "normal", 33),
            ("größe", "normal", 1),
            ("u", "uniform", 4),
            ("c", "category", 10),
            ("c2", "category", 2**31),
        ]
    ]
    masses = [1, 0.95, 0.3, 1e-6]
    there = in_node(DRAW, json.dumps([inputs, list(map(str, seeds)), masses]))
    for i, found in zip(inputs, there, strict=True):
        for mass, digits in zip(masses, found, strict=True):
            normal = i["prior"] == "normal"
            rows = latents.draw([i], seeds, central_mass=mass if normal else None)[str(i["name"])]
            assert bytes.fromhex(digits) == rows.tobytes(), (i["name"], mass)


QUANTILE = """
import { quantile } from "PAGE/latents.js";
console.log(JSON.stringify(JSON.parse(process.argv[1]).map(quantile)));
"""


def test_the_far_tails_are_the_same_too() -> None:
    """No seed that is tried gets there: one number of 10^11 does."""
    q = np.concatenate(
        [np.linspace(-0.4999, 0.4999, 999), 0.5 - 2.0 ** -np.arange(2, 54), 2.0 ** -np.arange(2, 54) - 0.5]
    )
    assert (np.array(in_node(QUANTILE, json.dumps(q.tolist()))) == latents.quantile(q)).all()


WALK = """
import { between } from "PAGE/walks.js";
const [prior, a, b] = JSON.parse(process.argv[1]);
const walk = [0, 0.25, 0.5, 0.75, 1].map((t) => between(prior, Float32Array.from(a), Float32Array.from(b), t));
console.log(JSON.stringify(walk.map((row) => [...row])));
"""


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_a_walk_is_that_of_the_report_and_ends_in_its_seeds(prior: str, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 16)).astype(np.float32)
    walk = np.array(in_node(WALK, json.dumps([prior, a.tolist(), b.tolist()])), np.float32)
    assert walk == pytest.approx(between(prior, a[None], b[None], 5)[0], abs=1e-6)
    assert (walk[0] == a).all()
    assert (walk[-1] == b).all()


VIEWS = [
    *(f"run={run}" for run in ("faces", "shapes", "ring", "line")),
    *(f"run={run}&mode={mode}" for run in ("shapes", "ring", "line") for mode in ("interpolation", "traversal")),
    "run=faces&precision=fp16",
    "run=shapes&given.kind=turn&given.code=0.5,-1",
    *(f"run=colours&role={role}" for role in ("a_to_b", "b_to_a")),
    "run=larger",
    *(f"run=digits&role={role}" for role in ("decoder", "encoder")),
]  # fmt: skip


UNNAMED = """all => all.filter(e => !(e.labels?.length || e.ariaLabel || e.innerText.trim()
    || e.querySelector('[aria-label]'))).map(e => e.outerHTML)"""


@pytest.mark.parametrize("wide", SIDES)
def test_every_view_is_shown_and_fits(wide: int, browser: Any, host: str) -> None:
    """With golden outputs, a name for every control, and nothing wider than the screen."""
    with opened(browser, host, VIEWS[0], wide) as shown:
        for state in VIEWS:
            shown.go(state)
            said = shown.page.wait_for_selector("#golden.good, #golden.bad")
            assert said.get_attribute("class") == "good", (state, said.inner_text())
            assert "computed in this browser" in shown.page.inner_text("#timing")
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= wide, state
            assert not re.search("undefined|NaN", shown.page.inner_text("body")), state
            assert shown.page.eval_on_selector_all("button, select, input, [role=img]", UNNAMED) == [], state


def test_samples_are_those_of_python(browser: Any, host: str, exported: Path) -> None:
    """By seed, central mass, label, category and code, in both precisions."""
    faces, shapes = Generator.open(exported / "faces"), Generator.open(exported / "shapes")
    with opened(browser, host, "run=faces&seed=-5&n=9") as shown:
        drawn = faces.draw(range(-5, 4), y=np.arange(9) % 3)
        assert off(shown.pixels(".grid"), rgba(drawn)) <= 0.001
        shown.set("#mass", "0.5")
        drawn = faces.draw(range(-5, 4), central_mass=0.5, y=np.arange(9) % 3)
        assert off(shown.pixels(".grid"), rgba(drawn)) <= 0.001
        shown.choose("#precision", "fp16")
        half = Generator.open(exported / "faces", file="generator.fp16.uint16.onnx")
        drawn = half.draw(range(-5, 4), central_mass=0.5, y=np.arange(9) % 3)
        assert off(shown.pixels(".grid"), rgba(drawn)) <= 0.25
    with opened(browser, host, f"run=shapes&seed={2**63 - 1}&n=1") as shown:
        assert off(shown.pixels(".grid"), rgba(shapes.draw([2**63 - 1]))) <= 0.001
        shown.choose("#given-kind", "2")
        shown.set("#code-code-1", "-0.5")
        drawn = shapes.draw([2**63 - 1], kind=2, code=[0, -0.5])
        assert off(shown.pixels(".grid"), rgba(drawn)) <= 0.001
        assert "given.code=0%2C-0.5" in shown.page.url


def test_a_label_is_asked_for_by_its_name(browser: Any, host: str, exported: Path) -> None:
    """Whatever it is called: names are text, in the page and in its address."""
    faces = Generator.open(exported / "faces")
    with opened(browser, host, "run=faces&seed=7&n=4") as shown:
        assert shown.page.inner_text("#given-y").split("\n")[1:] == CLASSES
        for name in CLASSES:
            shown.choose("#given-y", name)
            assert off(shown.pixels(".grid"), rgba(faces.draw(range(7, 11), y=name))) <= 0.001
        link = shown.page.url
    with opened(browser, host, link.partition("#")[2]) as shown:
        assert shown.page.input_value("#given-y") == "it's"
        assert "--given 'y=it'\\''s'" in shown.page.inner_text("#command")


def test_the_command_draws_what_is_shown(browser: Any, host: str, exported: Path, tmp_path: Path) -> None:
    with opened(browser, host, "run=faces&seed=3&given.y=dog%2C wet&mass=0.7&n=4") as shown:
        pixels, command = shown.pixels(".grid"), shown.page.inner_text("#command").replace("\n", " ")
        shown.choose("#precision", "fp16")
        assert "--file generator.fp16.uint16.onnx" in shown.page.inner_text("#command").replace("\n", " ")
    command = command.replace("gan sample exported/", f"{sys.executable} -m gan_core sample {exported}/")
    done = subprocess.run(f"{command} --out {tmp_path}/a.npy", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert off(pixels, rgba(np.load(tmp_path / "a.npy"))) <= 0.001


def test_a_walk_passes_both_seeds_and_a_traversal_begins_at_its_own(browser: Any, host: str, exported: Path) -> None:
    shapes, ring = Generator.open(exported / "shapes"), Generator.open(exported / "ring")
    with opened(browser, host, "run=shapes&mode=interpolation&seed=4&to=9") as shown:
        ends = shown.pixels(".strip")[[0, -1]]
        assert off(ends, rgba(shapes.draw([4, 9]))) <= 0.001
        assert "u goes straight (linear interpolation)" in shown.page.inner_text(".way .note")
        shown.page.click(".strip button >> nth=-1")
        shown.settle()
        assert off(shown.pixels(".one"), rgba(shapes.draw([9]))) <= 0.001
    with opened(browser, host, "run=ring&mode=traversal&seed=4&place=2") as shown:
        said = shown.page.get_attribute(".cloud", "aria-label")
        at = [float(number.replace("−", "-")) for number in re.findall(r"[−\d.]+", said.partition("now at")[2])]
        assert at == pytest.approx(ring.draw([4])[0], abs=0.006)


def test_the_keyboard_and_the_address_lead_to_a_seed(browser: Any, host: str) -> None:
    with opened(browser, host, "run=ring&n=64") as shown:
        page = shown.page
        page.focus("#seed")
        page.keyboard.press("Control+A")
        page.keyboard.type("12")
        page.keyboard.press("Tab")
        shown.settle()
        assert "seed=12" in page.url
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.input_value("#seed") == str(12 + 64)
        page.fill("#seed", "x")
        page.keyboard.press("Tab")
        assert page.eval_on_selector("#seed", "e => e.validationMessage").startswith("A whole number")
        assert "seed=76" in page.url
        page.keyboard.press("Shift+Tab")
    with opened(browser, host, "run=shapes&n=4&seed=1") as shown:
        shown.page.click(".cell >> nth=2")
        shown.settle()
        assert len(shown.pixels(".grid")) == 1
        assert shown.page.input_value("#seed") == "3"
        shown.page.go_back()
        shown.page.wait_for_selector(".cell >> nth=3")


def test_a_picture_is_cropped_resized_and_translated(browser: Any, host: str, exported: Path) -> None:
    """What the graph gets is what the page shows it gets."""
    high = np.zeros((40, 20, 3), np.uint8)
    high[10:30] = [200, 30, 60]  # its middle, all of one colour
    buffer = io.BytesIO()
    Image.fromarray(high).save(buffer, "PNG")
    with opened(browser, host, "run=colours") as shown:
        before = shown.pixels(".panels")
        given = {"name": "<i>a.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        shown.page.set_input_files("#file", given)
        shown.page.wait_for_selector("figcaption:has-text('<i>a.png, cropped in its middle')")
        shown.settle()
        into, out, back = after = shown.pixels(".panels")
        assert (into[..., :3] == [200, 30, 60]).all()
        assert (before != after).any(axis=(1, 2, 3)).all()
        x = into[None, ..., :3].transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
        there = Generator.open(exported / "colours", "a_to_b").run(x=x)
        assert off(out[None], rgba(there)) <= 0.001
        x = there.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
        assert off(back[None], rgba(Generator.open(exported / "colours", "b_to_a").run(x=x))) <= 0.01
        shown.page.set_input_files("#file", {**given, "name": "a.txt", "buffer": b"a"})
        shown.page.wait_for_selector("#problem:has-text('a.txt is no picture that this browser can read')")
        shown.page.click("[aria-label='held-out sample 0']")
        shown.settle()
        assert (shown.pixels(".panels") == before).all()


def test_a_bad_export_or_place_is_one_sentence(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_web, "contents", lambda: {"a.mjs": b"a"})
    with pytest.raises(DataError, match=r"manifest\.json does not exist; `dvc repro` makes it"):
        demo.write([tmp_path], tmp_path / "out")
    with pytest.raises(InputError, match="two folders are of a run 'ring'"):
        demo.write([exported / "ring", exported / "ring"], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    with pytest.raises(InputError, match="mine is there and no folder of `gan demo`"):
        demo.write([exported / "ring"], tmp_path / "mine")
    demo.write([exported / "ring"], tmp_path / "out")
    shutil.copytree(exported / "ring", tmp_path / "ring")
    (tmp_path / "ring/generator.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"generator\.onnx is corrupt"):
        demo.write([tmp_path / "ring"], tmp_path / "out")
    assert (tmp_path / "out/onnxruntime-web/a.js").read_bytes() == b"a", "the last good one stays"
    manifest = files.read_json(exported / "ring/manifest.json")
    manifest["roles"]["generator"]["golden_outputs"] = "../faces/README.md"
    files.write_json(tmp_path / "ring/manifest.json", manifest)
    shutil.copy2(exported / "ring/generator.onnx", tmp_path / "ring")
    with pytest.raises(DataError, match="names a file outside its folder"):
        demo.write([tmp_path / "ring"], tmp_path / "out")


def test_the_documented_command_writes_a_page(exported: Path, site: Path, tmp_path: Path) -> None:
    """docs/demo.md, with other runs under the names that it has."""
    (line,) = re.findall(r"^gan (demo .*--out \S+)", (ROOT / "docs/demo.md").read_text(), re.M)
    for name, run in zip(re.findall(r"exported/(\w+)", line), RUNS, strict=False):
        (tmp_path / "exported").mkdir(exist_ok=True)
        (tmp_path / "exported" / name).symlink_to(exported / run)
    command = [sys.executable, "-m", "gan_core", *line.split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert re.fullmatch(r"wrote site: \d+\.\d MB of static files; .*\n", done.stdout), done.stderr
    listed = files.read_json(tmp_path / "site/demo.json")["runs"]
    assert listed == [{"run": run, "folder": f"runs/{k}"} for k, run in enumerate(list(RUNS)[:2])]
    assert (tmp_path / "site/page.js").read_bytes() == (site / "page.js").read_bytes()


def test_what_computes_is_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(onnxruntime_web.SHA256)
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as tar:
        for name in names:
            (entry := tarfile.TarInfo(f"package/dist/{name}")).size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    fetched: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnxruntime_web, "SHA256", {name: files.digest(name.encode()) for name in names})
    with monkeypatch.context() as patch:
        patch.setattr(npm, "package", lambda *asked: fetched.append(asked[0]) or buffer.getvalue())
        for _ in range(2):
            assert onnxruntime_web.contents() == {name: name.encode() for name in names}
        assert fetched == ["onnxruntime-web"]
        (onnxruntime_web.cache() / names[0]).write_bytes(b"other")
        assert onnxruntime_web.contents()[names[0]] == names[0].encode()
        assert len(fetched) == 2
    shutil.rmtree(onnxruntime_web.cache())
    package = tmp_path / "onnxruntime-web/-/onnxruntime-web-1.30.0.tgz"
    files.write(package, buffer.getvalue())
    monkeypatch.setenv("npm_config_registry", tmp_path.as_uri())
    with pytest.raises(EnvironmentFailure, match=r"is sha512-.*, not sha512-q0y.*; nothing of it is used"):
        onnxruntime_web.contents()
    package.unlink()
    with pytest.raises(EnvironmentFailure, match=r"cannot be fetched .*; connect this machine once"):
        onnxruntime_web.contents()


def test_the_local_server_shows_the_page_and_stops(exported: Path, site: Path) -> None:
    command = [sys.executable, "-m", "gan_core", "demo", exported / "ring", "--port", "0", "--no-browser"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        kinds = {"": "text/html", "page.js": "text/javascript", "demo.json": "application/json"}
        kinds |= {"onnxruntime-web/ort-wasm-simd-threaded.wasm": "application/wasm"}
        for name, kind in kinds.items():
            with urllib.request.urlopen(url + name) as answer:
                assert answer.headers["Content-Type"].startswith(kind)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    with local.server(site, 0) as server, pytest.raises(EnvironmentFailure, match="is in use; name another one"):
        Thread(target=server.handle_request, daemon=True).start()
        local.server(site, server.server_port)
