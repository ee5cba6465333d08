"""What a run's result is a function of: if any of it changes, saved state belongs to another run."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from gan_core import files

ROOT = Path(__file__).parents[2]
SHARED = ("build", "classifier", "curvature", "head", "lookahead", "memory")
"""Files beside the papers and networks that are no rows of a table."""


def code_digests(rows: Collection[str]) -> dict[str, str]:
    """The sha256 of every file of ours that this process has loaded; of the papers and networks, ``rows`` only."""
    loaded = {Path(f).resolve() for m in list(sys.modules.values()) if (f := getattr(m, "__file__", None))}
    ours = sorted(
        p for p in loaded if p.is_relative_to(ROOT) and p.relative_to(ROOT).parts[0] in ("gan_core", "stages")
    )
    used = [p for p in ours if p.parent.name not in ("variants", "networks") or p.stem in rows]
    return {str(p.relative_to(ROOT)): file_digest(p) for p in used}


def file_digest(path: Path) -> str:
    """Its first 16 hexadecimal digits: enough to tell files apart."""
    return files.file_digest(path)[:16]


def facts(declared: dict[str, Any], data_sha256: str, device: str, rows: Collection[str]) -> dict[str, str]:
    """Everything the result depends on, flat: name -> value. ``rows``: the variant and the network family in use."""
    context = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    return {
        **{f"params.{k}": v for k, v in flatten(declared)},
        "data": data_sha256,
        **{f"code.{k}": v for k, v in code_digests((*rows, *SHARED)).items()},
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
            differs = "; ".join(changes(files.read_json(other), now))
            print(f"an interrupted run differs from this one, so it is not continued: {differs}", file=sys.stderr)
    files.write_json(folder / "facts.json", now)


def changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What differs, in words."""
    names = sorted(old.keys() | new.keys())
    return [f"{n}: {old.get(n, '-')} -> {new.get(n, '-')}" for n in names if old.get(n) != new.get(n)]
