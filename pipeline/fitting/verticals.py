"""Pitch and roll of a camera from the upright lines of a picture. Numpy only.

Uprights, door frames and columns are parallel, so their images meet in a vanishing point. For a camera with a
pitch p above the horizon and a focal length f (pixels), a line at x pixels from the middle leans by
tan(p) x / f per pixel down; a roll leans all lines alike (Hartley and Zisserman 2004, chapter 8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEEPEST = 0.35
"""Largest lean of an edge that counts as upright, pixels across per pixel down."""
TOLERANCE = 0.02
"""Difference of the lean within which an edge agrees with the lines."""
LEAST = 300
"""Smallest number of pixels on edges that a measurement needs."""
AGREEMENT = 1.4
"""How many times more edges must agree than with lines of any other lean."""
_SIDE = 61
"""Leans that are tried, for both the pitch and the roll."""


@dataclass(frozen=True)
class Uprights:
    """What the upright lines of a picture say."""

    convergence: float
    """Tangent of the pitch over the focal length in widths of the image; above 0: the camera looks up."""
    roll: float
    """Degrees of rotation about the viewing direction, in the direction of the profile's roll."""


def measure_uprights(grey: npt.NDArray[np.float32]) -> Uprights | None:
    """Measure the upright lines of a picture, (H, W) from 0 to 1; None if there are too few."""
    height, width = grey.shape
    if min(height, width) < 16:
        return None
    smooth = _blur(_blur(grey))
    across, down = smooth[1:-1, 2:] - smooth[1:-1, :-2], smooth[2:, 1:-1] - smooth[:-2, 1:-1]
    strong = (np.abs(across) > max(0.03, float(np.quantile(np.abs(across), 0.9)))) & (
        np.abs(down) < STEEPEST * np.abs(across)
    )
    rows, columns = np.nonzero(strong)
    if len(rows) < LEAST:
        return None
    kept = np.linspace(0, len(rows) - 1, min(len(rows), 6000)).astype(int)
    rows, columns = rows[kept], columns[kept]
    leans = -(down[rows, columns] / across[rows, columns])
    x = (columns + 3.5 - width / 2) / width
    y = (rows + 3.5 - height / 2) / width
    return _fit(leans, x, y)


def _fit(
    leans: npt.NDArray[np.float64], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> Uprights | None:
    """Find the convergence and the roll with which most edges agree, then refine them by least squares."""
    steps = np.linspace(-1, 1, _SIDE)
    convergences, rolls = steps * 0.7, steps * 0.25
    counts = np.empty((_SIDE, _SIDE))
    for i, convergence in enumerate(convergences):
        rest = leans - convergence * x / np.maximum(1 + convergence * y, 0.2)
        bins = np.searchsorted(np.sort(rest), np.stack([rolls - TOLERANCE, rolls + TOLERANCE]))
        counts[i] = bins[1] - bins[0]
    i, j = divmod(int(counts.argmax()), _SIDE)
    if counts[i, j] < LEAST / 2 or counts[i, j] < AGREEMENT * np.median(counts):
        return None
    convergence, roll = float(convergences[i]), float(rolls[j])
    for _ in range(5):
        scaled = x / np.maximum(1 + convergence * y, 0.2)
        near = np.abs(leans - convergence * scaled - roll) < 1.5 * TOLERANCE
        if near.sum() < LEAST / 2:
            return None
        matrix = np.stack([scaled[near], np.ones(int(near.sum()))], 1)
        (convergence, roll), *_ = np.linalg.lstsq(matrix, leans[near], rcond=None)
    return Uprights(float(convergence), -float(np.degrees(np.arctan(roll))))


def _blur(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Blur with a 3 x 3 binomial kernel; the result is two pixels smaller, so the middle stays in place."""
    rows = plane[:-2] + 2 * plane[1:-1] + plane[2:]
    blurred: npt.NDArray[np.float32] = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16)
    return blurred
