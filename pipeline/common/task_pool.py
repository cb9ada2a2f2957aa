"""Run many small tasks in this process, in worker processes of this machine, or on a Dask cluster.

The pools are ``concurrent.futures.ProcessPoolExecutor`` and the executor of ``dask.distributed``. They start
processes, move tasks and results, and notice workers that die. This module adds what neither offers:

- on the cluster, results in order with only a few tasks in flight, so that the scheduler's memory does not
  grow with the number of items (``Executor.map`` submits all of them at once);
- a time limit for workers to come back when all have left the cluster; Dask would wait without end;
- one-line messages for dead workers and a lost connection;
- one task at a time in each worker process, because torch's generator and thread count belong to the process;
- a check that all workers have the same packages, because the results depend on them.
"""

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
from pipeline.common.processes import exit_with_parent

T = TypeVar("T")
R = TypeVar("R")

PACKAGES = ("transpalette", "torch", "torchvision", "anny", "numpy", "pycocotools", "pillow")
"""Packages that change results: all workers must have the same versions."""

_lock = threading.Lock()
"""Held by the running task of a worker process."""


def map_tasks(
    function: Callable[[T], R], items: Sequence[T], scheduler: str | None, batch: int = 1, processes: int = 1
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in the order of the items.

    Args:
        function: a module-level function, or a ``functools.partial`` of it. With a scheduler or several
            processes, the function and the items are pickled: paths must be absolute and valid on every
            machine.
        items: the arguments of the calls.
        scheduler: address of a Dask scheduler; None: run on this machine.
        batch: items per task on the cluster; more than 1 if an item takes little longer than sending a task.
        processes: number of worker processes if there is no scheduler; 1: run in this process.

    Raises:
        UserError: ``function`` raised it, no scheduler responds at the address, the connection is lost, or
            workers died.
    """
    if scheduler:
        return _map_on_cluster(function, items, scheduler, batch)
    return _map_in_processes(function, items, processes) if processes > 1 else map(function, items)


def _map_in_processes(function: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    context = multiprocessing.get_context("spawn")  # torch's threads don't survive a fork
    pool = ProcessPoolExecutor(processes, context, _init_worker, (os.getpid(),))
    try:
        yield from pool.map(function, items)
    except BrokenProcessPool:
        raise UserError("a worker process died; is there enough memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _init_worker(parent: int) -> None:
    """Set up a worker process; runs once in each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the parent ends its workers
    exit_with_parent(parent)


def _map_on_cluster(function: Callable[[T], R], items: Sequence[T], address: str, batch: int) -> Iterator[R]:
    with connect(address, package_versions) as client:
        executor = client.get_executor(pure=False)
        limit, in_flight = TaskLimit(client, address), deque[Future[list[R]]]()
        try:
            for start in range(0, len(items), batch):
                in_flight.append(executor.submit(_run_batch, function, items[start : start + batch]))
                if len(in_flight) >= limit():
                    yield from _wait_for(in_flight.popleft(), address, limit)
            while in_flight:
                yield from _wait_for(in_flight.popleft(), address, limit)
        finally:
            executor.shutdown(wait=False)


def _wait_for(future: Future[list[R]], address: str, limit: TaskLimit) -> list[R]:
    """Wait for a task and return its results.

    Raises:
        UserError: the task raised it, or the task cannot be completed.
    """
    from distributed import KilledWorker  # optional package

    try:
        while not wait([future], POLL_INTERVAL).done:
            limit()  # raises if the workers are gone for too long
        return future.result()
    except CancelledError:
        raise UserError("the connection to the workers was lost; repeat the command") from None
    except KilledWorker:
        raise UserError(f"--scheduler {address}: workers died of one task; see their logs") from None


def _run_batch(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Run a task in a worker process, while its other threads wait."""
    with _lock:
        return [function(item) for item in items]


def package_versions() -> str:
    """Return the installed versions of ``PACKAGES`` as text."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)
