"""Connect to a Dask scheduler and compute the number of tasks in flight, for renderer and pipeline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from blender.contract.errors import UserError

CONNECT_TIMEOUT = 60
"""Seconds to wait for a scheduler, and then for its first worker."""
NO_WORKERS_TIMEOUT = 300
"""Seconds to wait for a worker when all workers are lost."""
COUNT_INTERVAL = 5
"""Seconds between two requests for the number of workers."""
POLL_INTERVAL = 10
"""Seconds to wait for results before the number of workers is checked."""
TASKS_PER_THREAD = 2
"""Tasks in flight for each thread of the cluster: one task runs, one waits at its worker."""


def connect(address: str, versions: Callable[[], str]) -> Any:
    """Connect to a scheduler and wait for a worker; check that all workers have this machine's versions.

    Args:
        address: the scheduler's address, ``tcp://host:port``.
        versions: returns the versions on which results depend, for messages: ``"Blender 4.5.0"``. It is also
            called on each worker.

    Returns:
        The ``distributed.Client``.

    Raises:
        UserError: Dask is not installed, no scheduler replies at the address, there is no worker, or a worker
            has other versions.
    """
    try:
        from distributed import Client  # an optional package
    except ImportError:
        raise UserError(
            "--scheduler: the package 'distributed' is missing; pip install 'transpalette[cluster]'"
        ) from None
    # A lost scheduler is reported in one line by the caller; Dask's own log messages would only add to it.
    for name in ("distributed.client", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--scheduler {address}: no Dask scheduler replies there ({reason})") from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_TIMEOUT)
        _check_workers(client, address, versions)
    except TimeoutError:
        client.close()
        raise UserError(
            f"--scheduler {address}: the scheduler has no workers; start some (dask worker)"
        ) from None
    except BaseException:
        client.close()
        raise
    return client


def _check_workers(client: Any, address: str, versions: Callable[[], str]) -> None:
    """Raise UserError unless every worker can import this code and has the same versions.

    Without this check, each task would fail with a long traceback.
    """
    try:
        on_workers = client.run(versions)
    except Exception as error:
        raise UserError(
            f"--scheduler {address}: its workers cannot run this version of Transpalette "
            f"({' '.join(str(error).split())}); install it there too"
        ) from None
    others = sorted(set(on_workers.values()) - {versions()})
    if others:
        raise UserError(
            f"--scheduler {address}: its workers have {'; '.join(others)}, this machine has "
            f"{versions()}; install the same versions on all machines"
        )


class TaskLimit:
    """The number of tasks in flight, computed from the current number of threads of the workers."""

    def __init__(self, client: Any, address: str) -> None:
        """Count the threads of the client's workers for the first time."""
        self._client, self._address = client, address
        self._counted, self._last_worker = float("-inf"), time.monotonic()
        self.threads = 0
        self()

    def __call__(self) -> int:
        """Return the current limit. The threads are counted every ``COUNT_INTERVAL`` seconds.

        Raises:
            UserError: there was no worker for ``NO_WORKERS_TIMEOUT`` seconds.
        """
        now = time.monotonic()
        if now - self._counted > COUNT_INTERVAL:
            self.threads, self._counted = sum(self._client.nthreads().values()), now
            if self.threads:
                self._last_worker = now
            elif now - self._last_worker > NO_WORKERS_TIMEOUT:
                raise UserError(
                    f"--scheduler {self._address}: all its workers were lost, and no new worker "
                    f"connected for {NO_WORKERS_TIMEOUT} seconds; start some and repeat the command"
                )
        return TASKS_PER_THREAD * self.threads
