"""Events of tracked videos: their begin and end, gaps, certainty, and the interval of a pair's distance."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender.contract import UserError
from pipeline.metres.camera import Camera
from pipeline.metres.results import Metres
from pipeline.tracking.event_files import COLUMNS, read_event_rule, write_events
from pipeline.tracking.events import EventRule, find_events, pair_interval
from pipeline.tracking.files import TrackedVideo

RULE = EventRule(metres=2.0, seconds=1.0)
RATE = 10


def entry(
    frame: int, name: str, track: int | None, x: float, z: float = 4.0, error: float = 0.05, **more: Any
) -> dict[str, Any]:
    """Return a result at a floor position, whose distance has a 90 % interval of this relative error."""
    distance = math.hypot(x, z)
    interval = {"distance_low": distance * (1 - error), "distance_high": distance * (1 + error)}
    named = {"category_name": name, "track_id": track, "file_name": "a.mp4"}
    times = {"image_id": 1 + frame, "frame": frame, "seconds": frame / RATE}
    return times | named | {"x": x, "z": z, "distance": distance} | interval | more


def pass_by(
    gap: Callable[[int], float | None], frames: int = 40, error: float = 0.05
) -> Iterator[dict[str, Any]]:
    """Yield results of person 1 and truck 2, which are ``gap(frame)`` metres apart; None: no person."""
    for frame in range(frames):
        metres = gap(frame)
        if metres is not None:
            yield entry(frame, "pedestrian", 1, metres, error=error)
        yield entry(frame, "pallet_truck", 2, 0.0, error=error)


def video(frames: int = 40, first: int = 1) -> TrackedVideo:
    return TrackedVideo("a.mp4", first, 640, 480, RATE, [[0, frames]])


def spans(
    results: Iterator[dict[str, Any]], frames: int = 40, rule: EventRule = RULE
) -> list[tuple[int, int]]:
    return [(e["start_frame"], e["end_frame"]) for e in find_events(results, [video(frames)], rule)]


def test_event_has_times_tracks_and_smallest_distance() -> None:
    """3 metres at first, 1 metre in frame 20, 0.1 metres a frame: below 2 metres from frame 11 to 29."""
    results = list(pass_by(lambda frame: 1.0 + abs(frame - 20) * 0.1))
    (event,) = find_events(results, [video()], RULE)
    assert {**event, "certainty": "", "closest_low": 0, "closest_high": 0} == {
        "file_name": "a.mp4", "person_track": 1, "person_class": "pedestrian", "truck_track": 2,
        "truck_class": "pallet_truck", "start_seconds": 1.1, "end_seconds": 2.9, "duration_seconds": 1.8,
        "start_frame": 11, "end_frame": 29, "duration_frames": 19, "closest": 1.0, "closest_low": 0,
        "closest_high": 0, "closest_frame": 20, "certainty": "", "ongoing": False,
    }  # fmt: skip
    assert event["closest_low"] < 1.0 < event["closest_high"]
    assert set(event) == set(COLUMNS) - {"event"}


def test_event_lasts_longer_than_the_rule_says() -> None:
    def close(frames: int) -> Iterator[dict[str, Any]]:
        return pass_by(lambda frame: 1.0 if 10 <= frame < 10 + frames else 6.0)

    assert spans(close(11)) == [], "1.0 s is not longer than 1 s"
    assert spans(close(12)) == [(10, 21)]
    assert spans(close(1), rule=EventRule(2.0, 0.0)) == []
    assert spans(close(2), rule=EventRule(2.0, 0.0)) == [(10, 11)]


@pytest.mark.parametrize("away", [None, 3.0])
def test_short_gap_does_not_split_an_event_and_a_long_one_does(away: float | None) -> None:
    """A gap of 4 frames lasts 0.5 s from the last close frame to the next one; one of 5 lasts 0.6 s."""

    def with_gap(frames: int) -> Iterator[dict[str, Any]]:
        return pass_by(lambda frame: away if 15 <= frame < 15 + frames else 1.0)

    assert spans(with_gap(4)) == [(0, 39)]
    assert spans(with_gap(5)) == [(0, 14), (20, 39)]


def test_few_frames_a_second_keep_an_event_over_a_single_missing_frame() -> None:
    """A slow machine predicts every 8th frame of a camera; the numbers of the others are missing."""

    def slow(missing: tuple[int, ...], step: int = 8) -> Iterator[dict[str, Any]]:
        for index in range(10):
            times = {"image_id": 1 + index, "frame": step * index, "seconds": step * index / RATE}
            if index not in missing:
                yield entry(0, "person", 1, 1.0) | times
            yield entry(0, "forklift", 2, 0.0) | times

    camera = TrackedVideo("camera 0", 1, 640, 480, RATE, [[8 * index, 1] for index in range(10)])

    def found(missing: tuple[int, ...], step: int = 8) -> list[tuple[int, int]]:
        return [(e["start_frame"], e["end_frame"]) for e in find_events(slow(missing, step), [camera], RULE)]

    assert found(()) == [(0, 72)]
    assert found((4,)) == [(0, 72)]
    assert found((4, 5)) == [(0, 24), (48, 72)]
    assert found((), step=25) == [], "frames 2.5 seconds apart say nothing about the time between"


def test_certainty_depends_on_the_interval() -> None:
    """At 1.5 metres a narrow interval stays below 2 metres; a wide one does not, but its median does."""
    events = {
        error: next(find_events(pass_by(lambda frame: 1.5, error=error), [video()], RULE))
        for error in (0.02, 0.3)
    }
    assert [event["certainty"] for event in events.values()] == ["sure", "likely"]
    assert events[0.02]["closest_high"] < 2.0 < events[0.3]["closest_high"]


def test_event_is_sure_only_if_it_is_for_longer_than_the_rule_says() -> None:
    def approach(frames: int) -> Iterator[dict[str, Any]]:
        return pass_by(lambda frame: 1.0 if 10 <= frame < 10 + frames else 1.95)

    for frames, certainty in ((11, "likely"), (12, "sure")):
        (event,) = find_events(approach(frames), [video()], RULE)
        assert (event["start_frame"], event["end_frame"], event["certainty"]) == (0, 39, certainty)


def test_interval_of_a_pair_is_that_of_independent_errors() -> None:
    """The same quantiles by drawing both distances 200,000 times."""
    one, other = entry(0, "pedestrian", 1, 1.0, 5.0, 0.2), entry(0, "pallet_truck", 2, -1.0, 4.0, 0.1)
    rng = np.random.default_rng(0)
    points = []
    for item in (one, other):
        normal = rng.standard_normal(200_000) / 1.6449
        upper, lower = (np.log(item[f"distance_{end}"] / item["distance"]) for end in ("high", "low"))
        scale = np.exp(np.where(normal > 0, normal * upper, -normal * lower))
        points.append(scale[:, None] * [item["x"], item["z"]])
    wanted = np.quantile(np.linalg.norm(points[0] - points[1], axis=1), [0.05, 0.95])
    assert pair_interval(one, other) == pytest.approx(wanted, abs=0.06)
    assert pair_interval(one, other) == pair_interval(other, one)


def test_interval_below_a_high_camera_uses_the_way_along_the_floor() -> None:
    """3 m along the floor from a camera 4 m above the object's top: an error of 0.5 m in 5 m is 0.8 m."""
    high = entry(0, "pedestrian", 1, 0.0, 3.0) | {"distance": 5.0, "distance_low": 5.0, "distance_high": 5.5}
    origin = entry(0, "pallet_truck", 2, 0.0, 0.001, 0.0)
    low, end = pair_interval(high, origin)
    assert low == pytest.approx(3.0, abs=0.01)
    assert end == pytest.approx(math.sqrt(5.5**2 - 16), abs=0.15)


