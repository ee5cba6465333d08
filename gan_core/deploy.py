"""Writes what a fleet needs to serve exported folders: a compose file, and a KServe InferenceService a run.

Both say what the manifests and model repositories say, in plain values: the same folders give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import yaml

from gan_core import files
from gan_core.errors import DataError, InputError
from gan_core.exported import manifest_of

IMAGE = "nvcr.io/nvidia/tritonserver"
VERSION = "25.07-py3"
"""The first series that limits the size of a request over HTTP."""

USER = 1000
"""triton-server, in NVIDIA's image."""

NUMBER = 32
"""Bytes that a number takes in the longest form a request gives it, as JSON."""

READY, LIVE = "/v2/health/ready", "/v2/health/live"
HEAD = (
    "# Written by `python -m gan_core deploy` from the manifests of what it serves; write it again after an export.\n"
)


@dataclass(frozen=True)
class Deployed:
    """One exported run, as a fleet sees it."""

    run: str
    repository: Path
    largest_request: int
    """Bytes of the largest batch, as JSON."""
    weights: dict[str, str]
    """The sha256 of the weights of each role."""

    @staticmethod
    def read(folder: Path) -> Deployed:
        """From its manifest.

        Raises:
            DataError: the folder holds no finished export.
        """
        manifest, repository = manifest_of(folder), folder / "model_repository"
        if not repository.is_dir():
            raise DataError(f"{folder} has no model_repository; `dvc repro export@{folder.name}` makes it")
        rows = {
            role: said["max_batch_size"] * sum(prod(i["shape"][1:]) for i in said["inputs"])
            for role, said in manifest["roles"].items()
        }
        weights = {role: said["provenance"]["weights_sha256"] for role, said in manifest["roles"].items()}
        return Deployed(manifest["run"], repository, NUMBER * max(rows.values()), weights)

    @property
    def name(self) -> str:
        """As Kubernetes spells names: no underscores."""
        return self.run.replace("_", "-").lower()


def write(folders: Sequence[Path], out: Path, version: str, store: str) -> list[Path]:
    """``compose.yaml`` for all of ``folders`` and ``kserve/<run>.yaml`` for each; returns the paths.

    ``store``: the place from which a cluster fetches ``exported/``, as in s3://models/exported.

    Raises:
        DataError: a folder holds no finished export.
        InputError: two of them are of one name.
    """
    runs = [Deployed.read(folder) for folder in folders]
    if twice := sorted({r.name for r in runs if sum(r.name == other.name for other in runs) > 1}):
        raise InputError(f"two folders are of a run '{twice[0]}', a server needs a name for each; deploy them apart")
    described = {out / "compose.yaml": compose(runs, out, version)}
    described |= {out / "kserve" / f"{run.name}.yaml": inference_service(run, version, store) for run in runs}
    for path, value in described.items():
        files.write(path, (HEAD + yaml.safe_dump(value, sort_keys=False, width=120)).encode())
    return list(described)


def limits(runs: Sequence[Deployed]) -> list[str]:
    """What the server is told beside where the models are: no guesses about them, and no request larger than needed."""
    needed = max(run.largest_request for run in runs)
    return ["--disable-auto-complete-config", f"--http-max-input-size={max(1 << 20, needed)}"]


def compose(runs: Sequence[Deployed], out: Path, version: str) -> dict[str, Any]:
    """One server on one machine with a GPU, on all runs; nothing in it can be written to."""
    return {
        "name": "gan-foundry",
        "services": {
            "triton": {
                "image": f"{IMAGE}:{version}",
                "command": ["tritonserver", *(f"--model-repository=/models/{run.run}" for run in runs), *limits(runs)],
                "user": f"{USER}:{USER}",
                "read_only": True,
                "tmpfs": ["/tmp"],
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges:true"],
                "shm_size": "256mb",
                "ports": [f"127.0.0.1:{port}:{port}" for port in (8000, 8001, 8002)],
                "volumes": list(mounts(runs, out)),
                "healthcheck": {
                    "test": ["CMD", "curl", "-fs", f"http://localhost:8000{READY}"],
                    "interval": "10s",
                    "timeout": "5s",
                    "retries": 3,
                    "start_period": "2m",
                },
                "deploy": {
                    "resources": {
                        "reservations": {"devices": [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]}
                    }
                },
                "restart": "unless-stopped",
            }
        },
    }


def mounts(runs: Sequence[Deployed], out: Path) -> Iterator[dict[str, Any]]:
    """The model repositories, read-only, from where they lie beside the compose file."""
    for run in runs:
        source = Path(os.path.relpath(run.repository, out)).as_posix()
        yield {
            "type": "bind",
            "source": source if source.startswith(".") else f"./{source}",
            "target": f"/models/{run.run}",
            "read_only": True,
            "bind": {"create_host_path": False},
        }


def inference_service(run: Deployed, version: str, store: str) -> dict[str, Any]:
    """A run on a cluster: KServe fetches its model repository and runs as many servers as are asked for."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": run.name,
            "labels": {"app.kubernetes.io/part-of": "gan-foundry"},
            "annotations": {f"gan-foundry/{role}-weights-sha256": digest for role, digest in run.weights.items()},
        },
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 4,
                "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "fsGroup": USER},
                "model": {
                    "modelFormat": {"name": "triton", "version": "2"},
                    "runtime": "kserve-tritonserver",
                    "runtimeVersion": version,
                    "protocolVersion": "v2",
                    "storageUri": f"{store.rstrip('/')}/{run.run}/model_repository",
                    "args": limits([run]),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "resources": {
                        "requests": {"cpu": "1", "memory": "4Gi", "nvidia.com/gpu": "1"},
                        "limits": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"},
                    },
                    "startupProbe": probe(READY, 10, 30),
                    "readinessProbe": probe(READY, 5, 3),
                    "livenessProbe": probe(LIVE, 10, 3),
                },
            }
        },
    }


def probe(path: str, seconds: int, times: int) -> dict[str, Any]:
    """Ask every so many seconds; so many failures in a row count."""
    return {"httpGet": {"path": path, "port": 8080}, "periodSeconds": seconds, "failureThreshold": times}
