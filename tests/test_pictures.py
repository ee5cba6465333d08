"""Pictures that are no squares of 8 bits: other shapes, alpha, 16 bits, ranges, formats, profiles."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import onnx
import pytest
import torch
from PIL import Image, ImageCms

from gan_core.config.schema import Images
from gan_core.core.network_config import NetworkConfig
from gan_core.core.network_spec import NetworkSpec
from gan_core.core.pixels import in_shades, to_pixels
from gan_core.core.samples import opaque
from gan_core.core.sides import fit, nearest
from gan_core.data.packed import to_model
from gan_core.data.prepare_images import prepare_images
from gan_core.data.prepared import Prepared
from gan_core.data.readers.images import chunk
from gan_core.metrics.similarity import ms_ssim
from gan_core.networks.efficientnet_lite0 import as_input
from gan_core.report.pictures import picture, webp
from gan_core.runtime.errors import DataError, InputError

SPEC = Images("?", False, 0.4, 8, 3, "exact", 0, "error", None)
GREY, ALPHA = replace(SPEC, channels=1), replace(SPEC, channels=4)
RED = np.zeros((8, 8, 3), np.uint8) + np.array([200, 30, 30], np.uint8)
RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
DEEP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000 + 7
"""Whose numbers are no multiples of 257, and fill 16 bits."""
SIGNED = DEEP.astype(np.int16)


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **how: object) -> bytes:
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **how)
    return stream.getvalue()


def one(content: bytes | np.ndarray, spec: Images) -> np.ndarray:
    """What one image becomes."""
    made = chunk([content], spec)
    assert not made.bad, made.bad
    assert made.pixels.shape[1:] == spec.shape
    return made.pixels[0]


def prepare(path: Path, spec: Images) -> Prepared:
    prepare_images(replace(spec, path=str(path)), path.parent / "out")
    return Prepared(path.parent / "out")


# Shapes, alpha.


def test_a_rectangle_is_packed_as_it_is_declared() -> None:
    wide = np.hstack([RED * 0, RED, RED, RED * 0])
    spec = replace(SPEC, size=[8, 16], fit="crop")
    assert (one(saved(wide), spec) == RED[0, 0]).all()
    padded = one(saved(RED), replace(spec, fit="pad", background=9))
    assert (padded[:, 4:12] == RED[0, 0]).all()
    assert (padded[:, [0, -1]] == 9).all()
    with pytest.raises(AssertionError, match="has 16x8 pixels, not the declared 8x16"):
        one(saved(np.hstack([RED, RED])), replace(spec, size=[16, 8], fit="exact"))


def test_alpha_is_kept_and_what_has_none_is_opaque() -> None:
    seen = np.dstack([RED, RAMP])
    made = one(saved(seen), ALPHA)
    assert (made[..., 3] == RAMP).all()
    assert (made[RAMP > 0] == seen[RAMP > 0]).all()
    assert (made[RAMP == 0] == 0).all(), "what cannot be seen is one thing"
    assert (one(saved(RED), ALPHA) == np.dstack([RED, np.full((8, 8), 255)])).all()
    grey = one(saved(Image.new("LA", (8, 8), (90, 51))), ALPHA)
    assert (grey == [90, 90, 90, 51]).all()
    padded = one(saved(RED[:, :4]), replace(ALPHA, fit="pad", background=255))
    assert (padded[:, 0] == 0).all()
    assert (padded[:, 4] == [*RED[0, 0], 255]).all()


def test_colours_that_cannot_be_seen_do_not_bleed_into_those_that_can() -> None:
    left = np.zeros((16, 16, 4), np.uint8)
    left[:, :8] = [200, 30, 30, 255]
    left[:, 8:] = [0, 255, 0, 0]
    made = one(saved(left), replace(ALPHA, fit="crop"))
    assert np.abs(made[made[..., 3] > 16][:, :3].astype(int) - [200, 30, 30]).max() <= 6


# 16 bits and ranges.

RANGES = [
    ("grey of 16 bits", saved(DEEP), {"bits": 16}, DEEP),
    ("8 bits in 16", saved(RAMP), {"bits": 16}, RAMP.astype(int) * 257),
    ("an array", DEEP, {"bits": 16}, DEEP),
    ("12 bits, declared", saved(DEEP // 16), {"range": [0, 4095]}, np.rint(DEEP // 16 / 4095 * 255)),
    ("12 bits, declared, 16", saved(DEEP // 16), {"range": [0, 4095], "bits": 16}, np.rint(DEEP // 16 / 4095 * 65535)),
    ("clipped", saved(DEEP), {"range": [20007, 40007]}, np.rint(((DEEP - 20007.0) / 20000).clip(0, 1) * 255)),
    ("signed", SIGNED, {"range": [-1000, 1000]}, np.rint((SIGNED.clip(-1000, 1000) + 1000.0) / 2000 * 255)),
    ("floats, declared", DEEP / 1e3, {"range": [0, 64], "bits": 16}, np.rint(DEEP / 1e3 / 64 * 65535)),
    ("float TIFF", saved(Image.fromarray(DEEP / np.float32(65535)), "TIFF"), {"bits": 16}, DEEP),
    ("full", (DEEP // 2).astype(np.int16), {"range": "full", "bits": 16}, DEEP // 2 + 32768.0),
]  # fmt: skip


@pytest.mark.parametrize(("content", "changes", "expected"), [r[1:] for r in RANGES], ids=[r[0] for r in RANGES])
def test_numbers_of_a_range_are_what_they_should_be(content, changes, expected) -> None:
    made = one(content, replace(GREY, **changes))
    assert made.dtype == (np.uint16 if "bits" in changes else np.uint8)
    assert np.abs(made[..., 0].astype(int) - expected).max() <= (0 if "full" not in changes.values() else 1)


def test_resizing_in_16_bits_keeps_what_8_bits_lose() -> None:
    """A faint ramp: within 8 of 65,535 of its own values after halving, where 8 bits would be 128 off."""
    high, wide = np.mgrid[0:32, 0:32]
    faint = (30000 + 40 * wide + 7 * high).astype(np.uint16)
    made = one(saved(faint), replace(GREY, size=16, fit="crop", bits=16))[..., 0]
    assert np.abs(made[2:-2, 2:-2] - faint.reshape(16, 2, 16, 2).mean((1, 3))[2:-2, 2:-2]).max() <= 8


def test_alpha_of_16_bits_has_no_range() -> None:
    pixels = np.dstack([DEEP // 16, DEEP // 16, DEEP // 16, DEEP])
    made = one(pixels, replace(ALPHA, bits=16, range=[0, 4095]))
    assert (made[..., 3] == DEEP).all()
    assert np.abs(made[..., 0] - np.rint(DEEP // 16 / 4095 * 65535)).max() <= 1


def ct(tmp_path: Path, high: float = 1200.0) -> Path:
    """150 pictures of -1000 to ``high``, each of another noise."""
    x = np.random.default_rng(0).uniform(-1000, high, (150, 12, 8)).astype(np.float32)
    x[0, 0, :2] = -1000, high
    np.save(tmp_path / "ct.npy", x)
    return tmp_path / "ct.npy"


@pytest.mark.parametrize("bits", [8, 16])
def test_a_range_is_measured_over_the_whole_set_and_written_down(tmp_path: Path, bits: int) -> None:
    data = prepare(ct(tmp_path), replace(GREY, size=[12, 16], fit="pad", background=51, bits=bits, range="measured"))
    assert data.index["range"] == [-1000, 1200]
    assert (data.bits, data.shape) == (bits, (1, 12, 16))
    most = 2**bits - 1
    raw = torch.cat([data.raw("train"), data.raw("heldout")]).numpy().astype(int)
    assert (raw.min(), raw.max()) == (0, most)
    assert (raw[:, :, [0, -1]] == round(51 / 255 * most)).all(), "what is padded is the background"
    source = np.rint((np.load(tmp_path / "ct.npy").astype(np.float64) + 1000) / 2200 * most)
    assert {x.tobytes() for x in raw[:, :, 4:12, 0]} == {x.tobytes() for x in source.astype(int)}


def test_a_set_that_fills_a_tenth_of_its_type_stops_and_says_what_to_declare(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(150):
        Path(tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / f"d/{k}.png").write_bytes(saved(rng.integers(0, 4096, (8, 8), np.uint16)))
    words = r"of \d+ to 409\d, less than a tenth of the 0 to 65535 .* range: \[\d+, 409\d\].*: measured.*: full"
    with pytest.raises(DataError, match=words):
        prepare(tmp_path / "d", GREY)
    assert prepare(tmp_path / "d", replace(GREY, range=[0, 4095])).index["found"]["near_blank"] == 0
    assert prepare(tmp_path / "d", replace(GREY, range="full")).raw("train").max() <= 16


# Formats, profiles, what is broken.

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAPEAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j"
    "bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAACAAAAABAAAAIAAAAAH////gAAAAAv///+AAAAACAAAAEHBp"
    "eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAPltZGF0AAAA7SgBrwY4Wve238kgf//1Ox6H9Jf5Ty/bvRkf1JMf"
    "/9PTWY/z491n/2YS//zJvjIL/VE7//s1BWN3ZWapP8MLT493OmpWzlc964+0poarqkwDqlk/sT2kT7xGTUtUFKJMAnKhSRxLx47B"
    "ItBPhexTAsxqSACLPs+P113SGAxH/93sPkX2qptj/pI9GTXbxEdiMNJHQlSY5Zw8MNlx/f92n/cBDDURPCgV/w9Q7ZG/+7iQsTXj"
    "9idLw4zQR5gAu1Jg5oGPFrNK3EgXbHrEl6hG9xJk0oD7GRWifpy3hV+AXlHz88+En/mX4f/jN9O1gA=="
)
"""32x32 pixels: red and blue over green and white."""


@pytest.mark.parametrize("kind", ["HEIC", "AVIF", "JPEG2000", "TGA", "WEBP", "BMP", "PPM", "TIFF"])
def test_content_decides_what_is_read(kind: str) -> None:
    colours = np.array([[[200, 30, 30], [30, 30, 200]], [[30, 200, 30], [230, 230, 230]]], np.uint8)
    content = HEIC if kind == "HEIC" else saved(np.kron(colours, np.ones((16, 16, 1), np.uint8)), kind)
    made = one(content, replace(SPEC, size=32))
    assert np.abs(made[4::24, 4::24].astype(int) - colours).max() <= 6


def part(name: bytes, content: bytes, crc: int | None = None) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc or zlib.crc32(name + content))


def with_part(chunk_: bytes) -> bytes:
    """A PNG with one more chunk, behind its head."""
    content = saved(RED)
    return content[:33] + chunk_ + content[33:]


def broken_at(name: bytes) -> bytes:
    """A PNG with a wrong checksum in a chunk."""
    content = saved(RED)
    start = content.index(name)
    end = start + 4 + int.from_bytes(content[start - 4 : start], "big")
    return content[:end] + b"abcd" + content[end + 4 :]


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
@pytest.mark.parametrize("size", [3_000_000, 40_000_000])
def test_a_png_is_read_whatever_its_notes_unfold_to(name: bytes, size: int) -> None:
    made = chunk([with_part(part(name, b"k\0\0" + zlib.compress(b"a" * size)))], SPEC)
    assert (made.pixels == RED).all()
    assert made.noticed.notes["broken_profile"] == (name == b"iCCP")


def test_a_wrong_checksum_is_said_where_pixels_depend_on_it() -> None:
    assert (one(with_part(part(b"tEXt", b"k\0v", 1)), SPEC) == RED).all()
    for name in (b"IHDR", b"IDAT"):
        assert chunk([broken_at(name)], SPEC).bad == {0: f"is damaged (a wrong checksum in its chunk {name.decode()})"}


def test_photographs_of_many_megapixels_are_decoded_at_a_part_of_their_size() -> None:
    photo = saved(Image.new("RGB", (12_000, 9_000), (9, 99, 200)), "JPEG")
    made = chunk([photo], replace(SPEC, size=64, fit="crop"))
    assert made.sizes == {(12_000, 9_000): 1}
    assert np.abs(made.pixels.astype(int) - [9, 99, 200]).max() <= 2
    huge = photo.replace(struct.pack(">2H", 9_000, 12_000), struct.pack(">2H", 60_000, 60_000))
    assert "too many pixels" in chunk([huge], SPEC).bad[0]


def profile(swapped: bool) -> bytes:
    """That of sRGB; ``swapped``: with red for green and green for red."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if swapped:
        for a, b in ((b"rXYZ", b"?XYZ"), (b"gXYZ", b"rXYZ"), (b"?XYZ", b"gXYZ")):
            content = content.replace(a, b, 1)
    return content


