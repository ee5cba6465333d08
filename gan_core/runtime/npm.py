"""Packages of the npm registry by HTTPS, each of a pinned version and checksum. npm itself is not needed."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import urllib.request

from gan_core.runtime.errors import EnvironmentFailure

VARIABLE = "npm_config_registry"
"""In which npm, too, looks for a registry."""
REGISTRY = "https://registry.npmjs.org"
"""Where none is named."""
PATIENCE = 60.0
"""Seconds to wait for the registry."""


def package(name: str, version: str, integrity: str) -> bytes:
    """The tarball of a package. ``integrity``: its sha512 as the registry publishes it, ``sha512-`` and base64.

    Raises:
        EnvironmentFailure: no registry answers, or the package is another one.
    """
    registry = (os.environ.get(VARIABLE) or REGISTRY).rstrip("/")
    url = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EnvironmentFailure(
            f"{url} cannot be fetched ({error}); connect this machine once, or name another registry in {VARIABLE}"
        ) from None
    found = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
    if found != integrity:
        raise EnvironmentFailure(f"{url} is {found}, not {integrity}; nothing of it is used")
    return content
