"""A pool of rendering processes on one machine. They start on demand and are replaced when they end.

Why not a library: ``concurrent.futures.ProcessPoolExecutor`` fails completely if one worker dies, and its
workers run Python, not the Blender program. Here a crash of Blender costs one frame and one process. A
frame of the default profile takes about 2 s (1.94 s in docs/PERFORMANCE.md), so one thread per process that
sends a request over a socket and waits for the reply is fast enough. Each process holds the other end of a
socket pair: when the parent ends for any reason, the socket closes and the worker exits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from blender.contract import TEMPORARY_PREFIX, UserError, explain_temporary_errors, temporary_root
from blender.rendering.frame import RenderJob
from blender.workers.cpu import SINGLE_THREADED_BLAS, core_count
from blender.workers.dispatch import Backend, FrameResult

_WORKER = Path(__file__).with_name("worker_main.py")
MAX_PROCESSES = 8
"""Default limit for the number of processes, because each process holds a scene in memory. --workers may
exceed it."""
MAX_WORKER_NUMBERS = 4096
"""Limit for the number of processes of a pool at one time."""


class FrameError(Exception):
    """A frame could not be rendered: its process died, or the renderer has a bug."""


class WorkerProcess:
    """The parent's side of one rendering process; ``blender.workers.worker_main`` is the other side."""

    def __init__(self, job: RenderJob, number: int) -> None:
        """Start the process and wait until it has chosen its device.

        Args:
            job: the split to render.
            number: number of the process on this machine, from 0; it selects the GPU.

        Raises:
            UserError, OSError, FrameError: the process reports an error, or died.
        """
        self.number = number
        root = temporary_root()
        with explain_temporary_errors(root):
            self._scratch = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=root))
        parent_end, child_end = socket.socketpair()
        with child_end:
            handle = child_end.fileno()
            self.process = subprocess.Popen(
                [*_interpreter(), str(handle), str(self._scratch)],
                # TMPDIR makes Blender write its own temporary files to the scratch folder too.
                env={**SINGLE_THREADED_BLAS, **os.environ, "TMPDIR": str(self._scratch)},
                pass_fds=[handle],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._socket, self._stream = parent_end, parent_end.makefile("rw", encoding="utf-8")
        try:
            self.handshake = self.request({"job": dataclasses.asdict(job), "worker": number})
        except BaseException:
            self.close()
            raise

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the reply.

        Raises:
            UserError, OSError, FrameError: the process reports an error, or died.
        """
        try:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError:  # the process died during the write
            line = ""
        if not line:
            raise FrameError(f"its process {_exit_reason(self.process)}")
        reply: dict[str, Any] = json.loads(line)
        match reply.get("error"):
            case "user":
                raise UserError(reply["text"])
            case "os":
                raise OSError(reply["number"], reply["text"], reply["file"])
            case "internal":
                raise FrameError(reply["text"])
        return reply

    def disconnect(self) -> None:
        """Close the connection: the process exits at once, and a request that waits for a reply fails."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the process and wait until it has ended."""
        self.disconnect()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _exit_reason(process: subprocess.Popen[bytes]) -> str:
    """Describe how a process ended."""
    try:
        status = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return "closed its connection"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _interpreter() -> list[str]:
    """Return the command that runs ``worker_main.py`` in this Blender program or in this Python with bpy."""
    bpy = sys.modules.get("bpy")
    binary = bpy.app.binary_path if bpy is not None and hasattr(bpy, "app") else ""
    if binary and not Path(binary).name.startswith("python"):
        flags = ["-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", "3"]
        return [binary, *flags, "-P", str(_WORKER), "--"]
    return [sys.executable, str(_WORKER), "--"]


class WorkerPool:
    """The processes of one job, one for each frame that is rendered at the same time. Thread-safe."""

    def __init__(self, job: RenderJob) -> None:
        """Create an empty pool; processes are started on demand."""
        self.job = job
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._workers: set[WorkerProcess] = set()
        self._free_numbers = list(range(MAX_WORKER_NUMBERS))
        self._closed = False

    def render(self, frame: int, threads: int) -> FrameResult:
        """Render one frame and write its files.

        Args:
            frame: number of the frame.
            threads: CPU threads.

        Raises:
            UserError, OSError, FrameError: the frame failed. Its process has ended; the next call starts a
            new process.
        """
        worker = self._acquire()
        try:
            reply = worker.request({"frame": frame, "threads": threads})
        except BaseException:
            self._discard(worker)
            raise
        if reply["last"]:
            self._discard(worker)
        else:
            self._release(worker)
        placements = {key: (wanted, placed) for key, (wanted, placed) in reply["placements"].items()}
        return FrameResult(reply["device"], placements)

    def gpu_count(self) -> int:
        """Return the number of GPUs for the job's device on this machine, as the first process reports it."""
        worker = self._acquire()
        self._release(worker)
        return int(worker.handshake["gpus"])

    def close(self) -> None:
        """End all processes. Frames that are being rendered fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._workers:
                worker.disconnect()
        for worker in idle:
            self._discard(worker)

    def _acquire(self) -> WorkerProcess:
        """Return an idle process, or start a new one."""
        while worker := self._pop_idle():
            if worker.process.poll() is None:
                return worker
            self._discard(worker)  # the process ended while it was idle
        with self._lock:
            number = heapq.heappop(self._free_numbers)
        try:
            worker = WorkerProcess(self.job, number)
        except BaseException:
            with self._lock:
                heapq.heappush(self._free_numbers, number)
            raise
        with self._lock:
            self._workers.add(worker)
            if not self._closed:
                return worker
        self._discard(worker)
        raise FrameError("the worker pool was closed")

    def _pop_idle(self) -> WorkerProcess | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _release(self, worker: WorkerProcess) -> None:
        """Mark a process as idle, or end it if the pool is closed."""
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        self._discard(worker)

    def _discard(self, worker: WorkerProcess) -> None:
        """End a process and free its number."""
        worker.close()
        with self._lock:
            self._workers.discard(worker)
            heapq.heappush(self._free_numbers, worker.number)


@contextlib.contextmanager
def open_local_backend(job: RenderJob, count: int, threads: int, frames: int) -> Iterator[Backend]:
    """Render in processes of this machine.

    Args:
        job: the split to render.
        count: number of processes; 0: one per GPU, or without a GPU one per core (at most MAX_PROCESSES).
        threads: CPU threads per process; 0: the cores divided by the number of processes.
        frames: number of frames to render, which limits the number of processes.
    """
    pool, cores = WorkerPool(job), core_count()
    try:
        # Counting GPUs delays the start of the other processes by a second, so it is skipped where possible.
        needs_gpu_count = _may_have_gpu() if job.device == "auto" else job.device != "cpu"
        gpus = pool.gpu_count() if needs_gpu_count else 0
        count = min(count or gpus or min(cores, MAX_PROCESSES), frames)
        cores_each = max(1, cores // count)
        with ThreadPoolExecutor(count) as executor:

            def submit(frame: int, last: bool) -> Future[FrameResult]:
                # The last frames get twice the threads, because other processes have no more work.
                frame_threads = threads or (min(cores, 2 * cores_each) if last else cores_each)
                return executor.submit(pool.render, frame, frame_threads)

            try:
                yield Backend(submit, lambda: count, f"{count} {'process' if count == 1 else 'processes'}")
            finally:
                executor.shutdown(wait=False, cancel_futures=True)
                pool.close()
    finally:
        pool.close()


def _may_have_gpu() -> bool:
    """Check whether this machine can have a GPU: on Linux, every GPU has a device file."""
    nodes = ("nvidia0", "nvidiactl", "kfd", "dri", "dxg")
    return sys.platform != "linux" or any(Path("/dev", node).exists() for node in nodes)
