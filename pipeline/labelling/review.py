"""Which images a person should look at first, and why."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_utils

from blender.contract import open_atomic
from pipeline.inference.detections import SCORE_DECIMALS, Detections

TABLE = "review.csv"
COLUMNS = ("file", "objects", "lowest_score", "reason", "source")
"""Columns of review.csv; ``source`` is the path of the original image."""
NEAR = 0.1
"""A score is near the threshold if it differs by at most this."""
OVERLAP = 0.5
"""Two objects overlap if they share at least this part of the smaller mask."""
NEAR_THRESHOLD = "score near the threshold"
OVERLAPPING = "overlapping objects"
NO_OBJECT = "no object found"
REASONS = (NEAR_THRESHOLD, OVERLAPPING, NO_OBJECT)
"""The reasons to look at an image, the strongest first."""


@dataclass(frozen=True)
class Doubt:
    """How certain the detections in one image are."""

    reasons: tuple[str, ...]
    """In the order of ``REASONS``; empty if there is none."""
    lowest_score: float | None
    """Of the detections from the threshold on; None without any."""
    distance: float
    """Smallest difference between a score and the threshold."""

    @property
    def order(self) -> tuple[int, float, float]:
        """The key by which images are sorted, the least certain first."""
        first = REASONS.index(self.reasons[0]) if self.reasons else len(REASONS)
        near = self.distance if first == 0 else 0.0
        return first, near, self.lowest_score or 0.0


def assess(detections: Detections, threshold: float) -> Doubt:
    """Say how certain the detections in one image are.

    Args:
        detections: those with a score from ``threshold - NEAR`` on; no mask is empty.
        threshold: the lowest score of a detection that is kept.
    """
    kept = detections.filter(threshold)
    distances = np.abs(detections.scores.astype(np.float64) - threshold)
    found = {
        NEAR_THRESHOLD: bool((distances <= NEAR).any()),
        OVERLAPPING: _overlap(kept) >= OVERLAP,
        NO_OBJECT: not len(kept),
    }
    return Doubt(
        tuple(reason for reason in REASONS if found[reason]),
        round(float(kept.scores.min()), SCORE_DECIMALS) if len(kept) else None,
        float(distances.min()) if len(distances) else 1.0,
    )


def _overlap(detections: Detections) -> float:
    """Return the largest part of a mask that another one covers."""
    rles = detections.rles
    if len(rles) < 2:
        return 0.0
    # With iscrowd 1, pycocotools divides the common pixels by those of the first mask instead of the union.
    shares = np.array(mask_utils.iou(rles, rles, [1] * len(rles)))
    np.fill_diagonal(shares, 0)
    return float(shares.max())


def write_review(out: Path, rows: Sequence[tuple[str, int, Doubt, Path]]) -> None:
    """Write review.csv.

    Args:
        out: the folder.
        rows: name of the file in images/, number of objects, doubt, and path of the original image.
    """
    with open_atomic(out / TABLE) as stream:
        table = csv.writer(codecs.getwriter("utf-8")(stream, "backslashreplace"), lineterminator="\n")
        table.writerow(COLUMNS)
        for name, objects, doubt, source in rows:
            score = "" if doubt.lowest_score is None else doubt.lowest_score
            table.writerow([name, objects, score, "; ".join(doubt.reasons), source])
