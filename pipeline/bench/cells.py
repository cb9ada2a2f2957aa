"""Markdown's tables, and numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def number(value: float) -> str:
    """Three figures that count, without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.3f}"


def megabytes(way: dict[str, Any]) -> str:
    """The peak memory of a measured process."""
    return str(way["peak_mb"])
