"""One image of a user, whatever it is, to the one form that is packed: (height, width, channels) of 8 or 16 bits.

Pillow reads; nothing here trusts what it reads. Content decides what a file is, not its name. An orientation in EXIF
is applied, and of an animation the first picture counts. Colours of another profile become those of sRGB; palettes and
CMYK become RGB, and one channel is the luma of ITU-R 601. What is transparent lies on the declared background or, where
four channels are declared, keeps its alpha: what has none is opaque, what is padded is transparent, and what cannot be
seen at all is black. Resizing is Lanczos, which looks at every pixel it stands for (no aliasing); a JPEG of several
times the size is decoded at a half, a quarter or an eighth of it, as its coding offers.

Numbers of more than 8 bits, floats and signed ones are scaled from the declared range, or from all that their type
holds, and are resized as floats where they are packed in 16 bits. 16-bit colours of PNG and TIFF are read as 8 bits:
Pillow reads no more of them.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from gan_core.config.schema import ImagePairs, Images
from gan_core.data.readers.kinds import START, kind_of

SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
    ".pnm", ".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx", ".tga",
)  # fmt: skip
FORMATS = {
    "PNG": "PNG", "JPEG": "JPEG", "WEBP": "WEBP", "BMP": "BMP", "GIF": "GIF", "TIFF": "TIFF", "PPM": "PPM",
    "AVIF": "AVIF", "HEIC": "HEIF", "JPEG 2000": "JPEG2000", "TGA": "TGA",
}  # fmt: skip
"""Kinds of files that are read, and what Pillow calls them."""
TGA_ENDS = b"TRUEVISION-XFILE.\0"
"""By which a TGA file is told: what it begins with may be anything."""
MOST_PIXELS, MOST_SIDE = 64_000_000, 16_384
"""More, in all or on one side, are refused before they are read: a few kilobytes can unfold to gigabytes."""
MOST_OF_JPEG, MOST_PROGRESSIVE = 256_000_000, 128_000_000
"""Of a JPEG, which is decoded at a part of its size and counts as that; a progressive one is held whole meanwhile."""
LIMITS = f"at most {MOST_PIXELS:,} are read, {MOST_SIDE:,} on a side"
FLAT = 8 / 255
"""Of the range, between the darkest and the lightest pixel of a near-blank image."""
AMPLE = 3
"""So many times the size on both sides, a JPEG is decoded no larger."""
TURNED = 0x0112
"""The tag of EXIF that says how an image lies: 1 as it is seen, 5 to 8 on its side."""
DIGEST = 16
"""Bytes that tell one content from another."""
TEXT = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
"""Chunks of a PNG whose content may unfold."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Image.MAX_IMAGE_PIXELS = MOST_OF_JPEG
PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # larger ones are left out


class BadImage(Exception):
    """What is wrong with one image, after its name: ``is cut short``."""


Content = bytes | NDArray[Any]
"""An image as a source holds it: a file's bytes, or pixels (H, W) or (H, W, C)."""
Ends = tuple[float, float]
"""The lowest and the highest of some numbers."""


@dataclass
class Noticed:
    """What is noticed on the way."""

    ends: dict[Ends, Ends] = field(default_factory=dict)
    """Of images that have a range: by what their type holds, the lowest and highest number found."""
    notes: Counter[str] = field(default_factory=Counter)
    """How many had their colours ``converted``, or a ``broken_profile``."""

    def add(self, other: Noticed) -> None:
        """What is noticed of more images."""
        for holds, ends in other.ends.items():
            note_ends(self.ends, holds, ends)
        self.notes += other.notes


@dataclass
class Chunk:
    """Some images in order: pixels and digests of the good, place and fault of the bad, and what was noticed."""

    pixels: NDArray[Any]
    """(N, height, width, channels): packed or, where their range is yet to be measured, float32 as ``measured``."""
    digests: NDArray[np.void]
    bad: dict[int, str] = field(default_factory=dict)
    deep: list[bool] = field(default_factory=list)
    """Of the good: whether they have a range."""
    spans: list[float] = field(default_factory=list)
    """Of the good: how far the darkest and the lightest number of any channel are apart."""
    noticed: Noticed = field(default_factory=Noticed)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)


