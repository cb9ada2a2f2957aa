"""Number of CPU cores, and limits for the thread pools of numpy and bpy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

SINGLE_THREADED_BLAS = {"OPENBLAS_NUM_THREADS": "1"}
"""Environment variables for a rendering process. Its matrix products are small, and the threads of OpenBLAS
would use CPU time while they wait."""


def core_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def pinned_to_one_core() -> Iterator[None]:
    """Pin the process to one core while bpy is imported, so that bpy's thread pool (TBB) starts no threads.

    TBB starts one thread for each available core at import, and these threads spin between tasks. Two
    rendering processes on two cores took a seventh longer because of these threads. The number of threads
    that Cycles uses is set separately (``use_device``) and does not change. Does nothing outside Linux.
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
