"""Sets a process up so that the same inputs give the same bits."""

from __future__ import annotations

import ctypes
import os

import torch

from gan_core.runtime.errors import EnvironmentFailure


def set_up(threads: int, device: str = "cpu") -> str:
    """Fix threads and deterministic kernels; returns the device in use, ``cpu`` or ``cuda``.

    Raises:
        EnvironmentFailure: a GPU was asked for and there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["MKL_CBWR"] = "AUTO,STRICT"  # the same bits wherever arrays lie in memory
    torch.set_num_threads(threads)
    # Alone: at its first function MKL's vector library asks which processor this is, and of two threads that ask at
    # once one may get another processor's kernel, for this one call (pytorch issue 188792).
    torch.zeros(1).tanh()
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms(True) imports the compiler: a second
    # Nothing here reads memory that it did not write.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 is what it says; torch lets convolutions drop 13 bits
    if device == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFailure(
            "train.device is 'cuda', but torch finds no NVIDIA GPU here; set it to 'auto' or 'cpu'"
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt."""


def keep_memory() -> None:
    """Freed memory stays with the process, where glibc's allocator is the one in use: for who takes many equal steps.

    By default it returns megabytes to the kernel at each free, and a step takes back and clears thousands of pages.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
