"""Markdown tables and the format of numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Format a table; returns its lines."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def number(value: float) -> str:
    """Format a number with three significant digits and without exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.3f}"


def megabytes(figures: dict[str, Any]) -> str:
    """Format the peak memory of a measured process."""
    return str(figures["peak_mb"])
