"""ONNX Runtime Web (MIT), which computes graphs in a browser: fetched once, kept in the user's cache, checked."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from gan_core.runtime import files, npm

NAME, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SHA256 = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""What of the package computes on a CPU: its program, and its WebAssembly."""


def cache() -> Path:
    """Where the files are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "gan-foundry" / f"{NAME}-{VERSION}"


def contents() -> dict[str, bytes]:
    """The files by name, from the cache; from the npm registry, where it lacks one or holds another.

    Raises:
        EnvironmentFailure: they are not in the cache, and no registry answers.
    """
    folder = cache()
    kept = {name: (folder / name).read_bytes() for name in SHA256 if (folder / name).is_file()}
    if {name: files.digest(content) for name, content in kept.items()} == SHA256:
        return kept
    with tarfile.open(fileobj=io.BytesIO(npm.package(NAME, VERSION, INTEGRITY))) as tar:
        found = {name: tar.extractfile(f"package/dist/{name}") for name in SHA256}
        made = {name: file.read() for name, file in found.items() if file}
    for name, content in made.items():
        files.write(folder / name, content)
    return made
