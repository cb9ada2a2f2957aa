"""Frames to workers: few in flight, a second try, the rest goes on. Threads stand for the workers."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from blender.contract import UserError
from blender.workers import dispatch as dispatching
from blender.workers.dispatch import HOPELESS, Reply, Team, dispatch, failures


class Workers:
    """Fails the frames it is told to, so often as it is told, and watches how many are in flight."""

    def __init__(self, faults: dict[int, list[Exception]], size: int = 3) -> None:
        self.faults, self.size = faults, size
        self.started: Counter[int] = Counter()
        self.last: list[int] = []
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(16)

    def team(self) -> Team:
        return Team(self.submit, lambda: self.size, "threads")

    def submit(self, frame: int, last: bool) -> Future[Reply]:
        self.running += 1  # in the thread that calls dispatch
        self.most = max(self.most, self.running)
        self.last += [frame] * last
        return self.pool.submit(self.render, frame)

    def render(self, frame: int) -> dict[str, Any]:
        with self.lock:
            self.started[frame] += 1
            faults = self.faults.get(frame, [])
            if len(faults) >= self.started[frame]:
                self.running -= 1
                raise faults[self.started[frame] - 1]
        return {"device": "CPU"}

    def done(self, frame: int, reply: Reply) -> None:
        self.running -= 1
        assert reply == {"device": "CPU"}


def test_every_frame_once_and_few_in_flight() -> None:
    workers = Workers({})
    assert dispatch(workers.team(), range(200), workers.done) == {}
    assert workers.started == Counter(range(200))
    assert workers.most == 3
    assert workers.last == [197, 198, 199]


def test_a_frame_that_fails_once_is_done_and_one_that_fails_twice_is_named() -> None:
    workers = Workers({5: [ValueError("x")], 7: [ValueError("bad\nmesh")] * 2, 30: [ValueError("x")] * 2})
    failed = dispatch(workers.team(), range(40), workers.done)
    assert failed == {7: "bad mesh", 30: "x"}
    assert workers.started == Counter(range(40)) + Counter([5, 7, 30])
    text = failures(failed)
    assert "2 frames failed twice: 7, 30 (frame 7: bad mesh)" in text and "\n" not in text


def test_a_users_mistake_ends_it_at_once() -> None:
    workers = Workers({4: [UserError("no such GPU")]})
    with pytest.raises(UserError, match="no such GPU"):
        dispatch(workers.team(), range(1000), workers.done)
    assert sum(workers.started.values()) < 20


def test_a_full_disk_ends_it_after_a_second_try() -> None:
    full = OSError(28, "No space left on device", "/x")
    workers = Workers({frame: [full] * 2 for frame in range(4, 1000)})
    with pytest.raises(OSError, match="No space left"):
        dispatch(workers.team(), range(1000), workers.done)
    assert workers.started[4] == 2


def test_when_nothing_succeeds_the_rest_is_not_tried() -> None:
    workers = Workers({frame: [ValueError("broken")] * 2 for frame in range(1000)})
    with pytest.raises(UserError, match="broken"):
        dispatch(workers.team(), range(1000), workers.done)
    assert sum(workers.started.values()) <= 2 * HOPELESS + 3


def test_lost_workers_are_one_line() -> None:
    lost: Future[Reply] = Future()
    lost.cancel()
    lost.set_running_or_notify_cancel()
    with pytest.raises(UserError, match="lost"):
        dispatch(Team(lambda *_: lost, lambda: 1, ""), range(3), lambda *_: None)


def test_a_team_that_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """No result comes, and the team says now and then how many it is."""
    monkeypatch.setattr(dispatching, "POLL_INTERVAL", 0.01)
    sizes = iter([2, 2, 0])

    def size() -> int:
        for found in sizes:
            return found
        raise UserError("its workers are gone")

    with pytest.raises(UserError, match="gone"):
        dispatch(Team(lambda *_: Future(), size, ""), range(3), lambda *_: None)
