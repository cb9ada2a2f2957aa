"""Measure the resident memory of a process: the current size and the peak."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def resident_megabytes() -> float:
    """Return this process's resident memory in MB, or its peak if the system reports no current size."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_megabytes()
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_megabytes(who: int = resource.RUSAGE_SELF) -> float:
    """Return the peak resident memory in MB.

    Args:
        who: ``RUSAGE_SELF`` for this process, ``RUSAGE_CHILDREN`` for the largest of its ended child
            processes.
    """
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return resource.getrusage(who).ru_maxrss * unit / 2**20
