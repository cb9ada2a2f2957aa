"""Processes that end with the one that started them. Imports nothing heavy: a helper begins here."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
"""prctl(2), Linux: the signal that this process gets when its parent ends."""


def end_with_parent(parent: int) -> None:
    """Have this process killed when the one that started it, ``parent``, ends; later on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread, whatever the process has: sums over several depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
