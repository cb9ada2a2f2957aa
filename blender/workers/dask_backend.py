"""Render frames on the workers of a Dask scheduler.

Every Dask worker has its own ``WorkerPool``. So a crash of Blender costs one frame, and the Dask worker
survives.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from blender.contract.scheduler import TaskLimit, connect
from blender.rendering.frame import RenderJob, blender_version
from blender.workers.dispatch import Backend, FrameResult
from blender.workers.pool import WorkerPool

_pools: dict[tuple[str, RenderJob], WorkerPool] = {}
"""In a Dask worker: its worker pools by client id and job. They outlive a task, because a new process would
have to import bpy again."""
_lock = threading.Lock()


def render_on_dask_worker(client: str, job: RenderJob, frame: int, threads: int) -> FrameResult:
    """Render one frame in the worker pool of this Dask worker. This is the task that is submitted to Dask.

    Args:
        client: id of the Dask client. Each client has its own pool, which it may close.
        job: the split to render.
        frame: number of the frame.
        threads: CPU threads.

    Raises:
        UserError, OSError, FrameError: see ``WorkerPool.render``.
    """
    with _lock:
        pool = _pools.setdefault((client, job), WorkerPool(job))
    return pool.render(frame, threads)


def close_pool(client: str, job: RenderJob) -> None:
    """Close the pool that this Dask worker has for a client's job, if there is one."""
    with _lock:
        pool = _pools.pop((client, job), None)
    if pool is not None:
        pool.close()


@contextlib.contextmanager
def open_dask_backend(address: str, job: RenderJob, threads: int) -> Iterator[Backend]:
    """Connect to the Dask scheduler at an address and render on its workers.

    Args:
        address: the scheduler's address, such as "tcp://host:8786".
        job: the split to render.
        threads: CPU threads per frame; 0: one thread, because a thread of a Dask worker uses one core.

    Raises:
        UserError: the connection fails (see ``connect``), or all workers are lost (see ``TaskLimit``).
    """
    with connect(address, _version) as client:
        executor = client.get_executor(pure=False)
        size = TaskLimit(client, address)
        try:
            yield Backend(
                lambda frame, _: executor.submit(render_on_dask_worker, client.id, job, frame, threads or 1),
                size,
                f"{size.threads} threads of {address}",
            )
        finally:
            executor.shutdown(wait=False)
            with contextlib.suppress(Exception):  # the scheduler and its workers may have ended
                client.run(close_pool, client.id, job)


def _version() -> str:
    """Return Blender's version, which must be the same on all workers."""
    return f"Blender {blender_version()}"
