"""Durations for people."""

from __future__ import annotations

import re

from blender.contract import UserError

_UNITS = {"h": 3600, "min": 60, "m": 60, "s": 1}
_PART = r"(\d+(?:\.\d+)?)\s*(h|min|m|s)"


def format_duration(seconds: float) -> str:
    """Format seconds: 48 s, 12 min 05 s, 3 h 20 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def parse_duration(text: str) -> float:
    """Read a duration that a user wrote: 90 s, 45min, 2h, 1h30min.

    Raises:
        UserError: the text is no duration above 0.
    """
    parts = re.findall(_PART, text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or re.sub(_PART, "", text).strip():
        raise UserError(f"'{text}' is no duration; write it with a unit, such as 45min, 2h or 1h30min")
    return seconds
