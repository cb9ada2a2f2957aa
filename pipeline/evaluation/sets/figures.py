"""The figures of one set of images: AP, and recall, precision and false alarms at a score threshold.

Recall, precision and false alarms are of boxes at IoU 0.5, whether the set has masks or not, so that sets can
be compared. A false alarm is a detection at or above the threshold that matches no object and no ignore
region of its class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.evaluation.bootstrap import SEED, Bootstrap, percentiles, scene_of, scene_weights
from pipeline.evaluation.matching import EvaluationResult, Floats, RankedDetections
from pipeline.evaluation.metrics import compute_metrics

_AP = ("AP", "AP50")
AT_THRESHOLD = ("recall", "precision", "false_alarms")
"""Figures at the score threshold. ``false_alarms``: per image."""


def set_figures(
    name: str, evaluation: EvaluationResult, threshold: float, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Compute the figures of one set: its entry in ``sets`` of metrics.json.

    Args:
        name: the set's name.
        evaluation: the detections in the set's images.
        threshold: the score threshold.
        bootstrap: resamples of ``evaluation``.

    Returns:
        ``name``, ``images``, ``scenes``, ``threshold``, ``class_names`` and ``classes``: per class
        ``objects``, AP and AP50 of ``bbox`` and, if masks were measured, ``segm``, and the figures
        ``AT_THRESHOLD``. Each figure has a 95 % interval over scenes (``AP50_interval``) if there are
        resamples. None: undefined.
    """
    ground_truth, metrics = evaluation.ground_truth, compute_metrics(evaluation)
    intervals = bootstrap.intervals() if bootstrap.resamples else None
    weights = scene_weights(ground_truth, bootstrap.resamples, np.random.default_rng(SEED))
    classes = {}
    ranked = evaluation.iou_types["bbox"].ranked["all"]
    for class_name, of_class in zip(evaluation.class_names, ranked, strict=True):
        table: dict[str, Any] = {"objects": int(of_class.objects.sum())}
        for iou_type in evaluation.iou_types:
            table[iou_type] = {key: metrics["classes"][class_name][iou_type][key] for key in _AP}
            if intervals:
                bounds = intervals["classes"][class_name][iou_type]
                table[iou_type] |= {f"{key}_interval": bounds[key] for key in _AP}
        classes[class_name] = table | _at_threshold(of_class, threshold, weights)
    return {
        "name": name,
        "images": len(ground_truth["images"]),
        "scenes": len({scene_of(image) for image in ground_truth["images"]}),
        "threshold": threshold,
        "class_names": list(evaluation.class_names),
        "classes": classes,
    }


def _at_threshold(ranked: RankedDetections, threshold: float, weights: Floats) -> dict[str, Any]:
    """Compute recall, precision and false alarms per image of one class, and their intervals.

    Args:
        ranked: the detections of the class.
        threshold: the score threshold.
        weights: how often each image counts in each resample: (resamples, images).
    """
    images = len(ranked.objects)
    above = ranked.scores >= threshold
    right = np.bincount(ranked.image[above & ranked.true_positive[0]], minlength=images)
    wrong = np.bincount(ranked.image[above & ranked.false_positive[0]], minlength=images)
    samples = np.concatenate([np.ones((1, images)), weights])  # the first row is the set itself
    hits, alarms, objects = samples @ right, samples @ wrong, samples @ ranked.objects
    with np.errstate(invalid="ignore"):  # 0 / 0: no object, or no detection
        values = (hits / objects, hits / (hits + alarms), alarms / samples.sum(axis=1))
    figures: dict[str, Any] = {}
    for name, column in zip(AT_THRESHOLD, values, strict=True):
        figures[name] = None if np.isnan(column[0]) else round(float(column[0]), 6)
        if len(weights):
            figures[f"{name}_interval"] = percentiles(column[1:])
    return figures
