"""What a run's result is a function of: if any of it changes, saved state belongs to another run."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gan_core.core.artifact import content_digest
from gan_core.core.frozen import Frozen
from gan_core.runtime import closure, files
from gan_core.training.checkpoint import FORMAT

STEPS = "params.train.steps"
SAID = 5
"""So many differences are said."""


def facts(
    declared: dict[str, Any],
    data_sha256: str,
    device: str,
    code: list[Path],
    frozen: Mapping[str, Frozen],
    of_length: bool,
) -> dict[str, str]:
    """Everything a state depends on, flat: name -> value.

    ``code``: the files that compute it; ``frozen``: the networks that only compute, which no checkpoint holds;
    ``of_length``: a step depends on how many there will be, so a longer run is another from its first step.
    """
    params = {f"params.{k}": v for k, v in flatten(declared)}
    steps = params.pop(STEPS)
    return {
        **params,
        **({f"{STEPS}, whose share a schedule follows": steps} if of_length else {}),
        "data": data_sha256,
        **{f"code.{closure.relative(path)}": files.file_digest(path)[:16] for path in code},
        **{f"frozen.{name}": content_digest(part.network.state_dict(), {})[:16] for name, part in frozen.items()},
        "state_format": str(FORMAT),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def flatten(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names."""
    flat = []
    for key, value in tree.items():
        if isinstance(value, dict):
            flat += flatten(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", json.dumps(value)))
    return flat


def key(facts: dict[str, str]) -> str:
    """One short name for all of them."""
    return files.digest(json.dumps(facts, sort_keys=True).encode())[:16]


def announce(folder: Path, now: dict[str, str]) -> None:
    """Leave the facts beside the state, and say why an earlier run, interrupted or finished, is not continued."""
    for other in folder.parent.glob("*/facts.json"):
        if other.parent != folder:
            differs = changes(files.read_json(other), now)
            more = f"; and {len(differs) - SAID} more" if len(differs) > SAID else ""
            print(
                f"an earlier run differs from this one, so it is not continued: {'; '.join(differs[:SAID])}{more}",
                file=sys.stderr,
            )
    files.write_json(folder / "facts.json", now)


def changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What differs, in words."""
    names = sorted(old.keys() | new.keys())
    return [f"{n}: {old.get(n, '-')} -> {new.get(n, '-')}" for n in names if old.get(n) != new.get(n)]
