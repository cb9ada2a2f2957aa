"""Processes that end with the one that started them. Imports nothing heavy: a helper begins here."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""prctl(2), Linux: the signal that this process gets when its parent ends."""


def end_with_parent(parent: int) -> None:
    """Have this process killed when the one that started it, ``parent``, ends; later on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
