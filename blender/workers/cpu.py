"""How many cores there are, and how few the thread pools of bpy and numpy shall know of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""For the environment of a process that renders: numpy's products are small here, and the threads that it
keeps for them spin while they wait."""


def core_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def one_core_seen() -> Iterator[None]:
    """Import bpy inside: its thread pool (TBB) then has no threads of its own but those Cycles asks for.

    It keeps one for each core that it sees when it is loaded, which between tasks spins for more: two
    processes on two cores took a seventh longer. Cycles gets the threads it is told to use anyway.
    """
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
