"""Frames on the workers of a Dask scheduler. Each worker keeps ``blender.workers.pool`` processes of its own,
so that a crash of Blender is one failed frame and not a lost worker.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from blender.contract.scheduler import TaskLimit, connect
from blender.rendering.frame import Job, blender_version
from blender.workers.dispatch import Team
from blender.workers.pool import Crew

_crews: dict[tuple[str, Job], Crew] = {}
"""In a Dask worker: its processes, by the client that asked and what they render. They outlive a task, or
each would import bpy."""
_lock = threading.Lock()


def render_on_worker(client: str, job: Job, frame: int, threads: int) -> dict[str, Any]:
    """Render one frame in a process of this Dask worker's: the task that is submitted.

    Args:
        client: who asks; the processes are that client's own, which may end them.

    Raises:
        UserError, OSError, FrameError: as ``Crew.render``.
    """
    with _lock:
        crew = _crews.setdefault((client, job), Crew(job))
    return crew.render(frame, threads)


def dismiss(client: str, job: Job) -> None:
    """End this Dask worker's processes for a client's job."""
    with _lock:
        crew = _crews.pop((client, job), None)
    if crew is not None:
        crew.close()


@contextlib.contextmanager
def remote_team(address: str, job: Job, threads: int) -> Iterator[Team]:
    """The workers of the Dask scheduler at ``address``.

    Args:
        threads: of the CPU for each frame; 0: one, since a Dask thread stands for a core.

    Raises:
        UserError: as ``connect``; from the team's size, as ``TaskLimit``.
    """
    with connect(address, _version) as client:
        executor = client.get_executor(pure=False)
        size = TaskLimit(client, address)
        try:
            yield Team(
                lambda frame, _: executor.submit(render_on_worker, client.id, job, frame, threads or 1),
                size,
                f"{size.threads} threads of {address}",
            )
        finally:
            executor.shutdown(wait=False)
            with contextlib.suppress(Exception):  # the scheduler may be gone, and the workers with it
                client.run(dismiss, client.id, job)


def _version() -> str:
    return f"Blender {blender_version()}"
