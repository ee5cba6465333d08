"""One image of a user, whatever it is, to the one form that is packed: uint8 (size, size, channels).

Pillow reads; nothing here trusts what it reads. Colours: 16 bits become 8, palettes and CMYK become RGB, what is
transparent lies on the declared background, one channel is the luma of ITU-R 601. An orientation in EXIF is applied.
Of an animation the first picture counts. Resizing is Lanczos, which looks at every pixel it stands for (no aliasing); a
JPEG of several times the size is decoded at a half, a quarter or an eighth of it, as its coding offers.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gan_core.config.schema import Images

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MOST_PIXELS, MOST_SIDE = 64_000_000, 16_384
"""More, in all or on one side, are refused before they are read: a few kilobytes can unfold to gigabytes."""
LIMITS = f"at most {MOST_PIXELS:,} are read, {MOST_SIDE:,} on a side"
FLAT = 8
"""Grey levels (of 256) between the darkest and the lightest pixel of a near-blank image."""
AMPLE = 3
"""So many times the size on both sides, a JPEG is decoded no larger."""
TURNED = 0x0112
"""The tag of EXIF that says how an image lies: 1 as it is seen, 5 to 8 on its side."""
DIGEST = 16
"""Bytes that tell one content from another."""


class BadImage(Exception):
    """What is wrong with one image, after its name: ``is cut short``."""


Content = bytes | NDArray[np.uint8]
"""An image as a source holds it: a file's bytes, or pixels (H, W) or (H, W, C)."""


@dataclass
class Chunk:
    """Some images in order: pixels and digests of the good, place and fault of the bad, and what was noticed."""

    pixels: NDArray[np.uint8]
    digests: NDArray[np.void]
    bad: dict[int, str] = field(default_factory=dict)
    flat: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)


def chunk(contents: list[Content], spec: Images) -> Chunk:
    """The images of a list, each good or bad. A function of its arguments: any process may compute it."""
    good, made = [], Chunk(np.empty(0, np.uint8), np.empty(0, f"V{DIGEST}"))
    for k, content in enumerate(contents):
        try:
            image, size = opened(content, None if spec.fit == "exact" else AMPLE * spec.size)
            made.sizes[size] += 1
            made.modes[image.mode] += 1
            good.append(packed(image, spec))
        except BadImage as error:
            made.bad[k] = str(error)
    made.pixels = np.array(good, np.uint8).reshape(-1, spec.size, spec.size, spec.channels)
    planes = np.ascontiguousarray(made.pixels.reshape(len(good), spec.size**2, spec.channels).transpose(0, 2, 1))
    made.flat = int((np.ptp(planes, axis=2) <= FLAT).all(1).sum())
    digests = b"".join(blake2b(image.data, digest_size=DIGEST).digest() for image in made.pixels)
    made.digests = np.frombuffer(digests, f"V{DIGEST}")
    return made


def opened(content: Content, enough: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """An image, read whole and the right way up, and its size; ``enough``: a JPEG may come smaller, but not than that.

    Raises:
        BadImage: it is none, or too large, or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            if not isinstance(content, bytes):
                image = Image.fromarray(content)
                return image, image.size
            if not content:
                raise BadImage("is empty (0 bytes)")
            image = Image.open(BytesIO(content), formats=FORMATS)
            if image.width * image.height > MOST_PIXELS or max(image.size) > MOST_SIDE:
                raise BadImage(f"has {image.width}x{image.height} pixels; {LIMITS}")
            whole = image.size
            if enough is not None:
                image.draft(None, (enough, enough))
            image.load()
            if (way := image.getexif().get(TURNED, 1)) == 1:
                return image, whole
            return ImageOps.exif_transpose(image), whole[::-1] if way in (5, 6, 7, 8) else whole
        except BadImage:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise BadImage(f"has too many pixels; {LIMITS}") from None
        except UnidentifiedImageError:
            start = bytes(content[:12])
            raise BadImage(f"is no image that can be read ({', '.join(FORMATS)}): it begins with {start!r}") from None
        except Exception as error:  # a damaged file makes decoders raise anything
            raise BadImage(f"is damaged ({str(error) or type(error).__name__})") from None


def packed(image: Image.Image, spec: Images) -> NDArray[np.uint8]:
    """Brought to the declared channels and size.

    Raises:
        BadImage: ``fit: exact`` and it has another size, or pixels that are no colours.
    """
    try:
        image = eight_bits(image)
        if image.has_transparency_data:
            below = Image.new("RGBA", image.size, (spec.background,) * 3 + (255,))
            image = Image.alpha_composite(below, image.convert("RGBA"))
        mode = "L" if spec.channels == 1 else "RGB"
        if image.mode not in (mode, "L"):
            image = image.convert(mode)
        return fitted(image, spec)
    except BadImage:
        raise
    except Exception as error:
        raise BadImage(f"is damaged ({str(error) or type(error).__name__})") from None


def eight_bits(image: Image.Image) -> Image.Image:
    """Sixteen bits a pixel to eight; all else as it is.

    Raises:
        BadImage: pixels that are no whole numbers of 16 bits.
    """
    if image.mode == "F" or (image.mode == "I" and not within(image, 65535)):
        raise BadImage(f"holds pixels of mode {image.mode} beyond 16 bits; save it with 8 or 16")
    if not image.mode.startswith("I"):
        return image
    deep = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8))


def within(image: Image.Image, most: int) -> bool:
    """Whether the darkest and the lightest pixel lie in 0 to ``most``."""
    deep = np.asarray(image)
    return bool(deep.min() >= 0 and deep.max() <= most)


def fitted(image: Image.Image, spec: Images) -> NDArray[np.uint8]:
    """Brought to the declared size.

    Raises:
        BadImage: ``fit: exact`` and it has another.
    """
    square = (spec.size, spec.size)
    if image.size != square:
        if spec.fit == "exact":
            raise BadImage(f"has {image.width}x{image.height} pixels, not the declared {spec.size}x{spec.size}")
        if spec.fit == "crop":
            image = ImageOps.fit(image, square, Image.Resampling.LANCZOS)
        else:
            ground = (spec.background,) * len(image.getbands())
            image = ImageOps.pad(image, square, Image.Resampling.LANCZOS, ground)
    if spec.channels > len(image.getbands()):  # grey to three: after resizing, which is then one channel's work
        image = image.convert("RGB")
    return np.asarray(image).reshape(spec.size, spec.size, spec.channels)
