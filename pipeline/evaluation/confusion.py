"""Confusion matrix: which class is detected as which, at one score threshold and mask IoU 0.5."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.evaluation.matching import Bools, EvaluationResult, Floats

IOU = 0.5
"""IoU from which a detection and an object of another class are a pair."""
BACKGROUND = "background"


def confusion_matrix(evaluation: EvaluationResult, threshold: float) -> dict[str, Any]:
    """Count objects and detections by true and by detected class.

    COCO's pairs of the same class stay. Each remaining detection, the best score first, is paired with an
    object of another class if their masks overlap with an IoU of at least 0.5.

    Returns:
        ``names`` (the classes, then "background"), ``threshold`` and ``counts``: a row for each true class,
        a column for each detected class. The last column counts missed objects, the last row false
        positives on the background.
    """
    annotations = evaluation.ground_truth["annotations"]
    ids = sorted(int(c["id"]) for c in evaluation.ground_truth["categories"])
    place = {category: number for number, category in enumerate(ids)}
    counts = np.zeros((len(ids) + 1, len(ids) + 1), int)
    matches = evaluation.matches.at_threshold(threshold)
    object_of = dict(confused_pairs(evaluation, matches.missed, matches.false_positive))
    confused = set(object_of.values())
    for number, annotation in enumerate(annotations):
        row = place[annotation["category_id"]]
        if matches.detection_of[number] >= 0:
            counts[row, row] += 1
        elif matches.missed[number] and number not in confused:
            counts[row, -1] += 1
    for number in np.flatnonzero(matches.false_positive):
        confused_object = object_of.get(int(number))
        row = -1 if confused_object is None else place[annotations[confused_object]["category_id"]]
        counts[row, place[evaluation.detections[number]["category_id"]]] += 1
    names = [*evaluation.class_names, BACKGROUND]
    return {"names": names, "threshold": threshold, "counts": counts.tolist()}


def confused_pairs(
    evaluation: EvaluationResult, missed: Bools, false_positive: Bools
) -> list[tuple[int, int]]:
    """Pair false positives with missed objects of another class whose masks overlap: IoU at least 0.5.

    Args:
        missed: (annotations,) the objects to pair.
        false_positive: (detections,) the detections to pair, the best score first.

    Returns:
        Index of the detection and of the annotation of each pair.
    """
    annotations, detections = evaluation.ground_truth["annotations"], evaluation.detections
    objects: defaultdict[int, list[int]] = defaultdict(list)
    for number in np.flatnonzero(missed):
        objects[annotations[number]["image_id"]].append(int(number))
    pairs = []
    for number in sorted(np.flatnonzero(false_positive).tolist(), key=lambda n: -detections[n]["score"]):
        free = objects[detections[number]["image_id"]]
        ious = mask_ious([detections[number]], [annotations[n] for n in free])[0]
        other = [annotations[n]["category_id"] != detections[number]["category_id"] for n in free]
        ious = np.where(other, ious, 0)
        if ious.max(initial=0) >= IOU:
            pairs.append((number, free.pop(int(ious.argmax()))))
    return pairs


def mask_ious(
    detections: list[dict[str, Any]], annotations: list[dict[str, Any]], crowd: bool = False
) -> Floats:
    """IoU of masks, (detections, annotations); with ``crowd`` the share of a detection in an annotation."""
    if not detections or not annotations:
        return np.zeros((len(detections), len(annotations)))
    ious: Floats = mask_utils.iou(
        [d["segmentation"] for d in detections],
        [a["segmentation"] for a in annotations],
        [int(crowd)] * len(annotations),
    )
    return ious
