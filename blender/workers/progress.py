"""Progress output: frames done, rate, time left.

Standard library only, because Blender's Python has no click.
"""

from __future__ import annotations

import sys
import time

TERMINAL_INTERVAL, LOG_INTERVAL = 0.2, 15.0
"""Seconds between two updates on a terminal and in a log file."""


class Progress:
    """Progress on standard error: on a terminal a redrawn line, in a log a line every 15 seconds."""

    def __init__(self, label: str, total: int, done: int = 0, quiet: bool = False) -> None:
        """Start with ``done`` of ``total`` items already done; they do not count for the rate."""
        self.label, self.total, self.done, self.quiet = label, total, done, quiet
        self.done_now = 0
        self.start = self.last_shown = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def message(self, text: str) -> None:
        """Print a message on its own line."""
        if not self.quiet:
            print(f"{self._line_start()}{self.label}: {text}", file=sys.stderr, flush=True)

    def advance(self, count: int = 1) -> None:
        """Count more items as done and update the output if it is due."""
        self.done += count
        self.done_now += count
        now = time.monotonic()
        interval = TERMINAL_INTERVAL if self.terminal else LOG_INTERVAL
        if not self.quiet and self.done_now and now - self.last_shown > interval:
            self.last_shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        rate = self.done_now / max(now - self.start, 1e-9)
        left = (self.total - self.done) / rate
        text = f"{self.label}: {self.done}/{self.total}, {rate * 60:.1f} images/min, {_clock(left)} left"
        end = "" if self.terminal else "\n"
        print(f"{self._line_start()}{text}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print the summary."""
        if not self.quiet:
            seconds = time.monotonic() - self.start
            rate = self.done_now / max(seconds, 1e-9) * 60
            self.message(f"{self.done}/{self.total} in {_clock(seconds)}, {rate:.1f} images/min")

    def _line_start(self) -> str:
        return "\r\033[K" if self.terminal else ""


def _clock(seconds: float) -> str:
    """Format a duration as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
