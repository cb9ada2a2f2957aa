"""Work in a fresh process, with its time and the memory that it and its own processes held at most."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click

from blender.contract import UserError

LOOK = 0.1
"""Seconds between two looks at the memory; each process's own peak is the kernel's, so none is missed."""


def measured(title: str, work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Call ``work(*arguments)`` in a process of its own; its answer, with ``peak_mb`` added.

    ``peak_mb`` adds up the peak of every process that took part: what they share counts twice, and they
    need not have peaked at once, so that it is never too low.

    Raises:
        UserError: the work met a user's mistake.
        RuntimeError: it failed, or its process died.
    """
    click.echo(f"bench: {title} ...", err=True)
    began, peaks = time.monotonic(), dict[int, float]()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        while not ours.poll(LOOK):
            _look(process.pid or 0, peaks)
        kind, answer, own = ours.recv()
        peaks[process.pid or 0] = max(own, peaks.get(process.pid or 0, 0.0))
    except EOFError:
        process.join()
        raise RuntimeError(f"{title}: its process ended with status {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()
    if kind == "user":
        raise UserError(answer)
    if kind == "fault":
        raise RuntimeError(f"{title}:\n{answer}")
    click.echo(f"bench: {title}: {time.monotonic() - began:.0f} s", err=True)
    return {**answer, "peak_mb": round(sum(peaks.values()))}


def _work(end: Connection, work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # what commands say is not what is asked here
            answer = work(*arguments)
    except UserError as error:
        end.send(("user", str(error), 0.0))
    except Exception:
        end.send(("fault", traceback.format_exc(), 0.0))
    else:
        end.send(("done", answer, own_peak_megabytes()))


def own_peak_megabytes() -> float:
    """The most that this process ever held, in megabytes."""
    peak = _peak(Path("/proc/self/status"))
    if peak:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _look(process: int, peaks: dict[int, float]) -> None:
    """Note the peak so far of a process and of all below it."""
    folder = Path("/proc") / str(process)
    peaks[process] = max(_peak(folder / "status"), peaks.get(process, 0.0))
    try:
        children = [int(n) for file in folder.glob("task/*/children") for n in file.read_text().split()]
    except OSError:  # it has ended
        return
    for child in children:
        _look(child, peaks)


def _peak(status: Path) -> float:
    """Megabytes in a line of /proc's; not getrusage's, where a parent's size before exec counts too."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
