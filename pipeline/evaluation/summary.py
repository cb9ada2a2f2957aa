"""Everything that is said of a model's results on one COCO dataset, as one JSON table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pipeline.evaluation.diagnosis import best_thresholds, calibration, confusion, precision_recall
from pipeline.evaluation.matching import IOU_TYPES, find_matches
from pipeline.evaluation.metrics import METRICS, bootstrap_intervals, coco_metrics
from pipeline.evaluation.slices import weaknesses


def judge(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], bootstrap: int, threshold: float
) -> dict[str, Any]:
    """AP and AR with intervals, and what they don't say.

    Args:
        ground_truth: a COCO dataset, its masks as compressed RLE.
        bootstrap: resamples for the intervals; 0 for none.
        threshold: the least score of a detection that counts, where one must be chosen.
    """
    scores = coco_metrics(ground_truth, results)
    if bootstrap:
        intervals = bootstrap_intervals(ground_truth, results, bootstrap, np.random.default_rng(0))
        for name, table in scores["classes"].items():
            _add_intervals(table, intervals["classes"][name])
        _add_intervals(scores["overall"], intervals["overall"])
    names = {c["id"]: c["name"] for c in ground_truth["categories"]}
    counts = Counter((names[a["category_id"]], a["iscrowd"]) for a in ground_truth["annotations"])
    for name, table in scores["classes"].items():
        table |= {"objects": counts[name, 0], "ignored": counts[name, 1]}
    matches = find_matches(ground_truth, results)
    return scores | {
        "class_names": list(scores["classes"]),
        "images": len(ground_truth["images"]),
        "predictions": len(results),
        "bootstrap": bootstrap,
        "threshold": threshold,
        "precision_recall": precision_recall(ground_truth, results),
        "best_thresholds": best_thresholds(ground_truth, results),
        "confusion": confusion(ground_truth, results, matches, threshold),
        "calibration": calibration(results, matches),
        "factors": weaknesses(ground_truth, results, matches, threshold),
    }


def _add_intervals(table: dict[str, Any], intervals: dict[str, Any]) -> None:
    for iou_type in IOU_TYPES:
        table[iou_type] |= {f"{m}_interval": intervals[iou_type][m] for m in METRICS}
