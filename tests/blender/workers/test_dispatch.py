"""Dispatch of frames: few in flight, one retry, failures do not stop the rest. Threads act as the workers."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from blender.contract import UserError
from blender.workers import dispatch as dispatch_module
from blender.workers.dispatch import (
    MAX_INITIAL_FAILURES,
    Backend,
    FrameResult,
    dispatch,
    failure_summary,
)

CPU = FrameResult("CPU")


class FakeWorkers:
    """A backend of threads that raises the given errors, one per attempt of a frame, and records calls."""

    def __init__(self, errors: dict[int, list[Exception]], size: int = 3) -> None:
        self.errors, self.size = errors, size
        self.attempts: Counter[int] = Counter()
        self.marked_last: list[int] = []
        self.in_flight = self.max_in_flight = 0
        self.lock = threading.Lock()
        self.executor = ThreadPoolExecutor(16)

    def backend(self) -> Backend:
        return Backend(self.submit, lambda: self.size, "threads")

    def submit(self, frame: int, last: bool) -> Future[FrameResult]:
        self.in_flight += 1  # in the thread that calls dispatch
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.marked_last += [frame] * last
        return self.executor.submit(self.render, frame)

    def render(self, frame: int) -> FrameResult:
        with self.lock:
            self.attempts[frame] += 1
            errors = self.errors.get(frame, [])
            if len(errors) >= self.attempts[frame]:
                self.in_flight -= 1
                raise errors[self.attempts[frame] - 1]
        return CPU

    def on_done(self, frame: int, result: FrameResult) -> None:
        self.in_flight -= 1
        assert result == CPU


def test_every_frame_is_rendered_once_with_few_in_flight() -> None:
    workers = FakeWorkers({})
    assert dispatch(workers.backend(), range(200), workers.on_done) == {}
    assert workers.attempts == Counter(range(200))
    assert workers.max_in_flight == 3
    assert workers.marked_last == [197, 198, 199]


def test_frame_is_retried_once_and_reported_if_it_fails_twice() -> None:
    workers = FakeWorkers({5: [ValueError("x")], 7: [ValueError("bad\nmesh")] * 2, 30: [ValueError("x")] * 2})
    failed = dispatch(workers.backend(), range(40), workers.on_done)
    assert failed == {7: "bad mesh", 30: "x"}
    assert workers.attempts == Counter(range(40)) + Counter([5, 7, 30])
    text = failure_summary(failed)
    assert "2 frames failed twice: 7, 30 (frame 7: bad mesh)" in text and "\n" not in text


def test_user_error_stops_the_dispatch_at_once() -> None:
    workers = FakeWorkers({4: [UserError("no such GPU")]})
    with pytest.raises(UserError, match="no such GPU"):
        dispatch(workers.backend(), range(1000), workers.on_done)
    assert sum(workers.attempts.values()) < 20


def test_full_disk_stops_the_dispatch_after_the_retry() -> None:
    full = OSError(28, "No space left on device", "/x")
    workers = FakeWorkers({frame: [full] * 2 for frame in range(4, 1000)})
    with pytest.raises(OSError, match="No space left"):
        dispatch(workers.backend(), range(1000), workers.on_done)
    assert workers.attempts[4] == 2


def test_dispatch_stops_if_the_first_frames_all_fail() -> None:
    workers = FakeWorkers({frame: [ValueError("broken")] * 2 for frame in range(1000)})
    with pytest.raises(UserError, match="broken"):
        dispatch(workers.backend(), range(1000), workers.on_done)
    assert sum(workers.attempts.values()) <= 2 * MAX_INITIAL_FAILURES + 3


def test_cancelled_frame_is_reported_as_lost_connection() -> None:
    lost: Future[FrameResult] = Future()
    lost.cancel()
    lost.set_running_or_notify_cancel()
    with pytest.raises(UserError, match="lost"):
        dispatch(Backend(lambda *_: lost, lambda: 1, ""), range(3), lambda *_: None)


def test_dispatch_polls_the_backend_size_while_no_result_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch_module, "POLL_INTERVAL", 0.01)
    sizes = iter([2, 2, 0])

    def size() -> int:
        for value in sizes:
            return value
        raise UserError("its workers are gone")

    with pytest.raises(UserError, match="gone"):
        dispatch(Backend(lambda *_: Future(), size, ""), range(3), lambda *_: None)
