"""Memory of a process: freed tensors leave it to the next ones."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys, torch
if "reuse" in sys.argv:
    from pipeline.common.processes import reuse_freed_memory
    reuse_freed_memory()
for _ in range(20):
    many = [torch.ones(2**22) for _ in range(8)]  # 16 MiB each
    del many
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    many = [torch.ones(2**22) for _ in range(8)]
    del many
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc"
)
def test_freed_memory_is_used_again() -> None:
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", COUNT_FAULTS, *arguments], capture_output=True, check=True
            ).stdout
        )
        for arguments in ([], ["reuse"])
    ]
    assert faults[0] > 10 * faults[1]
