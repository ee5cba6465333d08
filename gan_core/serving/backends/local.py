"""Starts a server as a process of this machine, waits until it is ready, and stops it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gan_core.runtime.errors import DataError, EnvironmentFailure
from gan_core.runtime.process import die_with_parent

READY_IN = 90.0
"""Seconds a server may take to load its models and warm them up."""


def check_ports(ports: Iterable[int]) -> None:
    """Refuse ports that are in use.

    Raises:
        EnvironmentFailure: another process listens there.
    """
    for port in ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except (OSError, OverflowError) as error:
            raise EnvironmentFailure(
                f"port {port} cannot be had ({error}); stop what listens there, or choose another with "
                "--http-port, --grpc-port or --metrics-port"
            ) from None


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], port: int, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ready, ``port``: over HTTP; stopped at the end. What it says goes to ``log``.

    Raises:
        EnvironmentFailure: it did not get ready in time.
        DataError: it refuses to start; its reason is in the message.
    """
    process = launch(command, environment, log)
    try:
        wait_until_ready(process, port, log)
        yield process
    finally:
        stop(process)


def launch(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A server as a process group of its own that ends with this process."""
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the health endpoint.

    Raises:
        EnvironmentFailure: it did not answer in time.
        DataError: the process has ended.
    """
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