def test_ongoing_events_reach_the_end_of_the_video() -> None:
    def until(last: int) -> bool:
        results = (r for r in pass_by(lambda frame: 1.0) if r["frame"] <= last)
        (event,) = find_events(results, [video()], RULE)
        return bool(event["ongoing"])

    assert until(39) and until(35)
    assert not until(30), "9 frames without the pair follow"


def test_pairs_tracks_and_videos_are_apart() -> None:
    """Other classes and detections without a track are in no pair; two videos may have the same place."""
    results = []
    for frame in range(20):
        results += [
            entry(frame, "pedestrian", 1, 0.0),
            entry(frame, "pedestrian", None, 0.5),
            entry(frame, "cage", 3, 0.5),
            entry(frame, "forklift", 4, 1.0),
            entry(frame, "pallet_truck", 5, -1.0),
        ]
    second = [r | {"image_id": r["image_id"] + 20, "track_id": (r["track_id"] or 0) + 10} for r in results]
    events = list(find_events([*results, *second], [video(20), video(20, first=21)], RULE))
    pairs = [(e["person_track"], e["truck_track"]) for e in events]
    assert pairs[:2] == [(1, 4), (1, 5)] and (11, 14) in pairs[2:] and (1, 14) not in pairs
    assert all(e["ongoing"] for e in events)


def test_memory_holds_close_pairs_only(tmp_path: Path) -> None:
    """Each person has a new id and is an event."""

    def passes(count: int) -> Iterator[dict[str, Any]]:
        for frame in range(20 * count):
            close = 1.0 if frame % 20 < 13 else 6.0
            yield entry(frame, "pedestrian", 1 + frame // 20, close)
            yield entry(frame, "pallet_truck", 10**6, 0.0)

    def peak(count: int) -> int:
        path = tmp_path / "predictions.json"
        path.write_text(json.dumps(list(passes(count))))
        tracemalloc.start()
        counts = write_events(path, tmp_path, [video(20 * count)], RULE)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(counts.values()) == count
        return size

    peak(10)
    short, long = peak(50), peak(250)
    assert long < short + 50_000
    document = json.loads((tmp_path / "events.json").read_bytes())
    assert [event["event"] for event in document["events"]] == list(range(1, 251))
    assert (document["metres"], document["seconds"], document["gap_seconds"]) == (2.0, 1.0, 0.5)
    assert "no safety device" in document["notice"]


def test_options_that_events_need_are_named() -> None:
    metres = Metres(Camera(1.5, -8.0, fov=75.0))
    assert read_event_rule(None, None, False, None) is None
    assert read_event_rule(2.0, None, True, metres) == EventRule(2.0, 1.0)
    assert read_event_rule(2.0, 0.0, True, metres) == EventRule(2.0, 0.0)
    for values, text in (
        ((None, 1.0, True, metres), "--event-seconds needs --event-distance"),
        ((2.0, None, False, metres), "needs --track"),
        ((2.0, None, True, None), "needs --camera-file; write one with `transpalette calibrate`"),
        ((math.nan, None, True, metres), "must be numbers"),
        ((2.0, math.inf, True, metres), "must be numbers"),
    ):
        with pytest.raises(UserError, match=text):
            read_event_rule(*values)
