"""Find the worst mistakes of each kind: false positives, missed objects, bad masks, confused classes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.evaluation.confusion import IOU, compute_ious, confused_pairs
from pipeline.evaluation.matching import Bools, EvaluationResult

KINDS = ("false_positive", "missed", "mask", "confused")
"""Kinds of mistakes: a detection without an object; an object without a detection; a correct box with a bad
mask; an object detected as another class."""


@dataclass(frozen=True)
class Mistake:
    """One mistake. Annotation and detection are indices into the lists of the evaluation."""

    kind: str
    image_id: int
    annotation: int | None
    detection: int | None
    iou: float | None = None
    """IoU of the two masks or boxes, if there are two."""


def find_mistakes(evaluation: EvaluationResult, threshold: float, count: int) -> dict[str, list[Mistake]]:
    """Find the ``count`` worst mistakes of each kind. An object or a detection belongs to one kind only.

    False positives and confusions are sorted by score, missed objects by area, bad masks by IoU.

    Args:
        evaluation: the evaluation.
        threshold: the score threshold of detections.
    """
    matches = evaluation.matches.at_threshold(threshold)
    missed, false_positive = matches.missed, matches.false_positive
    confused = confused_pairs(evaluation, missed, false_positive)
    for detection, annotation in confused:
        missed[annotation] = false_positive[detection] = False
    bad_masks = _box_pairs(evaluation, missed, false_positive)
    for detection, annotation in bad_masks:
        missed[annotation] = false_positive[detection] = False
    annotations, detections = evaluation.ground_truth["annotations"], evaluation.detections
    by_score = sorted(np.flatnonzero(false_positive).tolist(), key=lambda n: -detections[n]["score"])
    by_area = sorted(np.flatnonzero(missed).tolist(), key=lambda n: -annotations[n]["area"])
    pairs = [*bad_masks, *((int(d), n) for n, d in enumerate(matches.detection_of) if d >= 0)]
    masks = [_mistake("mask", evaluation, *pair) for pair in pairs]
    return {
        "false_positive": [
            Mistake("false_positive", detections[n]["image_id"], None, n) for n in by_score[:count]
        ],
        "missed": [Mistake("missed", annotations[n]["image_id"], n, None) for n in by_area[:count]],
        "mask": sorted(masks, key=lambda m: (m.iou or 0.0, m.image_id))[:count],
        "confused": [_mistake("confused", evaluation, *pair) for pair in confused[:count]],
    }


def _mistake(kind: str, evaluation: EvaluationResult, detection: int, annotation: int) -> Mistake:
    """Build a mistake with a detection and an object."""
    entry = evaluation.ground_truth["annotations"][annotation]
    iou = float(compute_ious([evaluation.detections[detection]], [entry], evaluation.iou_type)[0, 0])
    return Mistake(kind, entry["image_id"], annotation, detection, round(iou, 4))


def _box_pairs(evaluation: EvaluationResult, missed: Bools, false_positive: Bools) -> list[tuple[int, int]]:
    """Pair false positives with missed objects of the same class whose boxes overlap: IoU at least 0.5."""
    annotations, detections = evaluation.ground_truth["annotations"], evaluation.detections
    free: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number in np.flatnonzero(missed).tolist():
        free[annotations[number]["image_id"], annotations[number]["category_id"]].append(number)
    pairs = []
    for number in sorted(np.flatnonzero(false_positive).tolist(), key=lambda n: -detections[n]["score"]):
        objects = free[detections[number]["image_id"], detections[number]["category_id"]]
        if objects:
            boxes = np.array([annotations[n]["bbox"] for n in objects], float)
            box = np.array([detections[number]["bbox"]], float)
            ious = mask_utils.iou(box, boxes, [0] * len(objects))[0]
            if ious.max() >= IOU:
                pairs.append((number, objects.pop(int(ious.argmax()))))
    return pairs
