"""The server of this Python as one of those that the rest knows."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen

from gan_core.serving.backends import local
from gan_core.serving.backends.base import NotInstalled, Ports


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime behind HTTP, in a process of this Python."""

    def listens(self, ports: Ports) -> Mapping[str, int]:
        """HTTP alone."""
        return {"HTTP": ports.http}

    @contextmanager
    def launch(self, folders: Sequence[Path], ports: Ports) -> Iterator[Popen[bytes]]:
        """A process of its own, so that it is stopped as any server is."""
        if find_spec("aiohttp") is None:
            raise NotInstalled(f"no aiohttp in {sys.prefix}, which this server needs; run `pip install aiohttp` once")
        local.check_ports(self.listens(ports).values())
        module = f"{__package__}.server"
        command = [sys.executable, "-m", module, str(ports.http), *map(str, folders)]
        with (
            tempfile.TemporaryDirectory(prefix="server-") as scratch,
            local.running(command, os.environ, ports.http, Path(scratch) / "server.log") as process,
        ):
            yield process
