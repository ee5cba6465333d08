"""A compose file: one server on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gan_core.serving.backends.base import Container
from gan_core.serving.deploy.deployed import Deployed

GPU = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def compose(runs: Sequence[Deployed], out: Path, container: Container) -> dict[str, Any]:
    """One server on one machine, on all runs; nothing in it can be written to but ``/tmp``."""
    program, *options = container.command
    return {
        "name": "gan-foundry",
        "services": {
            container.name: {
                "image": container.image,
                "command": [program, *(f"{container.repository_argument}/models/{run.run}" for run in runs), *options],
                "user": f"{container.user}:{container.user}",
                "read_only": True,
                "tmpfs": ["/tmp"],
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges:true"],
                "shm_size": f"{max(run.shared_memory for run in runs)}mb",
                "ports": [f"127.0.0.1:{port}:{port}" for port in container.ports],
                "volumes": list(mounts(runs, out)),
                "healthcheck": {
                    "test": ["CMD", "curl", "-fs", f"http://localhost:{container.ports[0]}{container.ready}"],
                    "interval": "10s",
                    "timeout": "5s",
                    "retries": 3,
                    "start_period": "2m",
                },
                **({"environment": dict(container.environment)} if container.environment else {}),
                **({"deploy": {"resources": {"reservations": {"devices": [GPU]}}}} if container.gpu else {}),
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
