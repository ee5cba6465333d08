"""Starts the real ``tritonserver`` of the nvidia-pytriton wheel on a model repository, and stops it again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gan_core.runtime.errors import DataError, EnvironmentFailure
from gan_core.runtime.process import die_with_parent
from gan_core.serving.backends.base import NotInstalled, Ports

OURS = Path(__file__).parent / "python"
READY_IN = 90.0
"""Seconds a server may take to load its models and warm them up."""


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
            raise NotInstalled(f"no Triton server in {root}; run `make .venv-triton` once (55 MB, Linux x86-64)")
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


def check_port(port: int) -> None:
    """Refuse a port that is in use.

    Raises:
        EnvironmentFailure: another process listens there.
    """
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except (OSError, OverflowError) as error:
        raise EnvironmentFailure(
            f"port {port} cannot be had ({error}); stop what listens there, or choose another with "
            "--http-port, --grpc-port or --metrics-port"
        ) from None


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
    for port in (ports.http, ports.grpc, ports.metrics):
        check_port(port)
    with tempfile.TemporaryDirectory(prefix="triton-") as scratch:
        path = Path(scratch) / "server.log"
        command = [
            str(installation.server / "bin" / "tritonserver"),
            *(f"--model-repository={view(r, Path(scratch) / f'models-{k}')}" for k, r in enumerate(repositories)),
            f"--backend-directory={installation.lay_out(Path(scratch))}",
            "--model-config-name=cpu",
            "--disable-auto-complete-config",
            f"--backend-config=python,shm-region-prefix-name=triton-{ports.http}-",
            f"--http-port={ports.http}",
            f"--grpc-port={ports.grpc}",
            f"--metrics-port={ports.metrics}",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--metrics-address=127.0.0.1",
        ]
        process = launch(installation, command, path)
        try:
            wait_until_ready(process, ports.http, path)
            yield process
        finally:
            stop(process)


def launch(installation: Installation, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A server as a process group of its own that ends with this process; what it says goes to ``log``."""
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=installation.environment(),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def view(repository: Path, folder: Path) -> Path:
    """The repository as links: the server's Python writes compiled files beside a model; an export stays as it is."""
    return Path(shutil.copytree(repository.resolve(), folder, copy_function=os.symlink))


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the health endpoint."""
    deadline = time.monotonic() + READY_IN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DataError(f"the server refused to start: {reason(log)}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise EnvironmentFailure(f"the server was not ready after {READY_IN:.0f} s: {reason(log)}")


def reason(log: Path) -> str:
    """The last errors a server wrote."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if "error" in line.lower() or line.startswith("E")]
    return " | ".join((errors or lines)[-3:])


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask, then insist, with all of its children."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
