"""Estimate a setting of the sensor from statistics of a picture, with a linear model of known exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RIDGE = 0.01
"""Penalty of the ridge regression, as a share of the number of exposures; statistics are standardised."""
FAMILIAR = 0.9
"""Quantile of the distances of known pictures up to which others count as familiar."""
FOLDS = 6
"""Parts of the frames that are predicted by a model of the others."""


@dataclass(frozen=True)
class Calibration:
    """A linear model of one setting, and its errors on frames that it has not seen."""

    statistics: tuple[str, ...]
    mean: Floats
    scale: Floats
    lowest: Floats
    """Smallest value of each statistic among the exposures; photographs beyond it count as it."""
    highest: Floats
    weights: Floats
    offset: float
    explained: float
    """Share of the setting's variance that the model explains on unseen frames (R squared); at most 1."""
    slope: float
    """By how much a prediction changes with the setting: less than 1, because a regression underestimates
    distances from the mean."""
    frame_error: float
    """Standard deviation of the estimate's error between frames: what the scene does to it."""
    error: float
    """Standard deviation of the estimate's error within a frame."""
    unseen: Floats
    """(N,) the estimate of each exposure by a model that has not seen its frame."""

    def estimate(self, rows: Sequence[dict[str, float]]) -> Floats:
        """Estimate the setting of each picture, without a bias towards the mean of the exposures."""
        matrix = np.clip(_matrix(rows, self.statistics), self.lowest, self.highest)
        predicted = (matrix - self.mean) / self.scale @ self.weights
        estimates: Floats = self.offset + predicted / self.slope
        return estimates


def calibrate(
    rows: Sequence[dict[str, float]],
    settings: Floats,
    frames: npt.NDArray[np.int_],
    statistics: tuple[str, ...],
) -> Calibration | None:
    """Fit the model of one setting.

    Args:
        rows: statistics of N exposures.
        settings: (N,) the setting of each.
        frames: (N,) the frame that each shows. Exposures of one frame are never on both sides of a test.
        statistics: names of the statistics that the model uses.

    Returns:
        The model; None if the setting does not vary, or the statistics do not depend on it.
    """
    matrix = _matrix(rows, statistics)
    if len(np.unique(frames)) < 2 or np.ptp(settings) == 0:
        return None
    fold = np.searchsorted(np.unique(frames), frames) % FOLDS
    predicted = np.empty(len(settings))
    for number in np.unique(fold):
        held = fold == number
        mean, scale, weights, offset = _solve(matrix[~held], settings[~held])
        predicted[held] = offset + (matrix[held] - mean) / scale @ weights
    slope = float(np.cov(predicted, settings)[0, 1] / settings.var(ddof=1))
    explained = float(1 - ((predicted - settings) ** 2).mean() / settings.var())
    if slope < 0.05:
        return None
    unseen = (predicted - settings.mean()) / slope + settings.mean()
    errors = unseen - settings
    groups = [errors[frames == frame] for frame in np.unique(frames)]
    within = float(np.mean([group.var(ddof=1) if len(group) > 1 else 0.0 for group in groups]))
    between = float(np.var([group.mean() for group in groups])) - within / float(
        np.mean(list(map(len, groups)))
    )
    mean, scale, weights, offset = _solve(matrix, settings)
    return Calibration(
        statistics, mean, scale, matrix.min(0), matrix.max(0), weights, offset, explained, slope,
        frame_error=float(np.sqrt(max(between, 0.0))), error=float(np.sqrt(within)), unseen=unseen,
    )  # fmt: skip


def are_familiar(
    rows: Sequence[dict[str, float]], known: Sequence[dict[str, float]], statistics: tuple[str, ...]
) -> bool:
    """Return whether pictures are as near to known ones as these are to each other.

    A model of the known ones says nothing about others. Pictures are familiar if the median of their
    Mahalanobis distances from the mean is at most the ``FAMILIAR`` quantile of the known ones'.
    """
    matrix = _matrix(known, statistics)
    mean, scale = matrix.mean(0), np.maximum(matrix.std(0), 1e-9)
    columns = (matrix - mean) / scale
    inverse = np.linalg.inv(np.cov(columns.T) + 2 * RIDGE * np.eye(columns.shape[1]))
    others = (_matrix(rows, statistics) - mean) / scale
    near, far = (np.einsum("ni,ij,nj->n", part, inverse, part) for part in (columns, others))
    return bool(np.median(far) <= np.quantile(near, FAMILIAR))


def _matrix(rows: Sequence[dict[str, float]], statistics: tuple[str, ...]) -> Floats:
    return np.array([[row[name] for name in statistics] for row in rows], float)


def _solve(matrix: Floats, target: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Fit a ridge regression; return mean and scale of the columns, weights and offset."""
    mean, scale = matrix.mean(0), np.maximum(matrix.std(0), 1e-9)
    columns, offset = (matrix - mean) / scale, float(target.mean())
    penalty = RIDGE * len(columns) * np.eye(columns.shape[1])
    weights = np.linalg.solve(columns.T @ columns + penalty, columns.T @ (target - offset))
    return mean, scale, weights, offset
