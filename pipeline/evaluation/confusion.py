"""Confusion matrix of true and detected classes, at one score threshold and IoU 0.5."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.evaluation.matching import Bools, EvaluationResult, Floats

IOU = 0.5
"""IoU from which a detection and an object of another class are paired."""
BACKGROUND = "background"


def confusion_matrix(evaluation: EvaluationResult, threshold: float) -> dict[str, Any]:
    """Count objects and detections by true class and detected class.

    COCO's pairs of the same class do not change. Each remaining detection, the highest score first, is paired
    with an object of another class if their IoU is at least 0.5.

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
    """Pair false positives with missed objects of another class that they overlap: IoU at least 0.5.

    Args:
        evaluation: the evaluation; its ``iou_type`` says whether the IoU is of masks or of boxes.
        missed: (annotations,) whether the object is to be paired.
        false_positive: (detections,) whether the detection is to be paired. The highest score is paired
        first.

    Returns:
        For each pair the index of the detection and the index of the annotation.
    """
    annotations, detections = evaluation.ground_truth["annotations"], evaluation.detections
    objects: defaultdict[int, list[int]] = defaultdict(list)
    for number in np.flatnonzero(missed):
        objects[annotations[number]["image_id"]].append(int(number))
    pairs = []
    for number in sorted(np.flatnonzero(false_positive).tolist(), key=lambda n: -detections[n]["score"]):
        free = objects[detections[number]["image_id"]]
        ious = compute_ious([detections[number]], [annotations[n] for n in free], evaluation.iou_type)[0]
        other = [annotations[n]["category_id"] != detections[number]["category_id"] for n in free]
        ious = np.where(other, ious, 0)
        if ious.max(initial=0) >= IOU:
            pairs.append((number, free.pop(int(ious.argmax()))))
    return pairs


def compute_ious(
    detections: list[dict[str, Any]], annotations: list[dict[str, Any]], iou_type: str, crowd: bool = False
) -> Floats:
    """Compute the IoU of masks ("segm") or boxes ("bbox"): (detections, annotations).

    With ``crowd``, compute the share of each detection that lies in each annotation instead.
    """
    if not detections or not annotations:
        return np.zeros((len(detections), len(annotations)))
    shapes = [
        [entry["segmentation"] for entry in entries]
        if iou_type == "segm"
        else np.array([entry["bbox"] for entry in entries], float)
        for entries in (detections, annotations)
    ]
    ious: Floats = mask_utils.iou(*shapes, [int(crowd)] * len(annotations))
    return ious
