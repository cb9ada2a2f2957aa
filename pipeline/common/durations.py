"""Durations for people."""


def format_duration(seconds: float) -> str:
    """Format seconds: 48 s, 12 min 05 s, 3 h 20 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
