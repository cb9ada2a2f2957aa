"""The conditions of a measurement: machine, package versions, and the load of other processes."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from pathlib import Path
from typing import Any

from pipeline.common.versions import NOT_INSTALLED, package_version

PACKAGES = ("bpy", "torch", "torchvision", "numpy", "pycocotools", "onnxruntime")


def machine_info(cores: int) -> dict[str, Any]:
    """Describe processor, cores, memory, system and versions, without the names of host and user.

    Args:
        cores: number of cores that the benchmark uses.
    """
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "cores_of_machine": os.cpu_count(),
        "memory_gb": _memory_gigabytes(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: number for name in PACKAGES if (number := package_version(name)) != NOT_INSTALLED},
    }


def cpu_name() -> str:
    """Return the name of the processor, as far as the system reports it."""
    try:
        match = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        match = None
    return match.group(1) if match else platform.processor() or platform.machine()


def limit_cores(cores: int) -> int:
    """Pin this process and its children to a number of cores.

    Where the system cannot pin processes, only the number of threads is limited.

    Args:
        cores: number of cores; 0: all cores that the process may use.

    Returns:
        The number of cores in use.
    """
    if hasattr(os, "sched_getaffinity"):
        available = sorted(os.sched_getaffinity(0))
        selected = available[: cores or len(available)]
        os.sched_setaffinity(0, selected)
        cores = len(selected)
    cores = cores or os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(cores)
    return cores


def _memory_gigabytes() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


class BackgroundLoad:
    """The CPU load of other processes since this object was created."""

    def __init__(self) -> None:
        """Start the measurement."""
        self._start, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """Return the mean number of cores in use by other processes; None if the system does not report
        it."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = busy - self._busy - (_own_seconds() - self._own)
        return round(max(0.0, others) / (time.monotonic() - self._start), 2)


def _busy_seconds() -> float | None:
    """Return the CPU seconds of all processes since the machine started (user, nice, system)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]
    except OSError:
        return None
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Return the CPU seconds of this process and of its ended child processes."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
