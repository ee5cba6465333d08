"""What a run's result is a function of: if any of it changes, saved state belongs to another run."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from gan_core import files

ROOT = Path(__file__).parents[2]


def code_digests() -> dict[str, str]:
    """The sha256 of every file of ours that this process has imported."""
    loaded = [getattr(m, "__file__", None) for n, m in sys.modules.items() if n.split(".")[0] in ("gan_core", "stages")]
    return {str(Path(f).relative_to(ROOT)): file_digest(f) for f in sorted(filter(None, loaded))}


def file_digest(path: str) -> str:
    """Its first 16 hexadecimal digits: enough to tell files apart."""
    return files.file_digest(Path(path))[:16]


def facts(declared: dict[str, Any], data_sha256: str, device: str) -> dict[str, str]:
    """Everything the result depends on, flat: name -> value."""
    context = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    return {
        **{f"params.{k}": v for k, v in flatten(declared)},
        "data": data_sha256,
        **{f"code.{k}": v for k, v in code_digests().items()},
        **context,
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
    """Leave the facts beside the state, and say why an interrupted run of another declaration is not continued."""
    for other in folder.parent.glob("*/facts.json"):
        if other.parent != folder and any(other.parent.glob("step-*")):
            differs = "; ".join(changes(json.loads(other.read_text()), now))
            print(
                f"{other.parent} holds an interrupted run that differs, so it is not continued: {differs}",
                file=sys.stderr,
            )
    files.write_json(folder / "facts.json", now)


def changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What differs, in words."""
    names = sorted(old.keys() | new.keys())
    return [f"{n}: {old.get(n, '-')} -> {new.get(n, '-')}" for n in names if old.get(n) != new.get(n)]
