"""Memory of a process: what is freed is left to the next tensors."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import ctypes, resource, sys
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
if "reuse" in sys.argv:
    from pipeline.common.processes import reuse_freed_memory
    reuse_freed_memory()
for step in range(9):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.malloc(20 * 2**20) for _ in range(8)]
    for block in blocks:
        libc.memset(block, 1, 20 * 2**20)
    for block in reversed(blocks):
        libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)
def test_freed_memory_is_used_again() -> None:
    """Without the call, each step maps its 160 MiB anew: 40,960 pages of 4 KiB."""
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", COUNT_FAULTS, *arguments], capture_output=True, check=True
            ).stdout
        )
        for arguments in ([], ["reuse"])
    ]
    assert faults[0] > 100 + 10 * faults[1]
