"""Writes what a fleet needs to serve exported folders: a compose file, and a KServe InferenceService a run.

Both say what the manifests and model repositories say, in plain values: the same folders give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from gan_core.runtime import files
from gan_core.runtime.errors import InputError
from gan_core.serving.backends.base import ON, Deployable
from gan_core.serving.deploy.compose import compose
from gan_core.serving.deploy.deployed import Deployed
from gan_core.serving.deploy.kserve import inference_service

HEAD = "# Written by `gan deploy` from the manifests of what it serves; write it again after an export.\n"


def write(
    folders: Sequence[Path], out: Path, backend: Deployable, version: str, store: str, on: str = "cuda"
) -> list[Path]:
    """``compose.yaml`` for all of ``folders`` and ``kserve/<run>.yaml`` for each; returns the paths.

    ``store``: the place from which a cluster fetches ``exported/``, as in s3://models/exported. ``on``: where servers
    compute, ``cuda``, ``tensorrt`` or ``cpu``.

    Raises:
        DataError: a folder holds no finished export.
        InputError: two of them are of one name, or ``on`` is none of the three.
    """
    if on not in ON:
        raise InputError(f"--on {on} is none of {', '.join(ON)}")
    runs = [Deployed.read(folder) for folder in folders]
    if twice := sorted({r.name for r in runs if sum(r.name == other.name for other in runs) > 1}):
        raise InputError(f"two folders are of a run '{twice[0]}', a server needs a name for each; deploy them apart")
    largest = max(run.largest_request for run in runs)
    described = {
        out / "compose.yaml": compose(
            runs, out, backend.container(version, largest, on, [run.repository for run in runs])
        )
    }
    for run in runs:
        container = backend.container(version, run.largest_request, on, [run.repository])
        described[out / "kserve" / f"{run.name}.yaml"] = inference_service(run, container, version, store)
    for path, value in described.items():
        files.write(path, (HEAD + yaml.safe_dump(value, sort_keys=False, width=120)).encode())
    return list(described)
