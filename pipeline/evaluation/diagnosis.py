"""Diagnosis of scores: precision-recall curves, the threshold with the best F1, and calibration.

All figures are at IoU 0.5 of masks, or of boxes where masks are missing (``EvaluationResult.iou_type``); the
precision-recall curves exist for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation.intervals import wilson_interval
from pipeline.evaluation.matching import EvaluationResult, RankedDetections

DEFAULT_THRESHOLD = 0.5
"""Score threshold if no detection is correct."""
_BINS = 10


def precision_recall(evaluation: EvaluationResult) -> dict[str, Any]:
    """Compute COCO's interpolated precision at the 101 recalls from 0 to 1, at IoU 0.5.

    Returns:
        Per class ``{"bbox": [101 numbers], "segm": [...]}``; a class without ground truth has None.
    """
    table: dict[str, Any] = {name: {} for name in evaluation.class_names}
    for iou_type, result in evaluation.iou_types.items():
        for number, name in enumerate(evaluation.class_names):
            curve = result.precision[0, :, number, 0]
            table[name][iou_type] = None if curve[0] < 0 else [round(float(v), 4) for v in curve]
    return table


def best_threshold(evaluation: EvaluationResult) -> float:
    """Return the score threshold with the best F1 over all classes; 0.5 if no detection is correct."""
    return float(_best_f1(evaluation.iou_types[evaluation.iou_type].ranked["all"])["score"])


def best_thresholds(evaluation: EvaluationResult) -> dict[str, Any]:
    """Return per class the ``score`` threshold with the best F1, and ``f1``, ``precision`` and ``recall``."""
    ranked = evaluation.iou_types[evaluation.iou_type].ranked["all"]
    return {
        name: {key: round(value, 6) for key, value in _best_f1([of_class]).items()}
        for name, of_class in zip(evaluation.class_names, ranked, strict=True)
    }


def _best_f1(classes: Sequence[RankedDetections]) -> dict[str, float]:
    """Find the score threshold with the best F1 over these classes, at the first IoU threshold."""
    empty = np.zeros(0, bool)
    counted = np.concatenate([c.true_positive[0] | c.false_positive[0] for c in classes] or [empty])
    correct = np.concatenate([c.true_positive[0] for c in classes] or [empty])[counted]
    scores = np.concatenate([c.scores for c in classes] or [np.zeros(0)])[counted]
    if not correct.any():
        return {"score": DEFAULT_THRESHOLD, "f1": 0.0, "precision": 0.0, "recall": 0.0}
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(correct[order])
    detections = np.arange(1, len(scores) + 1)
    objects = sum(float(c.objects.sum()) for c in classes)
    f1 = 2 * hits / (detections + objects)
    # A threshold includes either all detections of a score or none, so only the last of them is a candidate.
    f1[:-1][scores[:-1] == scores[1:]] = -1
    best = int(np.argmax(f1))
    return {
        "score": float(scores[best]),
        "f1": float(f1[best]),
        "precision": float(hits[best] / detections[best]),
        "recall": float(hits[best] / objects),
    }


def calibration(evaluation: EvaluationResult) -> dict[str, Any]:
    """Compare scores with precision, in ten bins of the score.

    Returns:
        ``ece``, the expected calibration error (Guo et al. 2017; for detections Kueppers et al. 2020): the
        mean difference between score and precision, weighted by the detections of each bin; None without
        detections. ``bins`` with ``low``, ``high``, ``count``, the mean ``score``, ``precision`` and its
        95 % ``interval``; empty bins are left out.
    """
    matches = evaluation.matches
    scores = matches.scores[matches.counted]
    correct = (matches.annotation_of >= 0)[matches.counted]
    bin_of = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    bins: list[dict[str, Any]] = []
    for number in range(_BINS):
        inside = bin_of == number
        count, hits = int(inside.sum()), int(correct[inside].sum())
        if count:
            bins.append(
                {
                    "low": number / _BINS,
                    "high": (number + 1) / _BINS,
                    "count": count,
                    "score": round(float(scores[inside].mean()), 6),
                    "precision": round(hits / count, 6),
                    "interval": [round(bound, 6) for bound in wilson_interval(hits, count)],
                }
            )
    gaps = [b["count"] * abs(b["score"] - b["precision"]) for b in bins]
    return {"ece": round(sum(gaps) / len(scores), 6) if len(scores) else None, "bins": bins}
