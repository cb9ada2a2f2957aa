"""Turn what photographs and renders have in common into ranges of [scene.sensor].

For each key a linear model of exposures with known settings (``calibration``) estimates the setting that
would make a render look like a photograph. The centre of the new range is the median of these estimates, its
width their spread without the model's own error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.fitting.calibration import Calibration, Floats, are_familiar, calibrate
from pipeline.fitting.renders import Exposure

BRIGHTNESS = ("floor", "dark", "lower", "middle", "upper", "bright", "mean", "white")
SHARPNESS = ("fine_across", "fine_down", "medium_across", "medium_down", "edge", "bend")
NOISE = ("noise", "noise_upper", "noise_half", "noise_half_upper", "noise_quarter", "noise_colour",
         "noise_colour_upper", "still", "blocks")  # fmt: skip
COLOURS = ("colour", "colour_strong", "colour_spread")

EXPLAINED = 0.3
"""Smallest share of a setting's variance that the model must explain on unseen frames."""
HALL = 0.5
"""Share of the variance between frames that the photographs of one hall have in common, so that it does not
average out. It is an assumption: every render shows another hall."""
QUANTILES = (0.1, 0.9)
"""Of estimates and statistics: the ends of a range."""
LEAST_WIDTH = 0.3
"""Smallest width of a new range, as a share of the profile's: a narrower one teaches too little."""
MARGIN = 1.5
"""Standard errors of the centre by which a range is wider at each end. With 1, half of the ranges of six sets
of renders did not hold the 10 % to 90 % of a known narrow range of ``exposure`` and ``tint``."""
CAUTION = 1.0
"""Standard errors by which the variance of the estimates is taken higher than it is measured."""
NARROWER = 0.9
"""A range in the profile's is written only if its width is at most this share of it."""
STRANGE = "cannot be told: no exposure of the renders looks so"
"""Why a value stays if the photographs differ from all exposures, or would need a setting beyond them."""
_NORMAL_RANGE = 2.563
"""Standard deviations between the 10 % and the 90 % quantile of a normal distribution."""


@dataclass(frozen=True)
class Setting:
    """A key of [scene.sensor] that can be told from photographs, if the renders confirm it."""

    key: str
    headline: str
    """The statistic that the table shows."""
    meaning: str
    """The statistic in words."""
    statistics: tuple[str, ...]
    """The statistics that the model uses."""
    lowest: float
    """Smallest value of the search, within the limits of the profile's key."""
    highest: float
    """Largest value of the search."""
    searched: float = 0.5
    """By how much of its width the range of the exposures is wider than the profile's, at each end."""


SETTINGS = (
    Setting("exposure", "mean", "mean brightness, log odds", BRIGHTNESS, -5, 5),
    Setting("white_balance", "red_blue", "log of red over blue", ("red_blue", "red_blue_mean"), -0.45, 0.45),
    Setting("tint", "green", "log of green over red and blue", ("green", "green_mean"), -0.28, 0.28),
    Setting("vignetting", "corners", "corners over middle, log odds", ("corners", *BRIGHTNESS), 0, 0.9),
    Setting("flare", "floor", "darkest half per cent, log odds", BRIGHTNESS, 0, 0.4),
    Setting("noise", "noise", "log of noise in flat patches", (*NOISE, *SHARPNESS), 0, 0.2, 2.0),
    Setting("headroom", "white", "share of white", BRIGHTNESS, 0.6, 10),
    Setting("contrast", "range", "brightness, 90 % over 10 %, log odds", (*BRIGHTNESS, *COLOURS), 0.2, 4),
    Setting("saturation", "colour", "log of distance from grey", (*COLOURS, *BRIGHTNESS), 0, 4),
    Setting("sharpening", "bend", "log of bends over edges", (*SHARPNESS, *NOISE), 0, 6),
)
"""The settings that are tried. Haze, glare, aberration and ``neutral`` are left out: linear models of 384
exposures of the default profile explained none of their variance on unseen frames."""


@dataclass(frozen=True)
class FittedRange:
    """A row of the table, and a line of the written profile if ``new`` is not None."""

    table: str
    """Table of the profile: "scene.sensor"."""
    key: str
    old: Any
    """The profile's value."""
    new: Any
    """The fitted value; None: the profile's stays."""
    photographs: str
    """The statistic of the photographs."""
    renders: str
    """The statistic of renders of the profile."""
    why: str
    """Where the new value is from, or why the old one stays."""


def search_ranges(own: dict[str, Any], fitted: Sequence[FittedRange] = ()) -> dict[str, Any]:
    """Return the ranges of exposures: wider than the profile's, or than those fitted so far.

    The second search is nearer to the photographs, so that a linear model is more accurate: a colour cast,
    for example, is smaller if the saturation is low.

    Args:
        own: [scene.sensor] of the profile.
        fitted: the ranges of the first search.
    """
    found = {row.key: row.new for row in fitted if row.new is not None}
    searched = {}
    for setting in SETTINGS:
        low, high = own[setting.key]
        more = setting.searched * (high - low) / (2 if setting.key in found else 1)
        low, high = found.get(setting.key, (low, high))
        # A profile may have values beyond the search: those stay in it.
        first, last = max(setting.lowest, low - more), min(setting.highest, high + more)
        searched[setting.key] = [min(low, first), max(high, last)]
    return searched


