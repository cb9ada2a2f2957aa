"""Write events.json and events.csv: people who stay near trucks in tracked videos.

Both are made from predictions.json, like the files of tracks, so they are the same after any interruption.
"""

from __future__ import annotations

import codecs
import csv
import math
from pathlib import Path

from blender.contract import UserError, canonical_json, open_atomic
from pipeline.metres.results import NOTICE, Metres
from pipeline.tracking.events import GAP_SECONDS, LIKELY, SURE, EventRule, find_events
from pipeline.tracking.files import TrackedVideo, read_stream

EVENTS, TABLE = "events.json", "events.csv"
COLUMNS = (
    "event", "file_name", "person_track", "person_class", "truck_track", "truck_class", "start_seconds",
    "end_seconds", "duration_seconds", "start_frame", "end_frame", "duration_frames", "closest",
    "closest_low", "closest_high", "closest_frame", "certainty", "ongoing",
)  # fmt: skip
"""Columns of events.csv, and keys of an event in events.json; ``closest`` and its interval are in metres."""


def read_event_rule(
    metres: float | None, seconds: float | None, track: bool, camera: Metres | None
) -> EventRule | None:
    """Read the options ``--event-distance`` and ``--event-seconds``; None without them.

    Args:
        metres: value of ``--event-distance``.
        seconds: value of ``--event-seconds``; None: 1.
        track: whether objects are tracked.
        camera: the described camera.

    Raises:
        UserError: an option is missing, or a value is no number.
    """
    if metres is None:
        if seconds is not None:
            raise UserError("--event-seconds needs --event-distance, the distance in metres")
        return None
    if not track:
        raise UserError("--event-distance needs --track: events are of tracked objects")
    if camera is None:
        raise UserError("--event-distance needs --camera-file; write one with `transpalette calibrate`")
    rule = EventRule(metres, 1.0 if seconds is None else seconds)
    if not (math.isfinite(rule.metres) and math.isfinite(rule.seconds)):
        raise UserError("--event-distance and --event-seconds must be numbers")
    return rule


def check_event_names(out: Path) -> None:
    """Raise a ``UserError`` if one of the two files has the name of a folder in ``out``."""
    for name in (EVENTS, TABLE):
        if (out / name).is_dir():
            raise UserError(f"{out / name}: a folder, but the events need this name; give another --out")


def write_events(results: Path, out: Path, videos: list[TrackedVideo], rule: EventRule) -> dict[str, int]:
    """Write events.json and events.csv.

    Args:
        results: predictions.json with ``track_id`` and the fields of ``measure_objects``.
        out: the folder.
        videos: the tracked videos, in the order of the results.
        rule: what an event is.

    Returns:
        The number of events by certainty.

    Raises:
        OSError: the disk is full, for example; earlier files are not changed.
    """
    counts = {SURE: 0, LIKELY: 0}
    header = {
        "metres": rule.metres,
        "seconds": rule.seconds,
        "gap_seconds": GAP_SECONDS,
        "notice": NOTICE,
    }
    with (
        results.open(encoding="utf-8") as source,
        open_atomic(out / EVENTS) as stream,
        open_atomic(out / TABLE) as table,
    ):
        rows = csv.writer(codecs.getwriter("utf-8")(table, "backslashreplace"), lineterminator="\n")
        rows.writerow(COLUMNS)
        start = canonical_json(header).rstrip(b"}\n")
        stream.write(start + b',"events":[')
        for number, event in enumerate(find_events(read_stream(source), videos, rule), start=1):
            event["event"] = number
            counts[event["certainty"]] += 1
            stream.write((b"," if number > 1 else b"") + canonical_json(event).rstrip(b"\n"))
            rows.writerow([event[column] for column in COLUMNS])
        stream.write(b"]}\n")
    return counts


def describe_events(counts: dict[str, int], rule: EventRule) -> str:
    """Return for example "3 (2 sure, 1 likely) of people closer than 2 m to a truck for longer than 1 s"."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    limits = f"closer than {rule.metres:g} m to a truck for longer than {rule.seconds:g} s"
    return f"{sum(counts.values())} ({kinds}) of people {limits}"
