"""A process that renders the frames it is given, one after the other. ``blender.workers.pool`` starts it.

It talks over a socket it inherits, in lines of JSON, because Blender prints what it likes on the standard
streams. First comes the job and this process's number on its machine, answered with the device; then
frames, each answered when it is committed. When the other end closes, or its process dies, this one
ends at once, in the middle of a frame if need be: nothing is committed by halves.
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

from blender.contract import UserError
from blender.rendering.frame import Job, Workshop, open_workshop, render_frame
from blender.workers.cpu import one_core_seen

GROWTH = 1024.0
"""Megabytes above its first frame's at which a process ends, so that a leak never fills a machine."""

IDLE = 600.0
"""Seconds without a request after which a process ends: whoever started it forgot it."""


def main() -> None:
    """Serve the socket and use the scratch folder that the last two arguments name."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; our parent sees to it
    handle, scratch = int(sys.argv[-2]), Path(sys.argv[-1])
    stream = socket.socket(fileno=handle).makefile("rw", encoding="utf-8")
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(stream, requests, scratch), daemon=True).start()
    try:
        _serve(stream, requests, scratch)
    except (queue.Empty, OSError):
        pass  # forgotten, or nobody listens any more
    except BaseException:
        traceback.print_exc()
        _leave(scratch, 3)
    _leave(scratch, 0)


def _listen(stream: TextIO, requests: queue.SimpleQueue[dict[str, Any]], scratch: Path) -> None:
    try:
        for line in stream:
            requests.put(json.loads(line))
    finally:
        _leave(scratch, 0)


def _leave(scratch: Path, status: int) -> None:
    for _ in range(100):  # Blender may be writing there still
        shutil.rmtree(scratch, ignore_errors=True)
        if not scratch.exists():
            break
    sys.stderr.flush()
    os._exit(status)  # Blender's own end has nothing to save, and may crash


def _serve(stream: TextIO, requests: queue.SimpleQueue[dict[str, Any]], scratch: Path) -> None:
    first = requests.get(timeout=IDLE)
    try:
        workshop = open_workshop(Job(**first["job"]))
        device = _device(workshop.job.device, first["member"], scratch)
    except Exception as error:
        _answer(stream, _failure(error))
        return
    _answer(stream, {"device": device.note, "gpus": device.count})
    done, base, last = 0, 0.0, False
    while not last:
        request = requests.get(timeout=IDLE)
        reply = _attempt(workshop, request, device, scratch)
        done, now = done + 1, resident_megabytes()
        base = base or now
        last = "error" in reply or done >= workshop.job.recycle or now - base > GROWTH
        _answer(stream, {**reply, "last": last})


def _device(wanted: str, member: int, scratch: Path) -> Any:
    try:
        with one_core_seen():
            from blender.rendering.device import choose_device
    except ImportError as error:
        raise UserError(
            f"Blender's Python module cannot be loaded: {error}; see `transpalette doctor`"
        ) from None
    return choose_device(wanted, member, scratch)


def _attempt(workshop: Workshop, request: dict[str, Any], device: Any, scratch: Path) -> dict[str, Any]:
    try:
        render_frame(workshop, request["frame"], device, request["threads"], scratch)
    except Exception as error:
        return _failure(error)
    return {"device": device.note}


def _failure(error: Exception) -> dict[str, Any]:
    """An error as JSON; ``workers.pool`` raises it again. A fault of ours leaves its traceback here."""
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
    return {"error": "fault", "text": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _answer(stream: TextIO, reply: dict[str, Any]) -> None:
    stream.write(json.dumps(reply) + "\n")
    stream.flush()


def resident_megabytes() -> float:
    """Memory that this process holds, in megabytes; where the system doesn't say, the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


if __name__ == "__main__":
    main()