def fit_settings(
    own: dict[str, Any],
    photographs: Sequence[dict[str, float]],
    renders: Sequence[dict[str, float]],
    exposures: Sequence[Exposure],
) -> list[FittedRange]:
    """Fit the ranges of all ``SETTINGS``.

    Args:
        own: [scene.sensor] of the profile.
        photographs: statistics of the photographs.
        renders: statistics of renders of the profile.
        exposures: exposures with settings drawn from ``search_ranges``.
    """
    rows, frames = [item.statistics for item in exposures], np.array([item.frame for item in exposures])
    fitted = []
    for setting in SETTINGS:
        values = np.array([item.settings[setting.key] for item in exposures])
        model = calibrate(rows, values, frames, setting.statistics)
        new, why = _new_range(setting, model, own[setting.key], photographs)
        if new is not None and model is not None:
            centre = np.median(model.estimate(photographs))
            is_known = values.min() <= centre <= values.max()
            if not is_known or not are_familiar(photographs, rows, setting.statistics):
                new, why = None, STRANGE
        taken, made = (describe([row[setting.headline] for row in part]) for part in (photographs, renders))
        fitted.append(FittedRange("scene.sensor", setting.key, own[setting.key], new, taken, made, why))
    return fitted


def _new_range(
    setting: Setting, model: Calibration | None, own: Sequence[float], photographs: Sequence[dict[str, float]]
) -> tuple[list[float] | None, str]:
    if own[0] == own[1]:
        return None, "the profile has one value"
    if model is None or model.explained < EXPLAINED:
        share = 0.0 if model is None else max(model.explained, 0.0)
        return None, f"cannot be told: it explains {share:.0%} of unseen renders"
    low, high = own
    inner, outer = fit_range(model.estimate(photographs), model, high - low)
    if inner[0] >= low and inner[1] <= high:  # the margin needs not leave the profile's range
        outer = max(outer[0], low), min(outer[1], high)
    is_inside = low <= outer[0] and outer[1] <= high
    if (is_inside and outer[1] - outer[0] > NARROWER * (high - low)) or (
        outer[0] <= low and high <= outer[1]
    ):
        return None, "photographs tell no narrower range"
    lowest, highest = min(setting.lowest, low), max(setting.highest, high)
    ends = [min(max(end, lowest), highest) for end in outer]
    return [round_to(end, high - low) for end in ends], f"{len(photographs)} photographs: {setting.meaning}"


def fit_range(
    estimates: Floats, model: Calibration, width: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the range of a setting that estimates of many pictures tell, without and with a margin.

    The margin is ``MARGIN`` standard errors of the centre. Of the error between frames a share (``HALL``) is
    common to all photographs; the rest of the errors falls with their number.

    Args:
        estimates: (N,) estimates of the pictures.
        model: the model that made them.
        width: width of the profile's range.
    """
    own_error = model.frame_error**2 + model.error**2
    low, high = fit_spread(estimates, math.sqrt(own_error))
    half = max((high - low) / 2, LEAST_WIDTH / 2 * width)
    common = HALL * model.frame_error**2
    margin = MARGIN * math.sqrt(common + (own_error - common) / len(estimates))
    centre = (low + high) / 2
    return (centre - half, centre + half), (centre - half - margin, centre + half + margin)


def fit_spread(estimates: Sequence[float] | Floats, error: float) -> tuple[float, float]:
    """Return the 10 % and the 90 % quantile of a quantity whose estimates have an error, around their median.

    Variances of independent errors add, so the error's is subtracted from that of the estimates. Only half of
    it is subtracted, because photographs of one hall differ less than exposures. The variance of the
    estimates is taken ``CAUTION`` of its standard errors too high, because a range that is too narrow does
    more harm.

    Args:
        estimates: (N,) estimates.
        error: standard deviation of the error of one estimate.
    """
    spread = float(np.subtract(*np.quantile(estimates, QUANTILES[::-1]))) / _NORMAL_RANGE
    variance = spread**2 * (1 + CAUTION * math.sqrt(2 / max(len(estimates) - 1, 1)))
    half = _NORMAL_RANGE / 2 * math.sqrt(max(variance - error**2 / 2, 0.0))
    centre = float(np.median(estimates))
    return centre - half, centre + half


def round_to(value: float, width: float) -> float:
    """Round to a hundredth of a width, so that the profile has short numbers."""
    return round(value, max(0, 2 - math.floor(math.log10(width)))) + 0.0


def describe(values: Sequence[float]) -> str:
    """Return the 10 % and the 90 % quantile: "-1.2 to 0.4"."""
    low, high = np.quantile(values, QUANTILES)
    return f"{low:.2f} to {high:.2f}"
