"""What an inference server is to the rest: who writes its repository, starts it here, and names its image."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, Protocol

from gan_core.export.manifest import ModelEndpoint
from gan_core.runtime.errors import EnvironmentFailure

ON = ("cuda", "tensorrt", "cpu")
"""Where a server computes: on a GPU by CUDA, or by TensorRT, or without one."""


class NotInstalled(EnvironmentFailure):
    """There is no such server on this machine."""


@dataclass(frozen=True)
class Ports:
    """Where a server listens."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    @staticmethod
    def free() -> Ports:
        """Three ports nobody uses now."""
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        ports = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        return Ports(*ports)


@dataclass(frozen=True)
class Container:
    """How a fleet runs a server."""

    name: str
    kserve: Mapping[str, Any]
    """What an InferenceService says of the kind of server: runtime, model format, protocol."""
    image: str
    command: tuple[str, ...]
    """Without the repositories, which ``repository_argument`` names one by one."""
    repository_argument: str
    ports: tuple[int, ...]
    ready: str
    """The path that answers when all models are loaded."""
    live: str
    user: int
    gpu: bool
    environment: Mapping[str, str]


class Backend(Protocol):
    """One kind of inference server on this machine."""

    def listens(self, ports: Ports) -> Mapping[str, int]:
        """Of these ports those it uses, by what is spoken there."""
        ...

    def launch(self, folders: Sequence[Path], ports: Ports) -> AbstractContextManager[Popen[bytes]]:
        """A server with all models of these exported folders ready, stopped at the end.

        Raises:
            NotInstalled: it is not there.
            EnvironmentFailure: a port is in use, or the server did not get ready in time.
            DataError: the server refuses a folder; its reason is in the message.
        """
        ...


class Deployable(Backend, Protocol):
    """One that a fleet runs as well, from a repository of its own."""

    def write(
        self,
        root: Path,
        endpoints: Sequence[ModelEndpoint],
        graphs: Mapping[str, bytes],
        provenance: Mapping[str, str],
    ) -> None:
        """Write the repository of one role's endpoints below ``root``; ``graphs``: ONNX files by name."""
        ...

    def container(self, version: str, largest_request: int, on: str, repositories: Sequence[Path]) -> Container:
        """Its image, for these repositories.

        ``largest_request``: bytes of the largest request that it must take; ``on``: one of ``ON``.
        """
        ...
