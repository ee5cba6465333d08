"""Starts the real ``tritonserver`` of the nvidia-pytriton wheel on a model repository, and stops it again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gan_core.runtime.errors import DataError
from gan_core.serving.backends import local
from gan_core.serving.backends.base import NotInstalled, Ports

CACHE_BYTES = 256 << 20
"""Of answers that a server keeps where models ask for that."""
OURS = Path(__file__).parent / "python"


@dataclass(frozen=True)
class Installation:
    """An environment that holds the server: nvidia-pytriton, numpy<2 and onnxruntime, apart from the project's own.

    With numpy 2 in its Python this server answers with empty tensors, hence the separate environment.
    """

    site: Path

    @staticmethod
    def find(root: Path) -> Installation:
        """The installation in the virtual environment ``root``.

        Raises:
            NotInstalled: there is none.
        """
        found = sorted(root.glob("lib/python*/site-packages/pytriton/tritonserver/bin/tritonserver"))
        if not found:
            raise NotInstalled(
                f"no Triton server in {root}; run `make .venv-triton` once (55 MB, Linux x86-64), or "
                "use `--server onnxruntime`"
            )
        return Installation(found[0].parents[3])

    @property
    def server(self) -> Path:
        """The folder of the server."""
        return self.site / "pytriton" / "tritonserver"

    @property
    def python(self) -> str:
        """Its Python's version, as in 3.11."""
        return self.site.parent.name.removeprefix("python")

    def lay_out(self, folder: Path) -> Path:
        """A backend folder: the server's python backend with the stub of this Python, and ours."""
        backends = folder / "backends"
        shutil.copytree(self.server / "backends" / "python", backends / "python")
        stub = self.server / "python_backend_stubs" / self.python / "triton_python_backend_stub"
        shutil.copy2(stub, backends / "python")
        shutil.copytree(OURS, backends, dirs_exist_ok=True)
        return backends

    def environment(self) -> dict[str, str]:
        """What the server and its Python need: libraries, and a PATH on which that Python finds its own packages."""
        libraries = f"{self.site / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
        path = f"{self.site.parents[2] / 'bin'}:{os.environ.get('PATH', '')}"
        return os.environ | {"LD_LIBRARY_PATH": libraries, "PATH": path}


@contextmanager
def running(
    installation: Installation, repositories: Sequence[Path], ports: Ports
) -> Iterator[subprocess.Popen[bytes]]:
    """A server with all models of ``repositories`` ready, on this machine's CPU; stopped at the end.

    Raises:
        EnvironmentFailure: a port is in use, or the server did not get ready in time.
        DataError: the server refuses a repository; its reason is in the message.
    """
    for repository in repositories:
        if not repository.is_dir():
            raise DataError(f"{repository} is no model repository; `dvc repro` makes it")
    local.check_ports((ports.http, ports.grpc, ports.metrics))
    with tempfile.TemporaryDirectory(prefix="triton-") as scratch:
        path = Path(scratch) / "server.log"
        command = [
            str(installation.server / "bin" / "tritonserver"),
            *(f"--model-repository={view(r, Path(scratch) / f'models-{k}')}" for k, r in enumerate(repositories)),
            f"--backend-directory={installation.lay_out(Path(scratch))}",
            f"--cache-directory={installation.server / 'caches'}",
            "--model-config-name=cpu",
            "--disable-auto-complete-config",
            f"--backend-config=python,shm-region-prefix-name=triton-{ports.http}-",
            *cache_for(repositories),
            f"--http-port={ports.http}",
            f"--grpc-port={ports.grpc}",
            f"--metrics-port={ports.metrics}",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
        ]
        with local.running(command, installation.environment(), ports.http, path) as process:
            yield process


def cache_for(repositories: Sequence[Path]) -> list[str]:
    """What a server is started with so that it has the cache that models ask for; nothing, where none asks."""
    asked = any("response_cache" in c.read_text() for r in repositories for c in r.glob("*/config.pbtxt"))
    return [f"--cache-config=local,size={CACHE_BYTES}"] if asked else []


def view(repository: Path, folder: Path) -> Path:
    """The repository as links: the server's Python writes compiled files beside a model; an export stays as it is."""
    return Path(shutil.copytree(repository.resolve(), folder, copy_function=os.symlink))
