"""Let a loop end in order when the user presses Ctrl-C or the system asks the process to end."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Interrupts:
    """The first signal that asked this process to end, if any."""

    number: int = 0
    """The signal's number; 0: none came."""

    def came(self) -> bool:
        """Return whether a signal asked this process to end."""
        return self.number != 0

    @property
    def exit_status(self) -> int:
        """The exit status of a program that ended because of the signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def defer_interrupts(message: str) -> Iterator[Interrupts]:
    """Defer Ctrl-C, SIGTERM and SIGHUP: the block asks ``Interrupts.came`` where it can end in order.

    A second signal acts at once, as it would without this block. Outside the main thread nothing is deferred.

    Args:
        message: line for standard error when a signal comes.
    """
    interrupts = Interrupts()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        interrupts.number = number
        restore()
        os.write(2, f"\n{message}\n".encode())  # print() must not be called while it runs

    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, note)
        yield interrupts
    finally:
        restore()
