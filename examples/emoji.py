"""Fetch 3,786 emoji as a folder of pictures: ``python -m examples.emoji FOLDER google``, or ``twitter``.

They are Google's Noto emoji (Apache-2.0) or Twitter's Twemoji (CC-BY-4.0), 64x64 pixels, on white, in the npm packages
``emoji-datasource-google`` and ``-twitter``: the same emoji under the same names. Folders are ``train`` and ``test``,
and categories in them; an emoji and its skin tones lie on one side, so that what is held out is not trained on.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

from gan_core.runtime import errors, npm
from gan_core.runtime.errors import InputError

VERSION, TABLE = "16.0.0", "package/emoji.json"
INTEGRITY = {
    "google": "sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    "twitter": "sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
}
HELD_OUT = 5
"""One emoji in so many."""


def main(folder: str, vendor: str) -> None:
    out, images = Path(folder), f"package/img/{vendor}/64/"
    if vendor not in INTEGRITY:
        raise InputError(f"vendor is {vendor!r}, known are {', '.join(INTEGRITY)}")
    if out.exists():
        print(f"{out} is there already; remove it to fetch the emoji again")
        return
    with tempfile.TemporaryDirectory() as temporary:
        package = npm.package(f"emoji-datasource-{vendor}", VERSION, INTEGRITY[vendor])
        with tarfile.open(fileobj=io.BytesIO(package)) as tar:
            tar.extractall(temporary, [m for m in tar if m.name.startswith(images) or m.name == TABLE], filter="data")
        made = out.with_name(f".{out.name}.part")
        shutil.rmtree(made, ignore_errors=True)
        count = arrange(Path(temporary) / TABLE, Path(temporary) / images, made)
        made.rename(out)
    print(f"{out}: {count:,} pictures")


def arrange(table: Path, images: Path, out: Path) -> int:
    """Write each picture, on white, to ``<out>/<part>/<category>``; returns how many there are."""
    count = 0
    for emoji in json.loads(table.read_text()):
        category = re.sub(r"[^a-z]+", "-", emoji["category"].lower()).strip("-")
        held = int(hashlib.sha256(emoji["unified"].encode()).hexdigest(), 16) % HELD_OUT == 0
        folder = out / ("test" if held else "train") / category
        folder.mkdir(parents=True, exist_ok=True)
        for one in [emoji, *emoji.get("skin_variations", {}).values()]:
            if (picture := images / one["image"]).is_file():
                with Image.open(picture) as opened:
                    seen = opened.convert("RGBA")
                    Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB").save(
                        folder / picture.name
                    )
                count += 1
    return count


if __name__ == "__main__":
    errors.run(main, "folder", "vendor")
