"""Serves a written page to this machine's browser."""

from __future__ import annotations

import errno
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gan_core.runtime.errors import EnvironmentFailure

HOST = "127.0.0.1"


class Handler(SimpleHTTPRequestHandler):
    """Files with types that do not depend on this machine's own table, always as they are now."""

    extensions_map = {  # noqa: RUF012
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".md": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: a page asks for many files."""


def server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder on this machine's own address; port 0 is any that is free.

    Raises:
        EnvironmentFailure: the port is in use, or not to be had.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(Handler, directory=str(site)))
    except (OSError, OverflowError) as error:
        used = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use" if used else f"cannot be opened ({error})"
        raise EnvironmentFailure(f"port {port} {why}; name another one with --port, or 0 for any") from None