def test_colours_of_another_profile_become_those_of_srgb() -> None:
    other, same = (saved(RED, icc_profile=profile(swapped)) for swapped in (True, False))
    seen = np.dstack([RED, RAMP | 3])
    alpha = saved(seen, icc_profile=profile(True))
    broken = saved(RED, icc_profile=b"no profile")
    made = chunk([other, same, broken], SPEC)
    assert np.abs(made.pixels.astype(int) - [RED[..., [1, 0, 2]], RED, RED]).max() <= 3
    assert made.noticed.notes == {"converted": 1, "broken_profile": 1}
    assert np.abs(one(alpha, ALPHA).astype(int) - seen[..., [1, 0, 2, 3]]).max() <= 3


# Which shapes can be drawn.


@pytest.mark.parametrize("family", ["dcgan", "resnet_gan", "resnet"])
def test_what_is_said_to_fit_can_be_built_and_all_else_is_refused(family: str) -> None:
    """The rule without torch says what the networks do."""
    from gan_core.config.papers import sides
    from gan_core.core.build_network import build_network

    rule = sides(family)
    for high, wide in [(8, 8), (12, 20), (24, 40), (28, 28), (10, 10), (100, 100), (9, 16), (6, 6), (20, 36)]:
        spec = NetworkSpec(family, 2, 3, (4, high, wide))
        config = spec.translator("x", "x_b") if family == "resnet" else spec.generator(spec.prior())
        if fit(rule, (high, wide)):
            drawn = build_network(config).eval()(torch.zeros(2, *config.inputs[0].shape))
            assert drawn.shape == (2, 4, high, wide)
            build_network(spec.discriminator())
        else:
            assert fit(rule, nearest(rule, (high, wide)))
            with pytest.raises(InputError, match=rf"'{family}' cannot draw {high}x{wide} pixels: .* declare size: "):
                build_network(config)