def chunk(contents: list[Content], spec: Images) -> Chunk:
    """The images of a list, each good or bad. A function of its arguments: any process may compute it.

    Of pairs, source and target follow each other; both are good, or both bad.
    """
    made = Chunk(np.empty(0, np.uint8), np.empty(0, f"V{DIGEST}"))
    rows: dict[int, tuple[NDArray[Any], bool, Noticed]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    halves = spec.pairs if isinstance(spec, ImagePairs) and isinstance(spec.pairs, str) else None
    small = spec.of_sources
    enough = None if spec.fit == "exact" else AMPLE * max(spec.packed_sides) * (2 if halves else 1)
    with strict():
        for k, content in enumerate(contents):
            try:
                if halves and k % 2 and k - 1 in made.bad:
                    raise BadImage(made.bad[k - 1])
                if not (halves and k % 2):
                    whole = opened(content, enough)
                image, sizes[k] = half(*whole, spec.domain_names[k % 2]) if halves else whole
                made.sizes[sizes[k]] += 1
                made.modes[str(image.dtype) if isinstance(image, np.ndarray) else image.mode] += 1
                noticed = Noticed()
                pixels = packed(image, small if k % 2 == 0 else spec, noticed)
                larger = spec.packed_sides[0] // pixels.shape[0]  # of a source each pixel as often as its target has it
                rows[k] = pixels.repeat(larger, 0).repeat(larger, 1), is_deep(image), noticed
            except BadImage as error:
                made.bad[k] = str(error)
    if isinstance(spec, ImagePairs):
        made.bad = without_partners(rows.keys(), sizes, made.bad, 1 if halves else spec.scale)
    kept = [row for k, row in rows.items() if k not in made.bad]
    good, made.deep = [image for image, *_ in kept], [deep for _, deep, _ in kept]
    for *_, noticed in kept:
        made.noticed.add(noticed)
    made.pixels = np.array(good, kept_as(spec)).reshape(-1, *spec.shape)
    planes = made.pixels.reshape(len(good), spec.packed_sides[0] * spec.packed_sides[1], spec.channels)
    made.spans = spans(np.ascontiguousarray(planes.transpose(0, 2, 1))).tolist()
    digests = b"".join(blake2b(image.data, digest_size=DIGEST).digest() for image in made.pixels)
    made.digests = np.frombuffer(digests, f"V{DIGEST}")
    return made


def half(
    image: Image.Image | NDArray[Any], size: tuple[int, int], which: str
) -> tuple[Image.Image | NDArray[Any], tuple[int, int]]:
    """The left, right, top or bottom half of an image, or all of it, and the size that it had in a file of its own.

    Raises:
        BadImage: it cannot be cut in two equal ones.
    """
    if which in ("source", "target"):
        return image, size
    axis = 0 if which in ("left", "right") else 1
    if size[axis] % 2:
        raise BadImage(f"has {size[0]}x{size[1]} pixels and cannot be cut into two equal halves")
    high, wide = image.shape[:2] if isinstance(image, np.ndarray) else image.size[::-1]
    left, top = (wide + 1) // 2 * (which == "right"), (high + 1) // 2 * (which == "bottom")
    right, bottom = left + (wide // 2 if axis == 0 else wide), top + (high // 2 if axis else high)
    part = image[top:bottom, left:right] if isinstance(image, np.ndarray) else image.crop((left, top, right, bottom))
    return part, (size[0] // 2, size[1]) if axis == 0 else (size[0], size[1] // 2)


def without_partners(
    good: Collection[int], sizes: Mapping[int, tuple[int, int]], bad: Mapping[int, str], scale: int | None = None
) -> dict[int, str]:
    """The faults of a list of pairs: those of single images, and of those whose partner has one or another shape.

    ``scale``: how many times as large as sources the targets are declared to be.
    """
    found = dict(bad)
    for k in {k // 2 * 2 for k in good}:
        pair = k, k + 1
        if set(pair) <= set(good) and (fault := other_shape(sizes[k], sizes[k + 1], scale)):
            found[k] = fault
        for which, other in (pair, pair[::-1]):
            if which in found and other not in found:
                found[other] = f"has a partner that {found[which]}"
    return dict(sorted(found.items()))


def other_shape(size: tuple[int, int], partner: tuple[int, int], scale: int | None = None) -> str:
    """The fault of a pair whose sizes differ by more than their scale and the rounding of a side; empty: none.

    ``scale``: how many times as large as the first the second must be; None: any times.
    """
    (w, h), (wide, high) = size, partner
    said = f"has {w}x{h} pixels, and its partner {wide}x{high}"
    if 2 * abs(w * high - wide * h) > max(w + h, wide + high):
        return f"{said}: they cannot show the same place"
    if scale and max(abs(scale * w - wide), abs(scale * h - high)) >= scale:
        return f"{said}: they are not of one size" if scale == 1 else f"{said}, not {scale} times as many a side"
    return ""


def spans(planes: NDArray[Any]) -> NDArray[Any]:
    """Of planes (N, C, pixels): how far the lowest and the highest number of any are apart, (N,); NaN is no number."""
    if planes.dtype.kind != "f":
        return np.asarray(np.ptp(planes, axis=2).max(1))
    return np.asarray((np.nanmax(planes, 2) - np.nanmin(planes, 2)).max(1))


def kept_as(spec: Images) -> type[np.generic]:
    """The type of what a chunk makes."""
    return np.float32 if spec.range == "measured" else np.uint16 if spec.bits == 16 else np.uint8


@contextmanager
def strict() -> Iterator[None]:
    """Too many pixels are an error; of what else Pillow warns of nothing is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def opened(content: Content, enough: int | None = None) -> tuple[Image.Image | NDArray[Any], tuple[int, int]]:
    """An image, read whole and the right way up, and its size; ``enough``: a JPEG may come smaller, but not than that.

    An array of other than 8 bits is an image as it is. Called within ``strict``.

    Raises:
        BadImage: it is none, or too large, or damaged.
    """
    try:
        if not isinstance(content, bytes):
            if content.dtype != np.uint8:
                return content, (content.shape[1], content.shape[0])
            image = Image.fromarray(content)
            return image, image.size
        if not content:
            raise BadImage("is empty (0 bytes)")
        image = identified(content)
        whole = image.size
        if enough is not None:
            image.draft(None, (enough, enough))
        if whole[0] * whole[1] > MOST_PROGRESSIVE and image.info.get("progressive"):
            raise BadImage(f"is a progressive JPEG of {whole[0]}x{whole[1]} pixels; save it as a plain one")
        if image.width * image.height > MOST_PIXELS or max(image.size) > MOST_SIDE:
            raise BadImage(f"has {whole[0]}x{whole[1]} pixels; {LIMITS}")
        image.load()
        if (way := image.getexif().get(TURNED, 1)) == 1:
            return image, whole
        return ImageOps.exif_transpose(image), whole[::-1] if way in (5, 6, 7, 8) else whole
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage(f"has too many pixels; {LIMITS}") from None
    except UnidentifiedImageError:
        start = bytes(content[:START])
        what = kind_of(start)
        says = f"is no image that can be read ({', '.join(FORMATS)}): it "
        raise BadImage(says + (f"is {what}" if what else f"begins with {start[:12]!r}")) from None
    except Exception as error:  # a damaged file makes decoders raise anything
        raise BadImage(f"is damaged ({str(error) or type(error).__name__})") from None


def identified(content: bytes) -> Image.Image:
    """An image of which nothing but its head is read.

    Raises:
        BadImage: it is a PNG with a wrong checksum in what its pixels depend on.
        UnidentifiedImageError: it is none.
    """
    kind = kind_of(content[:START]) or ("TGA" if content.endswith(TGA_ENDS) else None)
    if kind not in FORMATS:
        raise UnidentifiedImageError
    formats = [FORMATS[kind]]
    if kind == "PNG":
        content = sound(content)
        try:
            return Image.open(BytesIO(content), formats=formats)
        except ValueError:  # a text or a profile that unfolds to more than anybody writes
            image = Image.open(BytesIO(sound(content, TEXT)), formats=formats)
            image.info["icc_profile"] = b"left out" if b"iCCP" in content else b""
            return image
    if kind == "HEIC":
        import pi_heif  # a tenth of a second that others need not spend

        pi_heif.register_heif_opener(thumbnails=False)
        formats.append("AVIF")  # some call themselves so
    return Image.open(BytesIO(content), formats=formats)


def sound(content: bytes, without: tuple[bytes, ...] = ()) -> bytes:
    """A PNG without the chunks that are named, and without those whose checksum is wrong and on which no pixel depends.

    Raises:
        BadImage: the checksum of another one is wrong.
    """
    dropped = []
    for start, end, name in png_chunks(content):
        wrong = zlib.crc32(content[start + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big")
        if wrong and not name[0] & 32:  # a capital letter: no picture without it
            raise BadImage(f"is damaged (a wrong checksum in its chunk {name.decode('latin-1')})")
        if wrong or name in without:
            dropped.append((start, end))
    for start, end in reversed(dropped):
        content = content[:start] + content[end:]
    return content


def png_chunks(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where the chunks of a PNG that are whole begin and end, and their names."""
    start = 8
    while start + 12 <= len(content):
        size, name = struct.unpack_from(">I4s", content, start)
        end = start + 12 + size
        if end > len(content):
            return
        yield start, end, name
        if name == b"IEND":
            return
        start = end


def is_deep(image: Image.Image | NDArray[Any]) -> bool:
    """Whether it has a range: numbers that are not the 8 bits of 0 to 255."""
    return isinstance(image, np.ndarray) or image.mode.startswith(("I", "F"))


def packed(image: Image.Image | NDArray[Any], spec: Images, noticed: Noticed | None = None) -> NDArray[Any]:
    """Brought to the declared channels, size and bits; ``noticed`` is added to.

    Raises:
        BadImage: ``fit: exact`` and it has another size, or pixels that are no colours.
    """
    noticed = noticed or Noticed()
    try:
        if isinstance(image, np.ndarray) or is_deep(image):
            return of_range(np.asarray(image), getattr(image, "mode", ""), spec, noticed)
        found = of_8_bits(in_srgb(image, noticed), spec)
        return found.astype(np.uint16) * np.uint16(257) if kept_as(spec) == np.uint16 else found
    except BadImage:
        raise
    except Exception as error:
        raise BadImage(f"is damaged ({str(error) or type(error).__name__})") from None


def of_8_bits(image: Image.Image, spec: Images) -> NDArray[np.uint8]:
    """An image of 8 bits, brought to the declared channels and size."""
    if spec.channels == 4:
        image = image.convert("RGBA")
    elif image.has_transparency_data:
        below = Image.new("RGBA", image.size, (spec.background,) * 3 + (255,))
        image = Image.alpha_composite(below, image.convert("RGBA"))
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[spec.channels]
    if image.mode not in (mode, "L"):
        image = image.convert(mode)
    return fitted(image, spec)


def of_range(values: NDArray[Any], mode: str, spec: Images, noticed: Noticed) -> NDArray[Any]:
    """Numbers (H, W) or (H, W, C) that have a range, brought to the declared channels and size, and to that range.

    Raises:
        BadImage: they have no range that is known, or are no numbers.
    """
    if not np.isfinite(low := float(values.min())) or not np.isfinite(high := float(values.max())):
        raise BadImage("holds pixels that are no finite numbers; replace them")
    holds = held(values, mode)
    if spec.range in (None, "full") and not (holds[0] <= low and high <= holds[1]):
        raise BadImage(
            f"holds numbers of {low:g} to {high:g}, and {mode or values.dtype} is taken to hold {holds[0]:g} to "
            f"{holds[1]:g}; declare range: [lowest, highest]"
        )
    note_ends(noticed.ends, holds, (low, high))
    measured = spec.range == "measured"
    ends = spec.range if isinstance(spec.range, list) else holds
    if not measured and spec.bits != 16:  # to 8 bits first, and then as all images of 8 bits
        return of_8_bits(Image.fromarray(scaled(values, (ends[0], ends[1]), holds)), spec)
    x = values if values.ndim == 3 else values[..., None]
    if x.shape[2] == 4 and measured:
        raise BadImage("has alpha, and its range is to be measured; declare range: [lowest, highest]")
    if not measured:
        x = shares(x, (ends[0], ends[1]), holds)
    x = resized(in_channels(x.astype(np.float32), spec), spec)
    if measured:
        return x
    return np.asarray(np.rint(x.clip(0, 1) * spec.most), np.uint16)


def held(values: NDArray[Any], mode: str) -> Ends:
    """The lowest and highest number that a type holds: 16 bits of whole numbers that Pillow reads, 0 to 1 of floats."""
    if values.dtype.kind == "f":
        return 0.0, 1.0
    if mode:
        return 0.0, 65535.0
    about = np.iinfo(values.dtype)
    return float(about.min), float(about.max)


def note_ends(found: dict[Ends, Ends], holds: Ends, ends: Ends) -> None:
    """Widen what was found of a type."""
    low, high = found.get(holds, ends)
    found[holds] = min(low, ends[0]), max(high, ends[1])


def shares(x: NDArray[Any], ends: Ends, holds: Ends) -> NDArray[np.float64]:
    """Numbers (H, W, C) as shares of their range, clipped; alpha, which has none, of what its type holds."""
    x = x.astype(np.float64)
    alpha = x[..., 3:].copy() if x.shape[2] == 4 else x[..., :0]
    x = (x[..., :3] - ends[0]) / (ends[1] - ends[0])
    return np.concatenate([x, alpha / holds[1]], 2).clip(0, 1)


def scaled(values: NDArray[Any], ends: Ends, holds: Ends) -> NDArray[np.uint8]:
    """Numbers (H, W) or (H, W, C) of a range as 8 bits."""
    if ends == holds and values.dtype.kind in "iu" and holds == (0.0, 65535.0):
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if ends == holds and values.dtype.kind == "f":
        return np.rint(values * 255.0).astype(np.uint8)
    x = values if values.ndim == 3 else values[..., None]
    return np.rint(shares(x, ends, holds) * 255).astype(np.uint8).reshape(values.shape)


def in_channels(x: NDArray[np.float32], spec: Images) -> NDArray[np.float32]:
    """Floats (H, W, 1, 3 or 4), alpha as a share, in the declared number of channels."""
    if spec.channels == 4:
        alpha = x[..., 3:] if x.shape[2] == 4 else np.ones_like(x[..., :1])
        return np.concatenate([np.broadcast_to(x[..., :3], (*x.shape[:2], 3)), alpha], 2)
    if x.shape[2] == 4:
        alpha = x[..., 3:]
        x = x[..., :3] * alpha + np.float32(spec.background / 255) * (1 - alpha)
    if spec.channels == 1 and x.shape[2] == 3:
        return (x @ LUMA)[..., None]
    return np.ascontiguousarray(np.broadcast_to(x, (*x.shape[:2], spec.channels)))


def resized(x: NDArray[np.float32], spec: Images) -> NDArray[np.float32]:
    """Floats (H, W, C) of the declared size; what is padded is the background or, if the range is measured, NaN."""
    if x.shape[2] == 4:
        x = np.concatenate([x[..., :3] * x[..., 3:], x[..., 3:]], 2)
    ground = float("nan") if spec.range == "measured" else 0.0 if spec.channels == 4 else spec.background / 255
    planes = [fitted_image(Image.fromarray(np.ascontiguousarray(x[..., k])), spec, ground) for k in range(x.shape[2])]
    x = np.stack([np.asarray(plane) for plane in planes], 2)
    if x.shape[2] == 4:
        x = np.concatenate(
            [np.divide(x[..., :3], x[..., 3:], np.zeros_like(x[..., :3]), where=x[..., 3:] > 0), x[..., 3:]], 2
        )
    return x


@lru_cache(maxsize=64)
def to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """What turns colours of a profile into sRGB; None: they are the same, to a level of 255.

    Raises:
        ImageCms.PyCMSError: the profile is broken, or of other colours than the image.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    out = "RGBA" if mode == "RGBA" else "RGB"
    turn = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, out)
    if mode not in ("L", "RGB", "RGBA"):
        return turn
    levels = np.array([0, 32, 64, 96, 128, 160, 192, 224, 255], np.uint8)
    if mode == "L":
        patch = levels[None]
        same = np.repeat(patch[..., None], 3, 2)
    else:
        patch = same = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
        if mode == "RGBA":
            patch = same = np.dstack([patch, np.full((27, 27), 255, np.uint8)])
    turned = ImageCms.applyTransform(Image.fromarray(patch), turn)
    assert turned is not None
    return None if np.abs(np.asarray(turned).astype(int) - same).max() <= 1 else turn


def in_srgb(image: Image.Image, noticed: Noticed) -> Image.Image:
    """An image of 8 bits in the colours of sRGB; a broken profile is ignored."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode in ("1", "LAB", "YCbCr", "HSV"):
        return image
    mode = "RGBA" if image.has_transparency_data else "RGB" if image.mode == "P" else image.mode
    try:
        turn = to_srgb(profile, mode)
        if turn is None:
            return image
        turned = ImageCms.applyTransform(image if image.mode == mode else image.convert(mode), turn)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        noticed.notes["broken_profile"] += 1
        return image
    noticed.notes["converted"] += 1
    assert turned is not None
    return turned


def fitted_image(image: Image.Image, spec: Images, ground: Any) -> Image.Image:
    """Brought to the declared size, on this ground.

    Raises:
        BadImage: ``fit: exact`` and it has another.
    """
    high, wide = spec.packed_sides
    if image.size == (wide, high):
        return image
    if spec.fit == "exact":
        raise BadImage(f"has {image.width}x{image.height} pixels, not the declared {wide}x{high}")
    if spec.fit == "crop":
        return ImageOps.fit(image, (wide, high), Image.Resampling.LANCZOS)
    return ImageOps.pad(image, (wide, high), Image.Resampling.LANCZOS, ground)


def fitted(image: Image.Image, spec: Images) -> NDArray[np.uint8]:
    """An image of 8 bits, brought to the declared size.

    Raises:
        BadImage: ``fit: exact`` and it has another.
    """
    bands = len(image.getbands())
    image = fitted_image(image, spec, (0,) * 4 if bands == 4 else (spec.background,) * bands)
    if spec.channels > bands:  # grey to three: after resizing, which is then one channel's work
        image = image.convert("RGB")
    found = np.asarray(image).reshape(spec.shape)
    if bands == 4:
        found = found * (found[..., 3:] > 0).astype(np.uint8)
    return found
