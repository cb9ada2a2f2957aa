"""Targets of the benchmark: the limit of each figure and its place in the JSON file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
"""The figures of one part in the JSON file."""


@dataclass(frozen=True)
class Target:
    """A row of the table of targets."""

    part: str
    text: str
    limit: float
    at_least: bool
    """True: the figure must be at least the limit. False: at most."""
    value: Callable[[Figures], float | None]
    """Reads the figure from those of the part; None: it was not measured."""
    unit: str = ""

    def is_met(self, value: float) -> bool:
        """Compare a figure with the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


def _of_largest_set(step: str, way: str, figure: str) -> Callable[[Figures], float | None]:
    return lambda figures: float(figures[step][-1][way][figure])


def _growth_per_mask(step: str) -> Callable[[Figures], float | None]:
    """Build the reader of the growth of a step's CPU seconds per mask, from the smallest to the largest set.

    1 means that the time is proportional to the number of masks.
    """

    def growth(figures: Figures) -> float | None:
        smallest, largest = figures[step][0], figures[step][-1]
        if smallest is largest:
            return None
        per_mask = [row["transpalette"]["cpu_seconds"] / row["masks"] for row in (smallest, largest)]
        return float(per_mask[1] / per_mask[0])

    return growth


def _slowdown_over_time(figures: Figures) -> float | None:
    """Divide the CPU seconds of the same frames late in a process by those early in it."""
    early, late = figures["sweeps"].get("images", ({}, {}))
    if late.get("after", 0) < 1000:
        return None
    return float(late["total cpu"] / early["total cpu"])


def _speedup_of_two_processes(figures: Figures) -> float | None:
    if "workers" not in figures:
        return None
    one, two = figures["workers"]
    return float(two["images_per_minute"] / one["images_per_minute"])


TARGETS = (
    Target(
        "render",
        "time of a complete frame / time of Cycles alone for its image",
        1.25,
        False,
        lambda figures: float(figures["ratio"]),
    ),
    Target(
        "render",
        "the same in CPU seconds, which other work on the machine hardly changes",
        1.25,
        False,
        lambda figures: float(figures["ratio_cpu"]),
    ),
    Target(
        "render", "CPU seconds of a frame after 1,000 frames / after 50", 1.05, False, _slowdown_over_time
    ),
    Target("render", "images per minute of two processes / of one", 1.0, True, _speedup_of_two_processes),
    Target(
        "train",
        "training time per image, torchvision's recipe / the profile's",
        2.5,
        True,
        lambda figures: float(figures["speedup"]),
    ),
    Target("train", "the same in CPU seconds", 2.5, True, lambda figures: float(figures["speedup_cpu"])),
    Target(
        "accuracy",
        "mask AP of the profile's recipe - mask AP of torchvision's, after as many epochs",
        -0.01,
        True,
        lambda figures: float(figures["ap_difference"]),
    ),
    Target(
        "train",
        "peak memory of the profile's training",
        6.0,
        False,
        lambda figures: float(figures["transpalette"]["projected_peak_mb"]) / 1024,
        " GB",
    ),
    Target(
        "inference",
        "inference time, maskrcnn_resnet50_fpn / the model, with as many detections per image",
        1.5,
        True,
        lambda figures: float(figures["speedup"]),
    ),
    Target("inference", "the same in CPU seconds", 1.5, True, lambda figures: float(figures["speedup_cpu"])),
    Target(
        "evaluate",
        "peak memory of conversion",
        500,
        False,
        _of_largest_set("convert", "transpalette", "peak_mb"),
        " MB",
    ),
    Target(
        "evaluate",
        "CPU seconds per mask of conversion, large set / small set",
        1.2,
        False,
        _growth_per_mask("convert"),
    ),
    Target(
        "evaluate",
        "peak memory of evaluation",
        500,
        False,
        _of_largest_set("evaluate", "transpalette", "peak_mb"),
        " MB",
    ),
    Target(
        "evaluate",
        "CPU seconds per mask of evaluation, large set / small set",
        1.2,
        False,
        _growth_per_mask("evaluate"),
    ),
    Target(
        "evaluate",
        "time of validation",
        60,
        False,
        lambda figures: float(figures["validate"]["transpalette"]["seconds"]),
        " s",
    ),
    Target(
        "evaluate",
        "peak memory of validation",
        500,
        False,
        lambda figures: float(figures["validate"]["transpalette"]["peak_mb"]),
        " MB",
    ),
)
