"""Durations for people."""

from pipeline.common.durations import format_duration


def test_durations_are_seconds_minutes_or_hours() -> None:
    durations = [format_duration(seconds) for seconds in (4.4, 75, 187, 3600, 12060)]
    assert durations == ["4 s", "1 min 15 s", "3 min 07 s", "1 h 00 min", "3 h 21 min"]
