"""The training curve as inline SVG: loss on the left axis, validation AP on the right one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 56, 16, 30


@dataclass(frozen=True)
class Line:
    """One curve, ready to draw: its points in the SVG's own units."""

    name: str
    css: str
    """Class that gives it its colour."""
    points: str
    dots: tuple[tuple[float, float, str], ...]
    """x, y and what a pointer resting there is told."""


@dataclass(frozen=True)
class Curve:
    """Everything the template draws."""

    lines: tuple[Line, ...]
    epochs: tuple[tuple[float, str], ...]
    """x and label of the ticks below."""
    grid: tuple[tuple[float, str, str], ...]
    """y, label of the loss, label of the AP."""
    best: float | None
    """x of the epoch that was kept."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def training_curve(epochs: list[dict[str, Any]], names: list[str]) -> Curve | None:
    """Lay out the lines of metrics.jsonl: the loss, and each class's mask AP50 on the validation split.

    Returns:
        None if no epoch was recorded.
    """
    if not epochs:
        return None
    highest = _ceiling(max(e["losses"]["loss"] for e in epochs))
    first, last = epochs[0]["epoch"], epochs[-1]["epoch"]

    def x(epoch: int) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(share: float) -> float:
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    loss = [(x(e["epoch"]), y(e["losses"]["loss"] / highest), e["losses"]["loss"]) for e in epochs]
    lines = [_line("loss", "loss", loss)]
    for number, name in enumerate(names):
        values = [(e["epoch"], e["val"]["classes"][name]["segm"]["AP50"]) for e in epochs]
        known = [(x(epoch), y(value), value) for epoch, value in values if value is not None]
        lines.append(_line(f"{name}: mask AP50", f"class{number % 6}", known))
    best = [e["epoch"] for e in epochs if e.get("best")]
    step = max(1, math.ceil(len(epochs) / 12))
    return Curve(
        lines=tuple(lines),
        epochs=tuple((x(e["epoch"]), str(e["epoch"])) for e in epochs[::step]),
        grid=tuple((y(s / 4), f"{highest * s / 4:.2g}", f"{s / 4:.2f}") for s in range(5)),
        best=x(best[-1]) if best else None,
    )


def _line(name: str, css: str, points: list[tuple[float, float, float]]) -> Line:
    return Line(
        name=name,
        css=css,
        points=" ".join(f"{px},{py}" for px, py, _ in points),
        dots=tuple((px, py, f"{name} {value:.3f}") for px, py, value in points),
    )


def _ceiling(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 times a power of ten: an axis that ends at a round number."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9))
