"""Measure time and peak memory of a function in a new process."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError

POLL_INTERVAL = 0.1
"""Seconds between two checks of the child processes. The kernel reports their peaks, so no peak is missed."""


def measure_in_subprocess(title: str, work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call ``work(*arguments)`` in a new process and measure its memory.

    Args:
        title: name of the measurement in the progress output.
        work: a function at module level that returns a dict of figures.
        *arguments: its arguments; they are pickled.

    Returns:
        The figures, and ``peak_mb``: the sum of the peaks of all processes that took part. Shared memory
        counts more than once, and the peaks may be at different times, so the sum is an upper bound.

    Raises:
        UserError: ``work`` raised a UserError.
        RuntimeError: ``work`` raised another exception, or its process died.
    """
    click.echo(f"bench: {title} ...", err=True)
    start, peaks = time.monotonic(), dict[int, float]()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        while not receiver.poll(POLL_INTERVAL):
            _update_peaks(process.pid or 0, peaks)
        outcome, value, own_peak = receiver.recv()
        peaks[process.pid or 0] = max(own_peak, peaks.get(process.pid or 0, 0.0))
    except EOFError:
        process.join()
        raise RuntimeError(f"{title}: its process ended with status {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()
    if outcome == "user error":
        raise UserError(value)
    if outcome == "exception":
        raise RuntimeError(f"{title}:\n{value}")
    click.echo(f"bench: {title}: {time.monotonic() - start:.0f} s", err=True)
    return {**value, "peak_mb": round(sum(peaks.values()))}


def _run(sender: Connection, work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the output of the measured commands is not needed
            figures = work(*arguments)
    except UserError as error:
        sender.send(("user error", str(error), 0.0))
    except Exception:
        sender.send(("exception", traceback.format_exc(), 0.0))
    else:
        sender.send(("figures", figures, own_peak_megabytes()))


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, Any]]:
    """Measure a block: puts ``seconds`` (wall clock) and ``cpu_seconds`` into the dict that it yields."""
    figures: dict[str, Any] = {}
    wall, cpu = clocks()
    yield figures
    wall_end, cpu_end = clocks()
    figures["seconds"], figures["cpu_seconds"] = wall_end - wall, cpu_end - cpu


def clocks() -> tuple[float, float]:
    """Return the seconds of the wall clock and the CPU seconds of this process."""
    return time.perf_counter(), time.process_time()


def own_peak_megabytes() -> float:
    """Return the peak memory of this process in MB."""
    peak = _peak(Path("/proc/self/status"))
    if peak:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _update_peaks(process: int, peaks: dict[int, float]) -> None:
    """Record the current peaks of a process and of its descendants."""
    folder = Path("/proc") / str(process)
    peaks[process] = max(_peak(folder / "status"), peaks.get(process, 0.0))
    try:
        children = [int(n) for file in folder.glob("task/*/children") for n in file.read_text().split()]
    except OSError:  # the process has ended
        return
    for child in children:
        _update_peaks(child, peaks)


def _peak(status: Path) -> float:
    """Read the peak memory in MB from a /proc status file; 0 if it cannot be read.

    getrusage would include the size of the parent before exec.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
