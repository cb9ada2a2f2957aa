"""What each figure should be, and where it lies in the benchmark's JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """One line of the first table."""

    part: str
    text: str
    limit: float
    at_least: bool
    value: Callable[[Figures], float | None]
    """From the part's figures; None: it was not measured."""
    unit: str = ""

    def met(self, value: float) -> bool:
        """Is it as it should be?"""
        return value >= self.limit if self.at_least else value <= self.limit


def _last(name: str, way: str, figure: str) -> Callable[[Figures], float | None]:
    """A figure of the largest set."""
    return lambda figures: float(figures[name][-1][way][figure])


def _growth(name: str) -> Callable[[Figures], float | None]:
    """CPU seconds a mask of the largest set over those of the smallest: 1 is linear."""

    def growth(figures: Figures) -> float | None:
        first, last = figures[name][0], figures[name][-1]
        if first is last:
            return None
        each = [row["ours"]["cpu_seconds"] / row["masks"] for row in (first, last)]
        return float(each[1] / each[0])

    return growth


def _later(figures: Figures) -> float | None:
    """CPU seconds of the same frames, late over early in a process's life."""
    early, late = figures["sweeps"].get("images", ({}, {}))
    if late.get("after", 0) < 1000:
        return None
    return float(late["whole cpu"] / early["whole cpu"])


def _two_processes(figures: Figures) -> float | None:
    if "workers" not in figures:
        return None
    one, two = figures["workers"]
    return float(two["images_per_minute"] / one["images_per_minute"])


GOALS = (
    Goal(
        "render",
        "a whole frame over what Cycles alone needs for its picture",
        1.25,
        False,
        lambda figures: float(figures["ratio"]),
    ),
    Goal(
        "render",
        "the same in CPU seconds, which other work on the machine hardly changes",
        1.25,
        False,
        lambda figures: float(figures["ratio_cpu"]),
    ),
    Goal("render", "a frame's CPU seconds after 1,000 others over those after 50", 1.05, False, _later),
    Goal("render", "images a minute of two processes over those of one", 1.0, True, _two_processes),
    Goal(
        "train",
        "our recipe's speed over torchvision's way, per image",
        2.5,
        True,
        lambda figures: float(figures["speedup"]),
    ),
    Goal("train", "the same in CPU seconds", 2.5, True, lambda figures: float(figures["speedup_cpu"])),
    Goal(
        "accuracy",
        "mask AP of our recipe less that of torchvision's way, after as many rounds",
        -0.01,
        True,
        lambda figures: float(figures["gain"]),
    ),
    Goal(
        "train",
        "peak memory of the profile's training",
        6.0,
        False,
        lambda figures: float(figures["ours"]["projected_peak_mb"]) / 1024,
        " GB",
    ),
    Goal(
        "inference",
        "our model's speed over maskrcnn_resnet50_fpn, with as many objects in a picture",
        1.5,
        True,
        lambda figures: float(figures["speedup"]),
    ),
    Goal("inference", "the same in CPU seconds", 1.5, True, lambda figures: float(figures["speedup_cpu"])),
    Goal("evaluate", "peak memory of conversion", 500, False, _last("convert", "ours", "peak_mb"), " MB"),
    Goal("evaluate", "conversion's CPU seconds a mask, large set over small", 1.2, False, _growth("convert")),
    Goal("evaluate", "peak memory of judging", 500, False, _last("judge", "ours", "peak_mb"), " MB"),
    Goal("evaluate", "judging's CPU seconds a mask, large set over small", 1.2, False, _growth("judge")),
    Goal(
        "evaluate",
        "seconds of validation",
        60,
        False,
        lambda figures: float(figures["validate"]["ours"]["seconds"]),
        " s",
    ),
    Goal(
        "evaluate",
        "peak memory of validation",
        500,
        False,
        lambda figures: float(figures["validate"]["ours"]["peak_mb"]),
        " MB",
    ),
)
