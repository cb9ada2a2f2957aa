"""Processes that render, from their parent's side: started when needed, replaced when they end."""

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

from blender.contract import UserError
from blender.rendering.frame import Job
from blender.workers.cpu import ONE_BLAS_THREAD, core_count
from blender.workers.dispatch import Team

_WORKER = Path(__file__).with_name("worker_main.py")
MOST = 8
"""Processes at most, unless asked for: each holds a scene of its own."""


class FrameError(Exception):
    """A frame could not be rendered: its process died, or met a fault of ours."""


class Member:
    """One process; see ``blender.workers.worker_main`` for the other end."""

    def __init__(self, job: Job, number: int) -> None:
        """Start the ``number``-th process of this machine, and wait until it has chosen its device.

        Raises:
            UserError, OSError, FrameError: what it answers, or that it died.
        """
        self.number = number
        self._scratch = Path(tempfile.mkdtemp(prefix="transpalette-"))
        ours, theirs = socket.socketpair()
        with theirs:
            handle = theirs.fileno()
            self.process = subprocess.Popen(
                [*_interpreter(), str(handle), str(self._scratch)],
                # TMPDIR: for Blender's own files too.
                env={**ONE_BLAS_THREAD, **os.environ, "TMPDIR": str(self._scratch)},
                pass_fds=[handle],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._socket, self._stream = ours, ours.makefile("rw", encoding="utf-8")
        try:
            self.hello = self.ask({"job": dataclasses.asdict(job), "member": number})
        except BaseException:
            self.close()
            raise

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the answer.

        Raises:
            UserError, OSError, FrameError: what it answers, or that it died.
        """
        try:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError:  # it died while we wrote
            line = ""
        if not line:
            raise FrameError(f"its process {_ending(self.process)}")
        reply: dict[str, Any] = json.loads(line)
        match reply.get("error"):
            case "user":
                raise UserError(reply["text"])
            case "os":
                raise OSError(reply["number"], reply["text"], reply["file"])
            case "fault":
                raise FrameError(reply["text"])
        return reply

    def hang_up(self) -> None:
        """Have the process end at once; whoever waits for its answer is told that it died."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the process, and see that it's gone."""
        self.hang_up()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _ending(process: subprocess.Popen[bytes]) -> str:
    try:
        status = process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return "went silent"
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _interpreter() -> list[str]:
    """What runs ``member.py``: the Blender we are in, or this Python with its bpy package."""
    bpy = sys.modules.get("bpy")
    binary = bpy.app.binary_path if bpy is not None and hasattr(bpy, "app") else ""
    if binary and not Path(binary).name.startswith("python"):
        flags = ["-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", "3"]
        return [binary, *flags, "-P", str(_WORKER), "--"]
    return [sys.executable, str(_WORKER), "--"]


class Crew:
    """Processes for one job, as many as frames are asked for at once. Safe to use from several threads."""

    def __init__(self, job: Job) -> None:
        """No process is started yet."""
        self.job = job
        self._lock = threading.Lock()
        self._idle: list[Member] = []
        self._members: set[Member] = set()
        self._numbers = list(range(4096))
        self._closed = False

    def render(self, frame: int, threads: int) -> dict[str, Any]:
        """Have one frame rendered and committed; returns what the process tells of itself: ``device``.

        Raises:
            UserError, OSError, FrameError: it wasn't; its process is gone, the next call starts another.
        """
        member = self._take()
        try:
            reply = member.ask({"frame": frame, "threads": threads})
        except BaseException:
            self._drop(member)
            raise
        if reply["last"]:
            self._drop(member)
        else:
            self._give_back(member)
        return reply

    def gpus(self) -> int:
        """Number of GPUs that the job's device choice finds here, asked of the first process."""
        member = self._take()
        self._give_back(member)
        return int(member.hello["gpus"])

    def close(self) -> None:
        """End all processes, also those at work: their frames fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for member in self._members:
                member.hang_up()
        for member in idle:
            self._drop(member)

    def _take(self) -> Member:
        while member := self._next_idle():
            if member.process.poll() is None:
                return member
            self._drop(member)  # it ended while nobody asked it for anything
        with self._lock:
            number = heapq.heappop(self._numbers)
        try:
            member = Member(self.job, number)
        except BaseException:
            with self._lock:
                heapq.heappush(self._numbers, number)
            raise
        with self._lock:
            self._members.add(member)
            if not self._closed:
                return member
        self._drop(member)
        raise FrameError("its process is not wanted any more")

    def _next_idle(self) -> Member | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, member: Member) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(member)
                return
        self._drop(member)

    def _drop(self, member: Member) -> None:
        member.close()
        with self._lock:
            self._members.discard(member)
            heapq.heappush(self._numbers, member.number)


@contextlib.contextmanager
def local_team(job: Job, count: int, threads: int, frames: int) -> Iterator[Team]:
    """Processes of this machine.

    Args:
        count: how many; 0: what suits the machine, that is one a core, or one a GPU.
        threads: of the CPU in each; 0: the cores, shared out among the frames being rendered.
        frames: to do; more processes than that are not started.
    """
    crew, cores = Crew(job), core_count()
    try:
        # Asking costs a second in which the other processes could start.
        ask = _may_have_gpu() if job.device == "auto" else job.device != "cpu"
        gpus = crew.gpus() if ask else 0
        count = min(count or gpus or min(cores, MOST), frames)
        share = max(1, cores // count)
        with ThreadPoolExecutor(count) as pool:

            def submit(frame: int, last: bool) -> Future[dict[str, Any]]:
                # The last ones may have the cores of processes with nothing left to do.
                return pool.submit(crew.render, frame, threads or (min(cores, 2 * share) if last else share))

            try:
                yield Team(submit, lambda: count, f"{count} {'process' if count == 1 else 'processes'}")
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                crew.close()
    finally:
        crew.close()


def _may_have_gpu() -> bool:
    """Is a GPU possible? On Linux none is without a device file."""
    nodes = ("nvidia0", "nvidiactl", "kfd", "dri", "dxg")
    return sys.platform != "linux" or any(Path("/dev", node).exists() for node in nodes)