def test_check_says_which_shapes_a_family_cannot_draw(tmp_path: Path) -> None:
    from tests.test_config import GOOD, mistakes

    entry = "{path: x, labels: false, heldout: 0.2, size: [100, 60], channels: 4, fit: crop, background: 0, "
    entry += "on_bad_image: skip}"
    network = "{family: dcgan, width: 8, latent: 4}"
    text = GOOD.replace("images: {}", f"images:\n  d: {entry}", 1)
    text = text.replace("runs:\n", dedent(f"""\
        runs:
          mine: {{variant: gan, dataset: d, network: {network}}}
        """), 1)  # fmt: skip
    assert "runs.mine.network.family is 'dcgan', which cannot draw 100x60 pixels: " in mistakes(tmp_path, text)


# What follows from channels and bits.


def test_16_bits_go_to_the_model_and_back() -> None:
    every = torch.from_numpy(np.arange(65536, dtype=np.uint16).reshape(1, 256, 256, 1))
    x = to_model(every)
    assert (x.min(), x.max()) == (-1, 1)
    assert (to_pixels(x.numpy(), 16) == every.numpy()).all()
    assert (in_shades(to_pixels(x.numpy(), 16)) == in_shades(np.rint(every.numpy() / 257).astype(np.uint8))).all()


