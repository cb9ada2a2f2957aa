"""The state that figures were measured in: the machine, the versions, and what else ran."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("bpy", "torch", "torchvision", "numpy", "pycocotools", "onnxruntime")


def machine(cores: int) -> dict[str, Any]:
    """Processor, cores in use and in all, memory, system, versions. No name of a host or a user."""
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "cores_of_machine": os.cpu_count(),
        "memory_gb": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def cpu_name() -> str:
    """The processor's own name, as far as the system gives it."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def keep_to(cores: int) -> int:
    """Keep this process and those it starts to so many cores (0: all it may use); give how many they are.

    Where the system can't pin processes, the threads are limited all the same.
    """
    if hasattr(os, "sched_getaffinity"):
        mine = sorted(os.sched_getaffinity(0))
        mine = mine[: cores or len(mine)]
        os.sched_setaffinity(0, mine)
        cores = len(mine)
    cores = cores or os.cpu_count() or 1
    os.environ["OMP_NUM_THREADS"] = str(cores)
    return cores


def _memory() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


class Beside:
    """How much of the machine others used since this was made."""

    def __init__(self) -> None:
        """Start to watch."""
        self._began, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """Mean number of cores that other processes kept busy; None where the system doesn't say."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        others = busy - self._busy - (_own_seconds() - self._own)
        return round(max(0.0, others) / (time.monotonic() - self._began), 2)


def _busy_seconds() -> float | None:
    """Core seconds that anybody computed since the machine started (user, nice, system)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]
    except OSError:
        return None
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Core seconds of this process and of those it has seen end."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)
