"""Pictures of a folder through a network that takes pictures and gives pictures, each under its own name. No torch.

A picture is read as the pipeline reads data: the right way up (EXIF), in sRGB, in the channels of the network. Where
the network takes any sides, a picture keeps its size: it is filled up by mirroring to the multiple that the network
halves evenly, and what was added is cut off again. Where it takes one size alone, the picture is brought to it.
Transparency beside a network of one or three channels is kept as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.core.pixels import images_of
from gan_core.core.tiles import CORE, Tiles, filled
from gan_core.data.readers.images import SUFFIXES, BadImage, Noticed, in_srgb, is_deep, opened, strict
from gan_core.export.manifest import manifest_of
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, InputError
from gan_core.runtime.progress import Progress
from gan_core.serving.client import Generator, bits_of

Pixels = NDArray[np.uint8]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's word for so many channels."""
KEPT = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}
"""Suffixes that stay, and Pillow's words for their formats; others get ``.png`` behind them."""
WHOLE = 1 << 20
"""Larger pictures, in pixels, go in tiles, where the network allows it."""
QUALITY = 95
"""Of formats that lose something."""


@dataclass(frozen=True)
class Translator:
    """A role that takes one picture and gives one."""

    generator: Generator
    name: str
    """Of its input."""
    sides: tuple[int, int]
    """Height and width that it was trained on."""
    multiple: int
    """Sides are multiples of this, from twice it up; 0: those that it was trained on alone."""
    channels: int
    reach: int | None = None
    """How far from a pixel lies what it depends on; None: it depends on the whole picture."""
    scale: int = 1
    """How many times as high and wide comes out as went in."""
    core: int | None = None
    """Pixels of a tile's side that are kept; None: pictures larger than ``WHOLE`` go in tiles of ``CORE``, if any."""

    def __call__(self, image: Image.Image, at_most: int | None = None) -> Image.Image:
        """A picture, translated; ``at_most``: pixels of its longer side, where the network takes any size."""
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data and self.channels < 4 else None
        image = image.convert(MODES[self.channels])
        if not self.multiple:
            image = image.resize(self.sides[::-1], Image.Resampling.LANCZOS)
        elif at_most and max(image.size) > at_most:
            scale = at_most / max(image.size)
            wide, high = (max(1, round(side * scale)) for side in image.size)
            image = image.resize((wide, high), Image.Resampling.LANCZOS)
        pixels = np.asarray(image, np.uint8).reshape(image.height, image.width, self.channels)
        out = self.translated(pixels)
        made = Image.fromarray(out if out.shape[2] > 1 else out[..., 0])
        if alpha is None:
            return made
        made = made.convert("LA" if made.mode == "L" else "RGBA")
        made.putalpha(alpha.resize(made.size, Image.Resampling.LANCZOS))
        return made

    def translated(self, pixels: Pixels) -> Pixels:
        """Pixels (H, W, C), whole or in tiles."""

        def compute(some: Pixels) -> Pixels:
            (out,) = self.generator.compute({self.name: np.ascontiguousarray(some)[None]})
            return np.asarray(out)

        large = max(WHOLE, (CORE + 2 * (self.reach or 0)) ** 2)  # a smaller one is hardly more than a tile
        core = self.core or (CORE if pixels.shape[0] * pixels.shape[1] > large else 0)
        if not self.multiple:
            return compute(pixels)
        if not core or self.reach is None:
            high, wide = (self.scale * side for side in pixels.shape[:2])
            return compute(filled(pixels, self.multiple))[:high, :wide]
        return Tiles(self.reach, self.multiple, self.scale, core)(compute, pixels)


