"""Triton as one of the servers that the rest knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from gan_core.export.manifest import ModelEndpoint
from gan_core.serving.backends.base import Container, Ports
from gan_core.serving.backends.triton.server import Installation, cache_for, running

IMAGE = "nvcr.io/nvidia/tritonserver"
VERSION = "25.07-py3"
"""The first series that limits the size of a request over HTTP."""
USER = 1000
"""triton-server, in NVIDIA's image."""


@dataclass(frozen=True)
class Triton:
    """NVIDIA Triton Inference Server."""

    environment: Path = Path(".venv-triton")
    """Where the server of the nvidia-pytriton wheel is installed."""

    def write(
        self,
        root: Path,
        endpoints: Sequence[ModelEndpoint],
        graphs: Mapping[str, bytes],
        provenance: Mapping[str, str],
    ) -> None:
        """A model repository."""
        from gan_core.serving.backends.triton import repository  # its messages are those of Triton's client

        repository.write(root, endpoints, graphs, provenance)

    def listens(self, ports: Ports) -> Mapping[str, int]:
        """All of them."""
        return {"HTTP": ports.http, "gRPC": ports.grpc, "metrics": ports.metrics}

    @contextmanager
    def launch(self, folders: Sequence[Path], ports: Ports) -> Iterator[Popen[bytes]]:
        """The server of the nvidia-pytriton wheel, on this machine's CPU."""
        repositories = [folder / "model_repository" for folder in folders]
        with running(Installation.find(self.environment), repositories, ports) as process:
            yield process

    def container(self, version: str, largest_request: int, on: str, repositories: Sequence[Path]) -> Container:
        """NVIDIA's image; no guesses about models, float32 in float32, and no request larger than needed."""
        limit = f"--http-max-input-size={largest_request}"
        config = [] if on == "cuda" else [f"--model-config-name={on}"]
        kserve = {
            "modelFormat": {"name": "triton", "version": "2"},
            "runtime": "kserve-tritonserver",
            "protocolVersion": "v2",
        }
        return Container(
            "triton",
            kserve,
            f"{IMAGE}:{version}",
            ("tritonserver", "--disable-auto-complete-config", *config, *cache_for(repositories), limit),
            "--model-repository=",
            (8000, 8001, 8002),
            "/v2/health/ready",
            "/v2/health/live",
            USER,
            on != "cpu",
            {"NVIDIA_TF32_OVERRIDE": "0"} if on != "cpu" else {},
        )
