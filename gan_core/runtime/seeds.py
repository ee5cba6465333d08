"""Randomness as a function of where we are: no generator state to save, so a resumed run draws the same numbers."""

from __future__ import annotations

from hashlib import blake2b


def fold(*path: int | str) -> int:
    """A 63-bit seed that depends on every part of ``path``, in order (for example seed, step, update, repeat)."""
    digest = blake2b("/".join(map(str, path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