def translator(folder: Path, role: str | None, on: str, server: str | None, core: int | None = None) -> Translator:
    """The role of an exported folder that is meant, ready; ``core``: pixels of tiles that are asked for.

    Raises:
        DataError: the folder holds no finished export.
        InputError: there is no such role, it does not go from picture to picture, or it has 16 bits; or it cannot be
            given tiles.
        EnvironmentFailure: what was asked for is not there.
    """
    roles: Mapping[str, Any] = manifest_of(folder)["roles"]
    able = [name for name, about in roles.items() if from_picture_to_picture(about)]
    if not able:
        raise InputError(f"{folder} has no role that goes from picture to picture: {', '.join(roles)}")
    if role is None and len(able) > 1:
        raise InputError(f"{folder} translates by several roles; name one with --role: {', '.join(able)}")
    if (chosen := role or able[0]) not in able:
        raise InputError(f"--role {chosen} of {folder} does not go from picture to picture; {', '.join(able)} do")
    about = roles[chosen]
    if bits_of(about) != 8:
        raise InputError(f"{chosen} of {folder} has pixels of 16 bits; give it arrays (Generator.run)")
    old = "its export is of an earlier version; export it again"
    alone = {"reach": None, "why": old if about["size_multiple"] else "it takes the size that it was trained on alone"}
    tiles: Mapping[str, Any] = about.get("tiles", alone)
    if core and tiles["reach"] is None:
        raise InputError(
            f"{chosen} of {folder} cannot be given tiles: {tiles['why']}; leave --tiles out, or shrink large pictures "
            "with --at-most"
        )
    generator = Generator.connect(server, folder, chosen) if server else Generator.open(folder, chosen, on=on)
    (given,) = about["inputs"]
    _, channels, high, wide = given["shape"]
    scale = about["output"]["shape"][2] // high
    sides = about["size_multiple"], channels, tiles["reach"], scale
    return Translator(generator, given["name"], (high, wide), *sides, core)


def from_picture_to_picture(about: Mapping[str, Any]) -> bool:
    """Whether a role has one input, a picture, and gives a picture."""
    inputs, output = about["inputs"], about["output"]
    return len(inputs) == len(images_of(inputs)) == 1 and output["name"] == "image"


def found_in(source: Path) -> list[Path]:
    """The pictures of a folder and of the folders in it, or one picture, relative to it.

    Raises:
        DataError: there is none.
    """
    if source.is_file():
        return [Path(source.name)]
    found = sorted(
        path.relative_to(source)
        for path in source.rglob("*")
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )
    if not found:
        raise DataError(f"{source} holds no pictures ({', '.join(SUFFIXES[:6])}, ...)")
    return found


def name_of(path: Path, image: Image.Image) -> Path:
    """The name of a translated picture: its own, or with ``.png`` behind it where its format cannot hold the result."""
    suffix = path.suffix.lower()
    holds = suffix in KEPT and not (image.mode in ("LA", "RGBA") and KEPT[suffix] in ("JPEG", "BMP"))
    return path if holds else path.with_name(f"{path.name}.png")


def translate(able: Translator, source: Path, out: Path, at_most: int | None = None) -> tuple[Counter[str], list[str]]:
    """Translate what ``source`` holds into ``out``; what is there already stays.

    Returns how many were ``written``, ``there`` already or ``bad``, and a sentence for each of the bad ones.

    Raises:
        DataError: ``source`` holds no pictures.
        InputError: ``out`` is in ``source``, or is it.
    """
    paths = found_in(source)
    root = source if source.is_dir() else source.parent
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{out} lies in {source}, whose pictures are read; write somewhere else")
    counts, bad = Counter[str](), []
    progress = Progress(source.name, len(paths), unit="picture")
    try:
        for k, path in enumerate(paths, 1):
            try:
                counts[one(able, root / path, out / path, at_most)] += 1
            except BadImage as why:
                counts["bad"] += 1
                bad.append(f"{root / path} {why}")
            progress.step(k)
    finally:
        progress.close()
    return counts, bad


def one(able: Translator, path: Path, out: Path, at_most: int | None) -> str:
    """Translate a picture; ``written``, or ``there`` where it was before.

    Raises:
        BadImage: it cannot be read.
    """
    if any(name.is_file() for name in (out, out.with_name(f"{out.name}.png"))):
        return "there"
    with strict():
        image, _ = opened(path.read_bytes())
    if is_deep(image):
        raise BadImage("has more than 8 bits; this network takes 8")
    assert isinstance(image, Image.Image)
    made = able(in_srgb(image, Noticed()), at_most)
    name = name_of(out, made)
    made.save(buffer := BytesIO(), KEPT.get(name.suffix.lower(), "PNG"), quality=QUALITY)
    files.write(name, buffer.getvalue())
    return "written"
