"""Many small tasks: in this process, in several of this machine, or on the workers of a Dask scheduler."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from typing import TypeVar

from blender.contract import UserError
from blender.contract.scheduler import POLL_INTERVAL, TaskLimit, connect
from pipeline.common.processes import end_with_parent

T = TypeVar("T")
R = TypeVar("R")

RESULTS_DEPEND_ON = ("transpalette", "torch", "torchvision", "anny", "numpy", "pycocotools", "pillow")
"""Packages whose versions all workers must share."""

_lock = threading.Lock()


def spread(
    work: Callable[[T], R], items: Sequence[T], scheduler: str | None, batch: int = 1, processes: int = 1
) -> Iterator[R]:
    """``work(item)`` for each item, in their order.

    Args:
        work: a function of a module, or a ``functools.partial`` of one. With a scheduler or processes it is
            pickled, as are the items: paths must be absolute and mean the same on every machine.
        scheduler: the address of a Dask scheduler; None: all is done on this machine.
        batch: items a task, for items that cost little more than to send one.
        processes: of this machine, without a scheduler; 1: this one.

    Raises:
        UserError: of ``work``; or nothing answers at the address, it is lost, or workers die of an item.
    """
    if scheduler:
        return _spread(work, items, scheduler, batch)
    return _share_out(work, items, processes) if processes > 1 else map(work, items)


def _share_out(work: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    context = multiprocessing.get_context("spawn")  # torch's threads don't survive a fork
    pool = ProcessPoolExecutor(processes, context, _begin, (os.getpid(),))
    try:
        yield from pool.map(work, items)
    except BrokenProcessPool:
        raise UserError("a process that did a part of the work died; is there enough memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """In each process of ``_share_out``, once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    end_with_parent(parent)


def _spread(work: Callable[[T], R], items: Sequence[T], address: str, batch: int) -> Iterator[R]:
    with connect(address, versions) as client:
        executor = client.get_executor(pure=False)
        size, running = TaskLimit(client, address), deque[Future[list[R]]]()
        try:
            for start in range(0, len(items), batch):
                running.append(executor.submit(_all, work, items[start : start + batch]))
                if len(running) >= size():
                    yield from _result(running.popleft(), address, size)
            while running:
                yield from _result(running.popleft(), address, size)
        finally:
            executor.shutdown(wait=False)


def _result(future: Future[list[R]], address: str, size: TaskLimit) -> list[R]:
    from distributed import KilledWorker

    try:
        while not wait([future], POLL_INTERVAL).done:
            size()  # says if nobody is left to do it
        return future.result()
    except CancelledError:
        raise UserError("the connection to the workers was lost; repeat the command") from None
    except KilledWorker:
        raise UserError(f"--scheduler {address}: workers died of one task; their logs say why") from None


def _all(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The task. A worker of several threads does one at a time: torch's generator belongs to the process."""
    with _lock:
        return [work(item) for item in items]


def versions() -> str:
    """What results depend on, as installed here."""
    return ", ".join(f"{name} {version(name)}" for name in RESULTS_DEPEND_ON)
