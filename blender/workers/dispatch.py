"""Frames to whoever renders them: few in flight, a second try for each, and the rest goes on."""

from __future__ import annotations

import concurrent.futures
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from blender.contract import UserError
from blender.contract.scheduler import POLL_INTERVAL

TRIES = 2
"""How often a frame is tried."""
HOPELESS = 8
"""So many frames failed and none succeeded: the rest would fail too."""

Reply = dict[str, Any]


@dataclass(frozen=True)
class Team:
    """Who renders: the processes of this machine, or those of a cluster."""

    submit: Callable[[int, bool], Future[Reply]]
    """Start a frame; the flag says that fewer wait than run, so that it may use what will soon be
    idle. Its future raises UserError if no frame can succeed, anything else if this one did not."""
    size: Callable[[], int]
    """Frames to have in flight, now."""
    label: str


def dispatch(team: Team, frames: Iterable[int], on_done: Callable[[int, Reply], None]) -> dict[int, str]:
    """Have all frames rendered, at most ``team.size()`` in flight; ``on_done`` is called after each.

    Memory does not grow with the number of frames in flight or done.

    Returns:
        The frames that failed twice, each with the reason. The others are done.

    Raises:
        UserError: no frame can succeed, or the team is gone.
        OSError: a frame failed twice on a file: the disk is full, or gone.
    """
    waiting, running = deque(frames), dict[Future[Reply], int]()
    tries, failed, done = Counter[int](), dict[int, str](), 0
    while waiting or running:
        size = max(1, team.size())
        while waiting and len(running) < size:
            frame = waiting.popleft()
            running[team.submit(frame, len(waiting) < size)] = frame
        # Now and then without a result, so that the size is asked for: it may be that nobody is left.
        finished, _ = concurrent.futures.wait(running, POLL_INTERVAL, concurrent.futures.FIRST_COMPLETED)
        for future in finished:
            frame = running.pop(future)
            error = _error(future)
            if error is None:
                done += 1
                tries.pop(frame, None)
                on_done(frame, future.result())
                continue
            tries[frame] += 1
            if tries[frame] < TRIES:
                waiting.appendleft(frame)
            elif isinstance(error, OSError):
                raise error
            else:
                failed[frame] = " ".join(str(error).split()) or type(error).__name__
        if not done and len(failed) >= HOPELESS:
            raise UserError(
                f"the first {len(failed)} frames failed twice each: {next(iter(failed.values()))}"
            )
    return failed


def _error(future: Future[Reply]) -> BaseException | None:
    """What went wrong; UserErrors are raised."""
    if future.cancelled():
        raise UserError("the connection to the workers was lost; repeat the command to go on")
    error = future.exception()
    if isinstance(error, UserError):
        raise error
    return error


def failures(failed: dict[int, str]) -> str:
    """The frames that failed, in one line."""
    first = min(failed)
    names = ", ".join(str(frame) for frame in sorted(failed)[:10]) + (", ..." if len(failed) > 10 else "")
    return (
        f"{len(failed)} {'frame' if len(failed) == 1 else 'frames'} failed twice: {names} "
        f"(frame {first}: {failed[first]}); all others are done; repeat the command to try again"
    )
