"""Dispatch frames to a backend: few frames in flight, one retry per frame, failures do not stop the rest."""

from __future__ import annotations

import concurrent.futures
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from blender.contract import UserError
from blender.contract.scheduler import POLL_INTERVAL
from blender.scene.checks import Placements

MAX_ATTEMPTS = 2
"""Maximum number of attempts for each frame."""
MAX_INITIAL_FAILURES = 8
"""If this many frames fail and none has succeeded, the remaining frames are not attempted."""


@dataclass(frozen=True)
class FrameResult:
    """What a backend returns for a frame that was rendered and written."""

    device: str
    """Description of the device that rendered the frame (``Device.note``)."""
    placements: Placements = field(default_factory=dict)
    """The number of objects that the frame should have, and that were placed."""


@dataclass(frozen=True)
class Backend:
    """Where frames are rendered: in processes of this machine or on a Dask cluster."""

    submit: Callable[[int, bool], Future[FrameResult]]
    """Starts a frame: (frame, last) -> future. ``last`` is true for the final frames, when fewer frames wait
    than run; such a frame may use cores that other workers no longer need. The future raises UserError if no
    frame can succeed, and any other exception if only this frame failed."""
    size: Callable[[], int]
    """Returns the number of frames to have in flight now."""
    label: str
    """Description for the progress output."""


def dispatch(
    backend: Backend, frames: Iterable[int], on_done: Callable[[int, FrameResult], None]
) -> dict[int, str]:
    """Render all frames, at most ``backend.size()`` at a time.

    Memory does not grow with the number of frames.

    Args:
        backend: where the frames are rendered.
        frames: numbers of the frames.
        on_done: called after each frame that succeeded.

    Returns:
        The reason of each frame that failed twice. All other frames are done.

    Raises:
        UserError: no frame can succeed, or the workers are lost.
        OSError: a frame failed twice because of a file, for example on a full disk.
    """
    waiting, running = deque(frames), dict[Future[FrameResult], int]()
    attempts, failed, done = Counter[int](), dict[int, str](), 0
    while waiting or running:
        size = max(1, backend.size())
        while waiting and len(running) < size:
            frame = waiting.popleft()
            running[backend.submit(frame, len(waiting) < size)] = frame
        # The timeout makes sure that backend.size() is called: it raises an error if all workers are lost.
        finished, _ = concurrent.futures.wait(running, POLL_INTERVAL, concurrent.futures.FIRST_COMPLETED)
        for future in finished:
            frame = running.pop(future)
            error = _frame_error(future)
            if error is None:
                done += 1
                attempts.pop(frame, None)
                on_done(frame, future.result())
                continue
            attempts[frame] += 1
            if attempts[frame] < MAX_ATTEMPTS:
                waiting.appendleft(frame)
            elif isinstance(error, OSError):
                raise error
            else:
                failed[frame] = " ".join(str(error).split()) or type(error).__name__
        if not done and len(failed) >= MAX_INITIAL_FAILURES:
            raise UserError(
                f"the first {len(failed)} frames failed twice each: {next(iter(failed.values()))}"
            )
    return failed


def _frame_error(future: Future[FrameResult]) -> BaseException | None:
    """Return the exception of a frame; raise it if it is a UserError, which concerns all frames."""
    if future.cancelled():
        raise UserError("the connection to the workers was lost; repeat the command to continue")
    error = future.exception()
    if isinstance(error, UserError):
        raise error
    return error


def failure_summary(failed: dict[int, str]) -> str:
    """Summarise the failed frames in one line."""
    first = min(failed)
    names = ", ".join(str(frame) for frame in sorted(failed)[:10]) + (", ..." if len(failed) > 10 else "")
    return (
        f"{len(failed)} {'frame' if len(failed) == 1 else 'frames'} failed twice: {names} "
        f"(frame {first}: {failed[first]}); all others are done; repeat the command to try again"
    )
