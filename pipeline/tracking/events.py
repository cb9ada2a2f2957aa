"""Find the people who stay near trucks in tracked videos, from the results of ``predict --track``.

Results are read one by one, and only the pairs that are close at the moment are in memory.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from pipeline.metres.camera import Floats
from pipeline.metres.estimate import QUANTILES
from pipeline.metres.results import PEOPLE, TRUCKS, group_of
from pipeline.tracking.files import TrackedVideo

GAP_SECONDS = 0.5
"""A pair that is not detected, or measured farther away, for at most this time stays in its event."""
FRAME_GAP_SECONDS = 2.0
"""The same for a gap of a single frame: models on slow machines predict few frames of a camera."""
SURE, LIKELY = "sure", "likely"
_LEVELS = 15
"""Number of equally likely distances of each object from which the interval of a pair is computed."""


@dataclass(frozen=True)
class EventRule:
    """What an event is: a person closer than ``metres`` to a truck for longer than ``seconds``."""

    metres: float
    seconds: float


@dataclass(frozen=True)
class _Moment:
    """A predicted frame."""

    image_id: int
    frame: int
    seconds: float


@dataclass
class _Span:
    """The first and the last frame in which a pair is close."""

    first: _Moment
    last: _Moment

    @property
    def seconds(self) -> float:
        return self.last.seconds - self.first.seconds

    def is_over(self, now: _Moment) -> bool:
        """Return whether the gap between the last frame and ``now`` is too long."""
        single = now.image_id - self.last.image_id <= 2
        return now.seconds - self.last.seconds > (FRAME_GAP_SECONDS if single else GAP_SECONDS)


@dataclass
class _Encounter:
    """A person and a truck that are close; an event if they stay."""

    span: _Span
    closest: tuple[float, float, float]
    """The smallest distance in metres with the ends of its interval."""
    closest_frame: int
    sure_span: _Span | None = None
    """The last time during which the upper end of the interval was below the limit."""
    sure_seconds: float = -1.0
    """The longest such time; negative if there was none."""

    def add(self, now: _Moment, distance: tuple[float, float, float], limit: float) -> None:
        """Add a frame in which the pair is close."""
        self.span.last = now
        if distance < self.closest:
            self.closest, self.closest_frame = distance, now.frame
        if distance[2] >= limit:
            return
        if self.sure_span is None or self.sure_span.is_over(now):
            self.sure_span = _Span(now, now)
        self.sure_span.last = now
        self.sure_seconds = max(self.sure_seconds, self.sure_span.seconds)


Pair = tuple[int, str, int, str]
"""Track and class of a person, track and class of a truck."""


def find_events(
    results: Iterable[dict[str, Any]], videos: list[TrackedVideo], rule: EventRule
) -> Iterator[dict[str, Any]]:
    """Yield the events of all videos, each when it ends.

    A gap of at most ``GAP_SECONDS``, or of one frame within ``FRAME_GAP_SECONDS``, does not end an event.

    Args:
        results: results in the order of time.
        videos: the tracked videos.
        rule: what an event is.

    Yields:
        Events; see ``pipeline.tracking.event_files.COLUMNS``, without ``event``. ``certainty`` is "sure" if
        the upper end of the 90 % interval of the distance is below the limit for longer than the rule says,
        else "likely".
        ``ongoing``: the video ended before the event did.
    """
    tracked = (result for result in results if result.get("track_id") is not None)
    starts = [video.first_image_id for video in videos]
    of_video = itertools.groupby(tracked, lambda r: bisect_right(starts, r["image_id"]) - 1)
    for index, group in of_video:
        video, encounters = videos[index], dict[Pair, _Encounter]()
        end = _last_moment(video)
        for _, frame in itertools.groupby(group, lambda r: r["image_id"]):
            objects = list(frame)
            now = _Moment(objects[0]["image_id"], objects[0]["frame"], objects[0]["seconds"])
            yield from _close(encounters, video, rule, end, now)
            for pair, distance in _close_pairs(objects, rule.metres):
                if pair not in encounters:
                    encounters[pair] = _Encounter(_Span(now, now), distance, now.frame)
                encounters[pair].add(now, distance, rule.metres)
        yield from _close(encounters, video, rule, end)


def _close(
    encounters: dict[Pair, _Encounter],
    video: TrackedVideo,
    rule: EventRule,
    end: tuple[int, int],
    now: _Moment | None = None,
) -> Iterator[dict[str, Any]]:
    """Remove the encounters that are over now, or all if that is None, and yield those that are events."""
    for pair, encounter in list(encounters.items()):
        if now is None or encounter.span.is_over(now):
            del encounters[pair]
            if encounter.span.seconds > rule.seconds:
                yield _to_event(pair, encounter, video, rule, end)


def _last_moment(video: TrackedVideo) -> tuple[int, int]:
    """Return the image id and the number of the last frame of a video; it may have no result."""
    count = sum(length for _, length in video.runs)
    return video.first_image_id + count - 1, sum(video.runs[-1]) - 1


def _to_event(
    pair: Pair, encounter: _Encounter, video: TrackedVideo, rule: EventRule, end: tuple[int, int]
) -> dict[str, Any]:
    """Convert an encounter to an event; ``end``: see ``_last_moment``."""
    first, last = encounter.span.first, encounter.span.last
    left = (end[1] - last.frame) / video.rate
    fields = zip(("person_track", "person_class", "truck_track", "truck_class"), pair, strict=True)
    closest, low, high = encounter.closest
    return {
        "file_name": video.name,
        **dict(fields),
        "start_seconds": first.seconds,
        "end_seconds": last.seconds,
        "duration_seconds": round(encounter.span.seconds, 3),
        "start_frame": first.frame,
        "end_frame": last.frame,
        "duration_frames": last.frame - first.frame + 1,
        "closest": closest,
        "closest_low": low,
        "closest_high": high,
        "closest_frame": encounter.closest_frame,
        "certainty": SURE if encounter.sure_seconds > rule.seconds else LIKELY,
        "ongoing": not encounter.span.is_over(_Moment(end[0] + 1, end[1], last.seconds + left)),
    }


def _close_pairs(
    objects: list[dict[str, Any]], limit: float
) -> Iterator[tuple[Pair, tuple[float, float, float]]]:
    """Yield the pairs of a person and a truck in one frame that are closer than ``limit`` metres.

    Yields:
        The pair, and its distance with both ends of its interval, in metres.
    """
    people, trucks = ([o for o in objects if group_of(o["category_name"]) is g] for g in (PEOPLE, TRUCKS))
    for person, truck in itertools.product(people, trucks):
        metres = math.hypot(person["x"] - truck["x"], person["z"] - truck["z"])
        if metres < limit:
            pair = (
                person["track_id"],
                person["category_name"],
                truck["track_id"],
                truck["category_name"],
            )
            low, high = pair_interval(person, truck)
            yield pair, (round(metres, 2), min(low, round(metres, 2)), max(high, round(metres, 2)))


def pair_interval(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """Compute the 90 % interval of the distance between the floor positions of two objects.

    The direction of each object is taken as exact, and the logarithm of its distance as split normal with the
    median and the 90 % interval of its result; both are independent. The ends are quantiles of the distances
    of all combinations of ``_LEVELS`` equally likely distances of each object.

    Args:
        one: a result with the fields of ``measure_objects``.
        other: another one in the same picture.

    Returns:
        The ends of the interval, in metres.
    """
    first, second = _likely_positions(one), _likely_positions(other)
    metres = np.linalg.norm(first[:, None] - second[None], axis=2)
    low, high = np.quantile(metres, [QUANTILES[0], QUANTILES[2]]).round(2).tolist()
    return low, high


def _likely_positions(entry: dict[str, Any]) -> Floats:
    """Return equally likely floor positions (_LEVELS, 2) of an object, in metres."""
    shares = (np.arange(_LEVELS) + 0.5) / _LEVELS
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(share) for share in shares]) / normal.inv_cdf(QUANTILES[2])
    low, median, high = np.log([max(entry[f"distance{end}"], 0.01) for end in ("_low", "", "_high")])
    distances = np.exp(median + scores * np.where(scores > 0, high - median, median - low))
    position = np.array([entry["x"], entry["z"]])
    along = max(float(np.linalg.norm(position)), 1e-6)
    drop = max(entry["distance"] ** 2 - along**2, 0.0)  # the object's top may be below the camera
    reach = np.sqrt(np.maximum(distances**2 - drop, 0.0))
    return reach[:, None] * position / along
