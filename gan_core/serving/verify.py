"""Checks exported folders with nothing but the folders: their manifests, their golden outputs, and a real server.

No torch and no params.yaml: this is for whoever gets a folder, not only for whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gan_core.core import latents, tiles
from gan_core.core.pixels import as_pixels, images_of
from gan_core.export import gate, golden
from gan_core.export.manifest import endpoints_of, manifest_of
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, FoundryError
from gan_core.runtime.table import aligned
from gan_core.serving import client, session
from gan_core.serving.backends.base import Backend, NotInstalled, Ports
from gan_core.serving.client import Array
from gan_core.serving.session import ON_CPU, Runtime

NOT_LISTED = ("manifest.json",)
"""What a manifest cannot list."""


@dataclass(frozen=True)
class Row:
    """One check of one folder: passed, failed, or (None) not made, and why."""

    folder: Path
    check: str
    passed: bool | None
    says: str


def verify(folders: Sequence[Path], backend: Backend, on: str = "cpu") -> list[Row]:
    """Every check of every folder; then a server, if it is installed, with those that passed.

    ``on``: where the golden outputs are computed once more, a word of ``gan_core.serving.session``.

    A server runs the Python that a repository holds, so what is not this project's own does not get there.

    Raises:
        DataError: a folder has no manifest that can be read.
        InputError: there is no such word.
    """
    where = Runtime(on)
    rows = [row for folder in folders for row in by_itself(folder, where)]
    sound = [f for f in folders if all(row.passed for row in rows if row.folder == f)]
    return [*rows, *(served(sound, backend) if sound else [])]


def by_itself(folder: Path, where: Runtime = ON_CPU) -> Iterator[Row]:
    """What a folder says about itself; if a file of it is not what it should be, nothing is said about the others.

    Raises:
        DataError: it is no folder with a manifest that can be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no exported folder")
    manifest = manifest_of(folder)
    wrong = list(damaged(folder, manifest["files"]))
    n = len(manifest["files"])
    yield Row(folder, "checksums", not wrong, "; ".join(wrong) or f"{n} files are what the manifest lists")
    if wrong:
        return
    text = (folder / "README.md").read_text() if (folder / "README.md").is_file() else ""
    missing = [role for role in manifest["roles"] if f"## {role}\n" not in text]
    yield Row(folder, "card", not missing, f"nothing about {', '.join(missing)}" if missing else "names every role")
    own = {files.file_digest(Path(str(module.__file__))) for module in (latents, tiles)}
    foreign = [n for n, listed in manifest["files"].items() if n.endswith(".py") and listed["sha256"] not in own]
    says = f"{', '.join(foreign)} is no file of this project's gan_core/core, and is not run"
    yield Row(folder, "code", not foreign, says if foreign else "none but the project's own")
    for about in manifest["roles"].values():
        for file in about["graphs"]:
            model = (folder / file).read_bytes()
            names = [*(i["name"] for i in about["inputs"]), about["output"]["name"]]
            found = [str(f) for f in gate.lint(model, names, about["opset"]) if not f.passed]
            yield Row(folder, f"lint of {file}", not found, "; ".join(found) or "no findings")
            check = f"golden outputs of {file}{'' if where.on == 'cpu' else f' on {where.on}'}"
            yield compared(folder, check, file, about, partial(run_here, folder / file, where))


def run_here(graph: Path, where: Runtime, rows: Mapping[str, Array]) -> Array:
    """What a graph answers on this machine."""
    return session.load(graph.read_bytes(), str(graph), where)(rows)


def damaged(folder: Path, listed: Mapping[str, Any]) -> Iterator[str]:
    """Files that are missing, not what the manifest describes, or not in it."""
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    yield from (f"{name} is missing" for name in sorted(listed.keys() - there))
    yield from (f"{name} is not in the manifest" for name in sorted(there - listed.keys() - set(NOT_LISTED)))
    for name in sorted(there & listed.keys()):
        if files.file_digest(folder / name) != listed[name]["sha256"]:
            yield f"{name} is corrupt"


def compared(
    folder: Path, check: str, file: str, about: Mapping[str, Any], ask: Callable[[Mapping[str, Array]], Array]
) -> Row:
    """Whether the golden inputs get the golden outputs."""
    path = folder / about["golden_outputs"]
    rows, outputs = golden.from_bytes(path.read_bytes()) if path.is_file() else ({}, {})
    if file not in outputs:
        return Row(folder, check, False, f"{path} holds no output of {file}; export again")
    expected = outputs[file]
    try:
        images = images_of(about["inputs"]) if about["graphs"][file]["pixels"] else ()
        got = golden.thinned(ask(as_pixels(rows, images, client.bits_of(about))))
    except FoundryError as error:
        return Row(folder, check, False, str(error))
    if got.shape != expected.shape or got.dtype != expected.dtype:
        says = f"{got.dtype}{list(got.shape)} in place of {expected.dtype}{list(expected.shape)}"
        return Row(folder, check, False, says)
    finding = gate.at_most(*session.difference(got, expected, about["graphs"][file]["tolerance"]))
    return Row(folder, check, finding.passed, str(finding))


def served(folders: Sequence[Path], backend: Backend) -> Iterator[Row]:
    """The golden outputs once more, asked of a server that has loaded all folders; by seed if there are seeds."""
    ports = Ports.free()
    try:
        with backend.launch(folders, ports):
            for folder in folders:
                yield from asked(folder, f"http://127.0.0.1:{ports.http}")
    except NotInstalled as error:
        yield from (Row(folder, "server", None, f"not run: {error}") for folder in folders)
    except FoundryError as error:
        yield from (Row(folder, "server", False, str(error)) for folder in folders)


def asked(folder: Path, url: str) -> Iterator[Row]:
    """One folder's models on a running server: every endpoint that its manifest lists."""
    manifest = manifest_of(folder)
    for endpoint in endpoints_of(manifest):
        about = manifest["roles"][endpoint.role]
        if endpoint.seeded:
            ask = by_seed(client.Generator.connect(url, folder, endpoint.role))
        else:
            ask = partial(by_row if endpoint.tiles else client.infer, url, endpoint.name, output=endpoint.output.name)
        yield compared(folder, f"server, {endpoint.name}", endpoint.graph, about, ask)


def by_row(url: str, model: str, rows: Mapping[str, Array], output: str) -> Array:
    """Ask for each row by itself."""
    n = len(next(iter(rows.values())))
    each = [{name: value[k : k + 1] for name, value in rows.items()} for k in range(n)]
    return np.concatenate([client.infer(url, model, row, output) for row in each])


def by_seed(generator: client.Generator) -> Callable[[Mapping[str, Array]], Array]:
    """Ask for the golden rows by their seeds and labels: 0, 1, 2, ... whatever latents there are."""
    labels = {i["name"] for i in generator.about["inputs"] if i["prior"] == "label"}

    def ask(rows: Mapping[str, Array]) -> Array:
        n = len(next(iter(rows.values())))
        return generator.draw(np.arange(n), **{name: rows[name] for name in labels})

    return ask


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal."""
    words = {True: "ok", False: "FAILED", None: "-"}
    return "\n".join(aligned([(str(row.folder), row.check, words[row.passed], row.says) for row in rows]))