def test_8_bits_go_without_saying() -> None:
    """So what was trained before bits could be declared keeps its bytes."""
    spec = NetworkSpec("mlp", 4, 2, (1, 8, 8))
    assert "bits" not in spec.generator(spec.prior()).to_json()
    config = replace(spec, bits=16).generator(spec.prior())
    assert NetworkConfig.from_json(config.to_json()) == config
    assert config.to_json()["bits"] == 16


def test_who_knows_no_alpha_sees_pictures_on_mid_grey() -> None:
    x = torch.rand(3, 4, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x[1, 3], x[2, 3] = 1, -1
    assert torch.equal(opaque(x)[1], x[1, :3])
    assert (opaque(x)[2] == 0).all()
    assert torch.equal(as_input(x), as_input(opaque(x)))
    hidden = x.clone()
    hidden[2, :3] = 1
    assert ms_ssim(x, hidden).tolist() == pytest.approx([1, 1, 1])


def test_sheets_keep_alpha_and_16_bits_of_grey() -> None:
    seen = np.dstack([RED, RAMP])[None]
    with Image.open(io.BytesIO(picture(seen))) as sheet:
        assert sheet.mode == "RGBA"
        side = sheet.width // 8
        assert (np.asarray(sheet)[::side, ::side] == seen[0]).all()
    clear = np.dstack([RED, RAMP * 0])[None]
    with Image.open(io.BytesIO(webp(picture(clear)))) as shown:
        assert np.asarray(shown.convert("L")).min() > 250, "on a page it lies on paper"
    with Image.open(io.BytesIO(picture(DEEP[None, ..., None]))) as sheet:
        assert (np.asarray(sheet)[:: sheet.width // 8, :: sheet.width // 8] == DEEP).all()


def test_a_graph_of_16_bits_is_what_the_network_gives_rounded() -> None:
    """The same numbers to one of 65,535, declared uint16, and the gate sees an error that shades of 8 bits hide."""
    from gan_core.config.schema import Tolerance
    from gan_core.core.build_network import build_network
    from gan_core.export import gate
    from gan_core.export.graph import with_pixels
    from gan_core.export.onnx import Pixels, export

    spec = NetworkSpec("mlp", 8, 3, (3, 8, 12), bits=16)
    config = spec.generator(spec.prior())
    torch.manual_seed(0)
    network = build_network(config).eval().requires_grad_(False)
    model = with_pixels(export(network, config, 20), config.images, 16)
    assert onnx.load_from_string(model).graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT16
    limit = Tolerance(0.0001, 80, 0.001, 0, 0.005)
    true, graph = gate.torch_runner(Pixels(network, 16)), gate.onnx_runner(model, 1)

    def feed(n: int) -> dict[str, np.ndarray]:
        return config.fixed_inputs(n, 0)

    assert np.abs(graph(feed(9)).astype(int) - true(feed(9))).max() <= 1
    assert all(f.passed for f in gate.parity(true, graph, feed, limit, [7]))
    off = [f for f in gate.parity(true, lambda rows: graph(rows) // 64 * 64, feed, limit, [7]) if not f.passed]
    assert any("max abs error" in f.check for f in off)
