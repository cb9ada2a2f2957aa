"""COCO's average precision (AP) and average recall (AR) of boxes and masks, per class and overall.

Unlike in pycocotools, AP is 0 if there are no detections at all, and None instead of -1 if there is no ground
truth. Figures are rounded to ten decimals, because COCOeval's 1.0 is too low by a floating-point epsilon.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pipeline.evaluation.matching import EvaluationResult, Floats, IouTypeResult

HEADLINE = ("AP", "AP50", "AP75")
METRICS = (*HEADLINE, "APs", "APm", "APl", "AR1", "AR10", "AR", "ARs", "ARm", "ARl")
"""COCO's twelve figures. AP: the mean over IoU 0.50 to 0.95, at 0.50, at 0.75, and for small, medium and
large
objects. AR, the mean recall over the same IoUs: with one, ten and all (100 or more) detections per image, and
for small, medium and large objects."""


def compute_metrics(evaluation: EvaluationResult) -> dict[str, Any]:
    """Compute COCO's twelve figures (``METRICS``) of boxes and masks.

    Returns:
        ``{"classes": {name: {"bbox": {"AP": ...}, "segm": {...}}}, "overall": {"bbox": {...}, "segm":
        {...}}}``; None where there is no ground truth. Overall is the mean over the classes that have
        ground truth.
    """
    names = evaluation.class_names
    metrics: dict[str, Any] = {"classes": {name: {} for name in names}, "overall": {}}
    for iou_type, result in evaluation.iou_types.items():
        table = np.array([_class_figures(result, number) for number in range(len(names))])
        for name, row in zip(names, table, strict=True):
            metrics["classes"][name][iou_type] = _named(row)
        metrics["overall"][iou_type] = _named(mean_over_classes(table))
    return metrics


def _class_figures(result: IouTypeResult, class_index: int) -> Floats:
    """Compute the twelve figures (12,) of one class; NaN where there is no ground truth."""
    # precision (IoU thresholds, size classes) is the mean over recalls; recall (size classes, limits) is the
    # mean over IoU thresholds.
    precision = result.precision[:, :, class_index].mean(axis=1)
    recall = result.recall[:, class_index].mean(axis=0)
    ap = [precision[:, 0].mean(), precision[0, 0], precision[5, 0], *precision[:, 1:].mean(axis=0)]
    figures = np.array([*ap, *recall[0, :], *recall[1:, -1]])
    return np.where(figures < 0, np.nan, figures)


def mean_over_classes(table: Floats) -> Floats:
    """Average the figures (K, 12) of the classes that have ground truth: (12,), NaN if no class has any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of a column of NaN is NaN
        return np.nanmean(table, axis=0) if len(table) else np.full(len(METRICS), np.nan)


def _named(values: Floats) -> dict[str, float | None]:
    return {m: None if np.isnan(v) else round(float(v), 10) for m, v in zip(METRICS, values, strict=True)}
