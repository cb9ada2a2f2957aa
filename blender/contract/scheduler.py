"""Connect to a Dask scheduler and compute the number of tasks in flight, for renderer and pipeline."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from blender.contract.errors import UserError

PROTOCOLS = ("tcp", "tls", "ws", "wss", "ucx", "inproc")
"""Protocols of Dask's addresses. One without a protocol is of the first."""
START_TIMEOUT = 5
"""Seconds to wait until something listens at the address: the scheduler may have started just before."""
REPLY_TIMEOUT = 10
"""Seconds to wait for the scheduler's reply."""
FIRST_WORKER_TIMEOUT = 60
"""Seconds to wait for a scheduler's first worker."""
NOTICE_INTERVAL = 10
"""Seconds between two messages that the command waits for workers."""
NO_WORKERS_TIMEOUT = 300
"""Seconds to wait for a worker when all workers are lost."""
COUNT_INTERVAL = 5
"""Seconds between two requests for the number of workers."""
POLL_INTERVAL = 10
"""Seconds to wait for results before the number of workers is checked."""
TASKS_PER_THREAD = 2
"""Tasks in flight for each thread of the cluster: one task runs, one waits at its worker."""


def check_address(address: str) -> None:
    """Check the form of a scheduler's address, ``tcp://host:port`` or ``host:port``, without a connection.

    Dask itself is not asked: after an address that it cannot parse, its client keeps the process for minutes.

    Raises:
        UserError: the address has another protocol than those of Dask, no host, no port, or a path.
    """
    protocol, separator, place = address.rpartition("://")
    protocol = protocol if separator else PROTOCOLS[0]
    if protocol == "inproc":  # an address within one process has neither host nor port
        return
    try:
        parts = urlsplit(f"//{place}")
        host, port, rest = parts.hostname or "", parts.port or 0, parts.path or parts.query or parts.fragment
        problem = "the port is missing" if host and not port else "host and port are missing"
        if any(character.isspace() for character in address):
            host, problem = "", "it contains a space"
    except ValueError:
        host, port, rest, problem = "", 0, "", "not a host and a port from 1 to 65535"
    if protocol not in PROTOCOLS:
        problem = f"Dask has no protocol '{protocol}'"
    elif rest:
        problem = f"'{rest}' is too much"
    elif host and port:
        return
    example = f"[{host}]" if ":" in host else host or "HOST"
    raise UserError(
        f"--scheduler {address}: {problem}; give an address such as tcp://{example}:{port or 8786}"
    )


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
    check_address(address)
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
        asyncio.run(asyncio.wait_for(_exchange_versions(address), REPLY_TIMEOUT))
        client = Client(address, timeout=REPLY_TIMEOUT, set_as_default=False)
    except Exception as error:  # another program's reply can make Dask raise many types
        reason = " ".join(str(error).split()) or f"something listens, but sent no reply in {REPLY_TIMEOUT} s"
        raise UserError(
            f"--scheduler {address}: no Dask scheduler replies there ({reason}); check host and port"
        ) from None
    try:
        _wait_for_worker(client, address)
        _check_workers(client, address, versions)
    except BaseException:
        client.close()
        raise
    return client


async def _exchange_versions(address: str) -> None:
    """Connect and read the reply with which a Dask scheduler begins. The client waits for it without end."""
    from distributed import Security  # an optional package
    from distributed.comm.core import connect as open_connection

    security = Security().get_connection_args("client")
    connection = await open_connection(address, timeout=START_TIMEOUT, **security)
    await connection.close()


def _wait_for_worker(client: Any, address: str) -> None:
    """Wait for the scheduler's first worker, and say so.

    Raises:
        UserError: there is none after ``FIRST_WORKER_TIMEOUT`` seconds.
    """
    start, wait = time.monotonic(), min(1.0, FIRST_WORKER_TIMEOUT)
    while True:
        try:
            client.wait_for_workers(1, timeout=wait)
            return
        except TimeoutError:
            left = FIRST_WORKER_TIMEOUT - (time.monotonic() - start)
        if left <= 0:
            raise UserError(
                f"--scheduler {address}: the scheduler has no workers; start some (dask worker {address})"
            )
        _notice(address, f"waiting for workers, at most {math.ceil(left)} s more (dask worker {address})")
        wait = min(NOTICE_INTERVAL, left)


def _notice(address: str, text: str) -> None:
    print(f"--scheduler {address}: {text}", file=sys.stderr, flush=True)


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
            before = self.threads
            self.threads, self._counted = sum(self._client.nthreads().values()), now
            if self.threads:
                self._last_worker = now
            elif before:
                _notice(
                    self._address, f"all workers left; waiting for new ones, at most {NO_WORKERS_TIMEOUT} s"
                )
            elif now - self._last_worker > NO_WORKERS_TIMEOUT:
                raise UserError(
                    f"--scheduler {self._address}: all its workers were lost, and no new worker "
                    f"connected for {NO_WORKERS_TIMEOUT} seconds; start some and repeat the command"
                )
        return TASKS_PER_THREAD * self.threads
