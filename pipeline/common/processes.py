"""Helpers for processes: run a module, end with the parent, single-threaded torch, memory, number of cores.

Worker processes import this module first, so it imports nothing that takes time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""prctl(2) on Linux: set the signal that this process gets when its parent ends."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""mallopt(3) of glibc: free memory above which it is returned to the system, and size above which a block is
mapped on its own."""
_KEPT_BYTES, _MAPPED_BYTES = 2**30, 32 * 2**20
"""Values for both. glibc raises them by itself, but at most to 64 and 32 MiB."""

_RUN_MODULE = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
_END_WITH_PARENT = (
    "import sys; sys.path.insert(0, sys.argv[2]); from pipeline.common.processes import exit_with_parent; "
    "sys.path.pop(0); exit_with_parent(int(sys.argv.pop(1))); "
)


def module_command(name: str, *arguments: object, ends_with_parent: bool = False) -> list[str]:
    """Return the command line that runs a module of this program in another process.

    With ``python -m`` a file in the working directory, such as a user's own pipeline.py, would hide the
    program's packages.

    Args:
        name: name of the module or package, such as "blender.render".
        arguments: its arguments.
        ends_with_parent: kill the process when this one ends; see ``exit_with_parent``.
    """
    root, parent = Path(__file__).resolve().parents[2], [str(os.getpid())] if ends_with_parent else []
    code = _END_WITH_PARENT + _RUN_MODULE if ends_with_parent else _RUN_MODULE
    return [sys.executable, "-P", "-c", code, *parent, str(root), name, *map(str, arguments)]


def exit_with_parent(parent: int) -> None:
    """Kill this process when its parent ends.

    On Linux the kernel does so at any time. On other systems this process ends only if its parent has ended
    before the call.

    Args:
        parent: id of the process that started this process.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Run torch on one thread, because the result of a sum on several threads depends on their number."""
    import torch  # start-up time: worker processes that do not use torch must not wait for it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reuse_freed_memory() -> None:
    """Let glibc keep freed memory for later tensors, instead of returning it to the system after each.

    Networks allocate and free hundreds of megabytes per image. Each time, the system maps and clears the
    pages anew, which takes about a tenth of the time of a prediction. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt and mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES):
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def core_count() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
