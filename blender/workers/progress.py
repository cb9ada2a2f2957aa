"""A progress line: done, rate, time left. Standard library only: Blender's Python has no click."""

from __future__ import annotations

import sys
import time


class Progress:
    """One line on standard error, redrawn on a terminal, repeated now and then in a log."""

    def __init__(self, label: str, total: int, done: int = 0, quiet: bool = False) -> None:
        """``done`` of ``total`` are there already; only the rest counts for the rate."""
        self.label, self.total, self.done, self.quiet = label, total, done, quiet
        self.fresh = 0
        self.start = self.shown = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """A remark, on a line of its own."""
        if not self.quiet:
            print(f"{self._fresh_line()}{self.label}: {text}", file=sys.stderr, flush=True)

    def advance(self, count: int = 1) -> None:
        """``count`` more are done."""
        self.done += count
        self.fresh += count
        now = time.monotonic()
        if not self.quiet and self.fresh and now - self.shown > (0.2 if self.terminal else 15):
            self.shown = now
            self._show(now)

    def _show(self, now: float) -> None:
        rate = self.fresh / max(now - self.start, 1e-9)
        left = (self.total - self.done) / rate
        text = f"{self.label}: {self.done}/{self.total}, {rate * 60:.1f} images/min, {_clock(left)} left"
        end = "" if self.terminal else "\n"
        print(f"{self._fresh_line()}{text}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """The last word."""
        if not self.quiet:
            took = time.monotonic() - self.start
            rate = self.fresh / max(took, 1e-9) * 60
            self.say(f"{self.done}/{self.total} in {_clock(took)}, {rate:.1f} images/min")

    def _fresh_line(self) -> str:
        return "\r\033[K" if self.terminal else ""


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
