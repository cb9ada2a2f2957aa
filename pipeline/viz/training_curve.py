"""Curves as inline SVG: of training, of precision by recall, of precision by score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 56, 16, 36


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
    ticks: tuple[tuple[float, str], ...]
    """x and label of the ticks below."""
    grid: tuple[tuple[float, str, str], ...]
    """y, label on the left, label on the right."""
    best: float | None = None
    """x of the epoch that was kept."""
    diagonal: bool = False
    """Draw where score and precision are the same."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def training_curve(epochs: list[dict[str, Any]], names: list[str]) -> Curve | None:
    """Lay out metrics.jsonl: the loss on the left axis, each class's mask AP50 on val on the right one.

    Returns:
        None if no epoch was recorded.
    """
    if not epochs:
        return None
    highest = _ceiling(max(e["losses"]["loss"] for e in epochs))
    first, last = epochs[0]["epoch"], epochs[-1]["epoch"]

    def x(epoch: int) -> float:
        return _x((epoch - first) / (last - first) if last > first else 0.5)

    loss = [(x(e["epoch"]), _y(e["losses"]["loss"] / highest), e["losses"]["loss"]) for e in epochs]
    lines = [_line("loss", "loss", loss)]
    for number, name in enumerate(names):
        values = [(e["epoch"], e["val"]["classes"][name]["segm"]["AP50"]) for e in epochs]
        known = [(x(epoch), _y(value), value) for epoch, value in values if value is not None]
        lines.append(_line(f"{name}: mask AP50", f"class{number % 6}", known))
    best = [e["epoch"] for e in epochs if e.get("best")]
    step = max(1, math.ceil(len(epochs) / 12))
    return Curve(
        lines=tuple(lines),
        ticks=tuple((x(e["epoch"]), str(e["epoch"])) for e in epochs[::step]),
        grid=tuple((_y(s / 4), f"{highest * s / 4:.2g}", f"{s / 4:.2f}") for s in range(5)),
        best=x(best[-1]) if best else None,
    )


def precision_recall_curve(metrics: dict[str, Any]) -> Curve:
    """Lay out each class's precision by recall, of masks at IoU 0.5."""
    lines = []
    for number, name in enumerate(metrics["class_names"]):
        values = metrics["precision_recall"][name]["segm"] or []
        points = " ".join(f"{_x(step / 100)},{_y(value)}" for step, value in enumerate(values))
        lines.append(Line(name, f"class{number % 6}", points, ()))
    return Curve(tuple(lines), _TICKS, _SHARES)


def reliability_curve(metrics: dict[str, Any]) -> Curve:
    """Lay out the precision of detections by their score; a calibrated model's lies on the diagonal."""
    bins = metrics["calibration"]["bins"]
    points = [(_x(b["score"]), _y(b["precision"]), b["precision"]) for b in bins]
    counts = [f"{b['count']} detections, mean score {b['score']:.2f}: precision " for b in bins]
    line = _line("precision", "class0", points)
    dots = tuple((x, y, f"{text}{value:.2f}") for (x, y, value), text in zip(points, counts, strict=True))
    return Curve((Line("precision by score", line.css, line.points, dots),), _TICKS, _SHARES, diagonal=True)


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


_TICKS = tuple((_x(n / 5), f"{n / 5:.1f}") for n in range(1, 6))
_SHARES = tuple((_y(n / 4), f"{n / 4:.2f}", "") for n in range(5))
"""Both axes of a plot of shares."""


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
