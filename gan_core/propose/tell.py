"""Both entries of a source of pictures as text, the name they get, and the commands that follow."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gan_core.config.rules import NAME
from gan_core.export.hardware import gpu
from gan_core.propose import append, declare, entry, presets
from gan_core.propose.look import look
from gan_core.runtime.errors import InputError

SUFFIX = re.compile(r"\.(zip|npz|npy|parquet|tgz|tar(\.(gz|xz|bz2))?)$", re.IGNORECASE)


def name_of(path: Path) -> str:
    """The name of the last folder or file as the name of an entry.

    Raises:
        InputError: it has no letters or digits that a name may have.
    """
    name = re.sub(r"[^a-z0-9_-]+", "-", SUFFIX.sub("", path.resolve().name).lower()).strip("-_")
    if not NAME.fullmatch(name):
        raise InputError(f"'{path.name}' gives no name for an entry; give one with --name")
    return name


def entries(path: Path, name: str, params: Path, preset: str | None = None) -> dict[str, tuple[str, str]]:
    """Name and lines by section of the declaration.

    Raises:
        InputError: it is no name, or there is no such preset.
        DataError: the pictures cannot be read, or are too few.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"--name {name} is no name: use lower-case letters, digits, '_' and '-'")
    if preset:
        presets.preset(preset)
    on_gpu, found = gpu() is not None, look(path)
    data = declare.images(found, on_gpu, preset)
    run = declare.run(found, data, name, on_gpu, preset)
    text = params.read_text()
    about = f"{found.total:,} pictures{' in pairs' if found.pairs else ''}, {found.looked_at:,} of them looked at"
    return {
        "images": (name, entry.text(name, data, about, append.indent_of(text, "images"))),
        "runs": (name, entry.text(name, run, f"a first run on {name}", append.indent_of(text, "runs"))),
    }


def tracking(path: Path) -> Iterator[str]:
    """The command that puts pictures under version control by content, where there is any and they are not."""
    here = path.resolve()
    if not here.is_relative_to(Path.cwd()):
        yield f"dvc import-url {path} {here.name}   # they lie outside the project; then let `path` be {here.name}"
        return
    tracked = any(Path(f"{folder}.dvc").is_file() for folder in (here, *here.parents))
    listed = subprocess.run(["git", "ls-files", "--", str(path)], capture_output=True, text=True)
    if not tracked and Path(".dvc").is_dir() and listed.returncode == 0 and not listed.stdout.strip():
        yield f"dvc add {path}"
