"""Entry point of a rendering process, which ``blender.workers.pool`` starts.

The process gets its requests over an inherited socket as lines of JSON, because Blender prints its own
messages to the standard streams. The first request names the job and the number of the process; the reply
names the device. Each further request is a frame; the reply follows when the frame's files are written.
When the parent closes the socket or dies, this process exits at once, even in the middle of a frame. That is
safe, because the files of a frame are written atomically.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

if __package__ in (None, ""):  # run as a file: the repository is not on the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from blender.contract import UserError, explain_temporary_errors
from blender.rendering.frame import RenderContext, RenderJob, load_context, render_frame
from blender.workers.cpu import pinned_to_one_core
from blender.workers.memory import resident_megabytes

MAX_MEMORY_GROWTH = 1024.0
"""Megabytes beyond the first frame's memory at which the process ends, as a guard against leaks."""

IDLE_TIMEOUT = 600.0
"""Seconds without a request after which the process ends."""

Requests = queue.SimpleQueue[dict[str, Any]]


def main() -> None:
    """Handle requests. The last two arguments are the socket's file descriptor and the scratch folder."""
    # Ctrl-C reaches the whole process group. The parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handle, scratch = int(sys.argv[-2]), Path(sys.argv[-1])
    stream = socket.socket(fileno=handle).makefile("rw", encoding="utf-8")
    requests: Requests = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(stream, requests, scratch), daemon=True).start()
    try:
        _handle_requests(stream, requests, scratch)
    except (queue.Empty, OSError):
        pass  # idle for too long, or the connection is closed
    except BaseException:
        traceback.print_exc()
        _exit(scratch, 3)
    _exit(scratch, 0)


def _read_requests(stream: TextIO, requests: Requests, scratch: Path) -> None:
    """Read requests in a thread, so that a closed socket ends the process even during a render."""
    try:
        for line in stream:
            requests.put(json.loads(line))
    finally:
        _exit(scratch, 0)


def _exit(scratch: Path, status: int) -> None:
    """Remove the scratch folder and end the process."""
    for _ in range(100):  # Blender may still be writing to the folder
        shutil.rmtree(scratch, ignore_errors=True)
        if not scratch.exists():
            break
    sys.stderr.flush()
    os._exit(status)  # Blender's own shutdown has nothing to save, and may crash


def _handle_requests(stream: TextIO, requests: Requests, scratch: Path) -> None:
    """Choose the device, then render a frame for each request until a frame fails or a limit is reached.

    Raises:
        queue.Empty: no request came for ``IDLE_TIMEOUT`` seconds.
        OSError: the connection is closed.
    """
    first = requests.get(timeout=IDLE_TIMEOUT)
    try:
        with explain_temporary_errors(scratch):
            context = load_context(RenderJob(**first["job"]))
            device = _choose_device(context.job.device, first["worker"], scratch)
    except Exception as error:
        _send(stream, _error_reply(error))
        return
    _send(stream, {"device": device.note, "gpus": device.count})
    frames, first_memory, last = 0, 0.0, False
    while not last:
        request = requests.get(timeout=IDLE_TIMEOUT)
        reply = _render(context, request, device, scratch)
        frames, memory = frames + 1, resident_megabytes()
        first_memory = first_memory or memory
        last = "error" in reply or frames >= context.job.recycle or memory - first_memory > MAX_MEMORY_GROWTH
        _send(stream, {**reply, "last": last})


def _choose_device(requested: str, worker: int, scratch: Path) -> Any:
    try:
        # Imported here because bpy must be loaded while the process is pinned to one core.
        with pinned_to_one_core():
            from blender.rendering.device import choose_device
    except ImportError as error:
        raise UserError(
            f"Blender's Python module cannot be loaded: {error}; see `transpalette doctor`"
        ) from None
    return choose_device(requested, worker, scratch)


def _render(context: RenderContext, request: dict[str, Any], device: Any, scratch: Path) -> dict[str, Any]:
    try:
        with explain_temporary_errors(scratch):
            placements = render_frame(context, request["frame"], device, request["threads"], scratch)
    except Exception as error:
        return _error_reply(error)
    return {"device": device.note, "placements": placements}


def _error_reply(error: Exception) -> dict[str, Any]:
    """Convert an exception to a reply, from which ``WorkerProcess.request`` raises it again.

    The traceback of an unexpected exception is printed here.
    """
    if isinstance(error, UserError):
        return {"error": "user", "text": str(error)}
    if isinstance(error, OSError):
        return {
            "error": "os",
            "number": error.errno,
            "text": error.strerror or str(error),
            "file": str(error.filename or "file"),
        }
    traceback.print_exception(error)
    return {"error": "internal", "text": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _send(stream: TextIO, reply: dict[str, Any]) -> None:
    stream.write(json.dumps(reply) + "\n")
    stream.flush()


if __name__ == "__main__":
    main()
