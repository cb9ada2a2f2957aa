"""A Dask scheduler, as both halves see one: an address, workers of the same versions, and their threads."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from blender.contract.errors import UserError

PATIENCE = 60
"""Seconds to wait for a scheduler, and then for its first worker."""
LOST = 300
"""Seconds to wait for another worker when all are gone."""
ASK = 5
"""Seconds between two questions how many workers there are."""
LOOK = 10
"""Seconds between two looks at a cluster whose results are waited for."""
AHEAD = 2
"""Tasks in flight for each thread of the cluster: one is at work, one waits at its worker."""


def connect(address: str, versions: Callable[[], str]) -> Any:
    """A client of the scheduler, once a worker is there that has what this machine has.

    Args:
        versions: what results depend on, said in words by each machine: ``"Blender 4.5.0"``.

    Raises:
        UserError: Dask is missing, nothing answers at the address, no worker is there, or one differs.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "--scheduler: the package 'distributed' is missing; pip install 'transpalette[cluster]'"
        ) from None
    # A lost scheduler is one line of ours, and what a client leaves behind as it closes is none.
    for talker in ("distributed.client", "asyncio"):
        logging.getLogger(talker).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--scheduler {address}: no Dask scheduler answers there ({reason})") from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
        _check_workers(client, address, versions)
    except TimeoutError:
        client.close()
        raise UserError(f"--scheduler {address}: it has no workers; start some (dask worker)") from None
    except BaseException:
        client.close()
        raise
    return client


def _check_workers(client: Any, address: str, versions: Callable[[], str]) -> None:
    """Is this code on every worker, as it is here? Without it each task would fail in many words."""
    try:
        answers = client.run(versions)
    except Exception as error:
        raise UserError(
            f"--scheduler {address}: its workers cannot run this version of Transpalette "
            f"({' '.join(str(error).split())}); install it there too"
        ) from None
    wrong = sorted(set(answers.values()) - {versions()})
    if wrong:
        raise UserError(
            f"--scheduler {address}: its workers have {'; '.join(wrong)}, this machine has "
            f"{versions()}; give all the same"
        )


class Size:
    """Tasks to have in flight, asked anew every few seconds: workers come and go."""

    def __init__(self, client: Any, address: str) -> None:
        """Ask the client's scheduler a first time."""
        self._client, self._address = client, address
        self._asked, self._manned = float("-inf"), time.monotonic()
        self.threads = 0
        self()

    def __call__(self) -> int:
        """How many, now.

        Raises:
            UserError: for ``LOST`` seconds there was no worker to do any.
        """
        now = time.monotonic()
        if now - self._asked > ASK:
            self.threads, self._asked = sum(self._client.nthreads().values()), now
            if self.threads:
                self._manned = now
            elif now - self._manned > LOST:
                raise UserError(
                    f"--scheduler {self._address}: its workers are gone, and no other came for {LOST} "
                    "seconds; start some and repeat the command to go on"
                )
        return AHEAD * self.threads
