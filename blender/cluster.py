"""Frames on the workers of a Dask scheduler. Each worker keeps ``blender.workers`` processes of its own,
so that a crash of Blender is one failed frame and not a lost worker.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from blender.contract import UserError
from blender.dispatch import Team
from blender.frame import Job, blender_version
from blender.workers import Crew

PATIENCE = 60
"""Seconds to wait for a scheduler, and then for its first worker."""
AHEAD = 2
"""Frames in flight for each thread of the cluster: one is rendered, one waits at its worker."""

_crews: dict[Job, Crew] = {}
"""In a Dask worker: its processes, by what they render. They outlive a task, or each would import bpy."""
_lock = threading.Lock()


def render_on_worker(job: Job, frame: int, threads: int) -> dict[str, Any]:
    """Render one frame in a process of this Dask worker's: the task that is submitted.

    Raises:
        UserError, OSError, FrameError: as ``Crew.render``.
    """
    with _lock:
        crew = _crews.setdefault(job, Crew(job))
    return crew.render(frame, threads)


def dismiss(job: Job) -> None:
    """End this Dask worker's processes for a job."""
    with _lock:
        crew = _crews.pop(job, None)
    if crew is not None:
        crew.close()


@contextlib.contextmanager
def remote_team(address: str, job: Job, threads: int) -> Iterator[Team]:
    """The workers of the Dask scheduler at ``address``.

    Args:
        threads: of the CPU for each frame; 0: one, since a Dask thread stands for a core.

    Raises:
        UserError: Dask is missing, nothing answers at the address, or no worker is there.
    """
    client = connect(address)
    with client:
        _check_workers(client, address)
        executor = client.get_executor(pure=False)
        size = _Size(client)

        try:
            yield Team(
                lambda frame, _: executor.submit(render_on_worker, job, frame, threads or 1),
                size,
                f"{size.threads} threads of {address}",
            )
        finally:
            executor.shutdown(wait=False)
            with contextlib.suppress(Exception):  # the scheduler may be gone, and the workers with it
                client.run(dismiss, job)


def connect(address: str) -> Any:
    """A client of the scheduler, once a worker is there.

    Raises:
        UserError: see ``remote_team``.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "--scheduler: the package 'distributed' is missing; pip install 'transpalette[cluster]'"
        ) from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a lost scheduler is one line of ours
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--scheduler {address}: no Dask scheduler answers there ({reason})") from None
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        client.close()
        raise UserError(f"--scheduler {address}: it has no workers; start some (dask worker)") from None
    return client


def _check_workers(client: Any, address: str) -> None:
    """Is this module on every worker, as it is here? Without it each frame would fail in many words."""
    try:
        answers = client.run(blender_version)
    except Exception as error:
        raise UserError(
            f"--scheduler {address}: its workers cannot run this version of Transpalette "
            f"({' '.join(str(error).split())}); install it there too"
        ) from None
    wrong = sorted(set(answers.values()) - {blender_version()})
    if wrong:
        raise UserError(
            f"--scheduler {address}: its workers have Blender {', '.join(wrong)}, this machine has "
            f"{blender_version()}; give all the same"
        )


class _Size:
    """Frames to have in flight, asked anew every few seconds: workers come and go."""

    def __init__(self, client: Any) -> None:
        self._client, self._asked = client, float("-inf")
        self.threads = 0
        self()

    def __call__(self) -> int:
        if time.monotonic() - self._asked > 5:
            self.threads, self._asked = sum(self._client.nthreads().values()), time.monotonic()
        return AHEAD * self.threads
