"""ByteTrack and the baseline on detections made by hand, and the stream of results."""

from __future__ import annotations

import io
import json

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.tracking import files
from pipeline.tracking.files import read_stream
from pipeline.tracking.trackers import NO_TRACK, ByteTracker, GreedyTracker, Tracker, box_iou


def box(left: float, top: float = 10.0) -> list[float]:
    return [left, top, left + 20, top + 40]


def update(tracker: Tracker, *objects: tuple[float, int, float]) -> list[int]:
    """Give a tracker objects as (left edge, label, score)."""
    boxes = np.array([box(left) for left, _, _ in objects], np.float32).reshape(-1, 4)
    labels: npt.NDArray[np.int64] = np.array([label for _, label, _ in objects], np.int64)
    return tracker.update(boxes, labels, np.array([s for _, _, s in objects], np.float32)).tolist()


@pytest.mark.parametrize("tracker", [ByteTracker(0.5, 10), GreedyTracker(0.5)])
def test_objects_keep_their_ids_in_any_order(tracker: Tracker) -> None:
    first = update(tracker, (10, 1, 0.9), (100, 1, 0.9))
    assert len(set(first)) == 2 and NO_TRACK not in first
    assert update(tracker, (102, 1, 0.9), (12, 1, 0.8)) == first[::-1]
    assert update(tracker, (14, 1, 0.9), (104, 1, 0.7)) == first


@pytest.mark.parametrize("tracker", [ByteTracker(0.5, 10), GreedyTracker(0.5)])
def test_no_class_continues_the_track_of_another(tracker: Tracker) -> None:
    (pedestrian,) = update(tracker, (10, 1, 0.9))
    (truck,) = update(tracker, (10, 2, 0.9))
    assert truck != pedestrian


def test_only_bytetrack_bridges_a_frame_without_detections() -> None:
    for tracker, stays in ((ByteTracker(0.5, 10), True), (GreedyTracker(0.5), False)):
        (before,) = update(tracker, (10, 1, 0.9))
        assert update(tracker) == []
        assert (update(tracker, (11, 1, 0.9)) == [before]) == stays


def test_a_track_starts_above_the_threshold_and_weak_detections_continue_it() -> None:
    for first, starts in ((0.59, False), (0.61, True)):
        tracker = ByteTracker(0.5, 10)
        assert (update(tracker, (10, 1, first)) != [NO_TRACK]) == starts
    assert update(tracker, (10, 1, 0.11)) == [1]
    assert update(tracker, (10, 1, 0.09)) == [NO_TRACK]
    assert update(ByteTracker(0.95, 10), (10, 1, 0.96)) == [1], "no score is above 1.05"


def test_bytetrack_ends_a_track_after_a_second_of_the_video() -> None:
    for rate, frames, stays in ((10, 9, True), (10, 14, False), (30, 14, True)):
        tracker = ByteTracker(0.5, rate)
        (before,) = update(tracker, (10, 1, 0.9))
        for _ in range(frames):
            update(tracker)
        again = [update(tracker, (10, 1, 0.9)) for _ in range(2)][-1]  # a new track needs two frames
        assert (again == [before]) == stays, (rate, frames)


def test_baseline_connects_the_largest_iou_first() -> None:
    """Both boxes overlap the earlier one; the second one more."""
    tracker = GreedyTracker(0.5)
    (earlier,) = update(tracker, (10, 1, 0.9))
    new, same = update(tracker, (16, 1, 0.9), (12, 1, 0.6))
    assert same == earlier and new not in (earlier, NO_TRACK)
    assert update(tracker, (12, 1, 0.4)) == [NO_TRACK], "below the threshold"


def test_box_iou_of_boxes_and_of_none() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    assert box_iou(boxes, np.array([[5, 0, 15, 10]])) == pytest.approx(np.array([[1 / 3], [0]]))
    assert box_iou(boxes, np.zeros((0, 4))).shape == (2, 0)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_results_are_read_one_by_one_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(files, "_CHUNK", chunk)
    entries = [{"a": 1, "text": "]},{"}, {"b": [1, 2.5, None]}, {}]
    for values in (entries, []):
        assert list(read_stream(io.StringIO(json.dumps(values)))) == values
    with pytest.raises(ValueError, match="not a list"):
        list(read_stream(io.StringIO("{}")))
    with pytest.raises(ValueError, match="Expecting"):
        list(read_stream(io.StringIO('[{"a": 1}, {"b"')))
