"""The share of photographs that are out of focus or moved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.fitting.calibration import are_familiar, calibrate
from pipeline.fitting.ranges import NOISE, SHARPNESS, STRANGE, FittedRange
from pipeline.fitting.renders import Exposure

SEPARATION = 0.4
"""Smallest difference between the shares of blurred and of sharp renders that are called blurred."""
SHARES = (0.04, 0.6)
"""Smallest share of blurred frames that is written, and largest share that is believed."""


def fit_blur(
    own: dict[str, Any], photographs: Sequence[dict[str, float]], exposures: Sequence[Exposure]
) -> list[FittedRange]:
    """Fit the shares ``defocus`` and ``motion_blur``, whose ratio stays that of the profile.

    A threshold on a linear model's estimate calls pictures blurred. Its errors on unseen renders correct the
    share of photographs that it calls so (Rogan and Gladen 1978).
    """
    keys = ("defocus", "motion_blur")
    before = 1 - math.prod(1 - own[key] for key in keys)
    blurred = np.array(
        [item.settings["defocus_radius"] > 0 or item.settings["motion_length"] > 0 for item in exposures]
    )
    frames = np.array([item.frame for item in exposures])
    rows = [item.statistics for item in exposures]
    model = calibrate(rows, blurred * 1.0, frames, SHARPNESS + NOISE)
    new: list[float | None] = [None, None]
    shown, why = "", "cannot be told: the renders do not differ"
    if model is not None:
        thresholds = np.unique(model.unseen)
        hits = (model.unseen[blurred][:, None] >= thresholds).mean(0)
        false = (model.unseen[~blurred][:, None] >= thresholds).mean(0)
        best = int((hits - false).argmax())
        separation = float(hits[best] - false[best])
        called = float((model.estimate(photographs) >= thresholds[best]).mean())
        share = min(max((called - float(false[best])) / max(separation, 1e-9), 0.0), 1.0)
        error = math.sqrt(max(called * (1 - called), 0.25 / len(photographs)) / len(photographs)) / max(
            separation, 1e-9
        )
        shown = f"{share:.0%} blurred"
        if separation < SEPARATION:
            why = f"cannot be told: blurred and sharp renders differ in {separation:.0%} only"
        elif share > SHARES[1] or not are_familiar(photographs, rows, SHARPNESS + NOISE):
            why = STRANGE  # softer altogether, as after a resize: not blurred ones among sharp ones
        elif abs(share - before) < 2 * error:
            why = f"{len(photographs)} photographs tell no other share ({2 * error:.0%} either way)"
        else:
            why = f"{len(photographs)} photographs: share of blurred ones, as on renders"
            factor = max(share, SHARES[0]) / before if before else 0.0
            new = [round(min(own[key] * factor, 1.0), 3) for key in keys] if before else [None, None]
    return [
        FittedRange("scene.sensor", key, own[key], value, shown, f"{before:.0%} blurred", why)
        for key, value in zip(keys, new, strict=True)
    ]
