"""Parts of sentences."""

from __future__ import annotations


def either(*ways: str) -> str:
    """``a, b, or c``."""
    *others, last = ways
    return f"{', '.join(others)}, or {last}" if others else last
