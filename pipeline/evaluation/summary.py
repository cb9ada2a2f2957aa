"""All figures of one evaluation as one JSON table: the content of metrics.json."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.confusion import confusion_matrix
from pipeline.evaluation.diagnosis import best_thresholds, calibration, precision_recall
from pipeline.evaluation.matching import IOU_TYPES, EvaluationResult
from pipeline.evaluation.metrics import METRICS, compute_metrics
from pipeline.evaluation.slices import metrics_by_factor


def summarize(
    evaluation: EvaluationResult, threshold: float, bootstrap: Bootstrap | None = None
) -> dict[str, Any]:
    """Compute AP and AR, their intervals, and the diagnosis.

    ``measured`` names the IoU types that were measured; the figures of the other are None. ``iou_type`` is
    that of the diagnosis.

    Args:
        evaluation: the evaluation; the masks of its ground truth and detections are compressed RLE.
        threshold: the score threshold of the confusion matrix and of the breakdown by scene factor.
        bootstrap: resamples of ``evaluation``, for the intervals; None: no intervals.
    """
    ground_truth = evaluation.ground_truth
    metrics = compute_metrics(evaluation)
    if bootstrap is not None and bootstrap.resamples:
        intervals = bootstrap.intervals()
        for name, table in metrics["classes"].items():
            _add_intervals(table, intervals["classes"][name])
        _add_intervals(metrics["overall"], intervals["overall"])
    names = {c["id"]: c["name"] for c in ground_truth["categories"]}
    counts = Counter((names[a["category_id"]], a["iscrowd"]) for a in ground_truth["annotations"])
    for table in [*metrics["classes"].values(), metrics["overall"]]:
        table |= {iou_type: dict.fromkeys(METRICS) for iou_type in IOU_TYPES if iou_type not in table}
    for name, table in metrics["classes"].items():
        table |= {"objects": counts[name, 0], "ignored": counts[name, 1]}
    return metrics | {
        "class_names": list(evaluation.class_names),
        "measured": list(evaluation.iou_types),
        "iou_type": evaluation.iou_type,
        "images": len(ground_truth["images"]),
        "predictions": len(evaluation.detections),
        "bootstrap": bootstrap.resamples if bootstrap else 0,
        "threshold": threshold,
        "precision_recall": precision_recall(evaluation),
        "best_thresholds": best_thresholds(evaluation),
        "confusion": confusion_matrix(evaluation, threshold),
        "calibration": calibration(evaluation),
        "factors": metrics_by_factor(evaluation, threshold),
    }


def _add_intervals(table: dict[str, Any], intervals: dict[str, Any]) -> None:
    """Add ``AP_interval``, ``AP50_interval``, ... to the figures of one class."""
    for iou_type, of_type in intervals.items():
        table[iou_type] |= {f"{metric}_interval": of_type[metric] for metric in METRICS}
