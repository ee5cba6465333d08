"""A page to play with exported generators: static files, computed by the browser. No torch.

The page reads the manifests and nothing else, so whatever a run exports gets the controls that its inputs ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_core.export.manifest import manifest_of
from gan_core.runtime import files
from gan_core.runtime.errors import DataError, InputError
from gan_core.serving import client
from gan_core.serving.demo import onnxruntime_web

PAGE = Path(__file__).parent / "page"
INDEX = "demo.json"
"""What a written folder is known by."""
CARD = "README.md"
"""What the page links to, where an export has it."""


def write(folders: Sequence[Path], out: Path) -> int:
    """The page with all of ``folders`` as the folder ``out``, whole or not at all; returns how many bytes it has.

    Raises:
        DataError: a folder holds no finished export, or a file of it is not what its manifest describes.
        EnvironmentFailure: ONNX Runtime Web is not in the cache, and cannot be fetched.
        InputError: two folders are of one run, or ``out`` is a folder with something else in it.
    """
    manifests = [manifest_of(folder) for folder in folders]
    runs = [manifest["run"] for manifest in manifests]
    if twice := sorted({run for run in runs if runs.count(run) > 1}):
        raise InputError(f"two folders are of a run '{twice[0]}', and the page tells runs by name; show one of them")
    out = out.absolute()
    if out.exists() and not (out / INDEX).is_file() and (out.is_file() or any(out.iterdir())):
        raise InputError(f"--out {out} is there and no folder of `gan demo`; name one that is not, or empty it")
    runtime = onnxruntime_web.contents()
    with files.replacing(out) as new:
        for path in sorted(PAGE.iterdir()):
            files.write(new / path.name, path.read_bytes())
        for name, content in runtime.items():
            files.write(new / onnxruntime_web.NAME / name.replace(".mjs", ".js"), content)  # every host knows .js
        for k, (folder, manifest) in enumerate(zip(folders, manifests, strict=True)):
            for name, content in copied(folder, manifest):
                files.write(new / place(k) / name, content)
        listed = [{"run": run, "folder": place(k)} for k, run in enumerate(runs)]
        files.write_json(new / INDEX, {"onnxruntime_web": onnxruntime_web.VERSION, "runs": listed})
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def place(k: int) -> str:
    """Where the files of the k-th run lie: a name of ours, whatever the run is called."""
    return f"runs/{k}"


def copied(folder: Path, manifest: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """What the page reads of one export, by names under its folder.

    Raises:
        DataError: a file is not what the manifest describes.
    """
    yield "manifest.json", (folder / "manifest.json").read_bytes()
    names = [name for about in manifest["roles"].values() for name in (*shown(about), about["golden_outputs"])]
    for name in (*names, *(name for name in manifest["files"] if name == CARD)):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{folder / 'manifest.json'} names a file outside its folder: {name}")
        yield name, client.verified(folder, name, manifest["files"][name])


def shown(about: Mapping[str, Any]) -> list[str]:
    """The graphs of a role that the page runs: one a precision, the one of pixels where there is one."""
    ordered = sorted(about["graphs"].items(), key=lambda item: item[1]["pixels"])
    return list({graph["precision"]: file for file, graph in ordered}.values())
