"""What AP does not say: precision by recall, the best threshold, what is taken for what, honest scores.

All of it counts masks at IoU 0.5.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.evaluation.intervals import wilson
from pipeline.evaluation.matching import (
    IOU_TYPES,
    Bools,
    Curve,
    Floats,
    Ints,
    Matches,
    class_names,
    curves,
    evaluate_coco,
)

IOU = 0.5
BACKGROUND = "background"
DEFAULT_THRESHOLD = 0.5
_BINS = 10


def precision_recall(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's interpolated precision at 101 recalls from 0 to 1, at IoU 0.5.

    Returns:
        Per class ``{"bbox": [101 numbers], "segm": [...]}``; a class without ground truth has None.
    """
    names = class_names(ground_truth)
    table: dict[str, Any] = {name: {} for name in names}
    for iou_type in IOU_TYPES:
        evaluation = evaluate_coco(ground_truth, results, iou_type)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        for number, name in enumerate(names):
            line = evaluation.eval["precision"][0, :, number, 0, -1]
            table[name][iou_type] = None if line[0] < 0 else [round(float(v), 4) for v in line]
    return table


def best_threshold(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> float:
    """The score that, as the least one kept, gives the best F1 of masks, all classes together.

    Returns:
        A score of ``results``; 0.5 if nothing matches.
    """
    return float(_best_f1(curves(evaluate_coco(ground_truth, results, "segm")))["score"])


def best_thresholds(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """Per class the ``score`` of the best F1, with the ``f1``, ``precision`` and ``recall`` it gives."""
    found = curves(evaluate_coco(ground_truth, results, "segm"))
    return {
        name: {key: round(value, 6) for key, value in _best_f1([curve]).items()}
        for name, curve in zip(class_names(ground_truth), found, strict=True)
    }


def _best_f1(found: list[Curve]) -> dict[str, float]:
    counted = np.concatenate([c.true[0] | c.false[0] for c in found] or [np.zeros(0, bool)])
    true = np.concatenate([c.true[0] for c in found] or [np.zeros(0, bool)])[counted]
    scores = np.concatenate([c.scores for c in found] or [np.zeros(0)])[counted]
    if not true.any():
        return {"score": DEFAULT_THRESHOLD, "f1": 0.0, "precision": 0.0, "recall": 0.0}
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(true[order])
    kept = np.arange(1, len(scores) + 1)
    objects = sum(float(c.objects.sum()) for c in found)
    f1 = 2 * hits / (kept + objects)
    # Equal scores are kept or dropped together: only the last of them is a choice.
    f1[:-1][scores[:-1] == scores[1:]] = -1
    best = int(np.argmax(f1))
    return {
        "score": float(scores[best]),
        "f1": float(f1[best]),
        "precision": float(hits[best] / kept[best]),
        "recall": float(hits[best] / objects),
    }


def calibration(results: list[dict[str, Any]], matches: Matches) -> dict[str, Any]:
    """Are scores probabilities? The precision of detections by score, in bins of a tenth.

    Returns:
        ``ece``, the expected calibration error (Guo et al. 2017; for detections Kueppers et al. 2020): the
        mean gap between score and precision, each bin weighing its detections; None without detections.
        ``bins`` with ``low``, ``high``, ``count``, mean ``score``, ``precision`` and its 95 % ``interval``.
    """
    scores = np.array([r["score"] for r in results])[matches.counts]
    right = (matches.finds >= 0)[matches.counts]
    places = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    bins: list[dict[str, Any]] = []
    for number in range(_BINS):
        inside = places == number
        count, hits = int(inside.sum()), int(right[inside].sum())
        if count:
            bins.append(
                {
                    "low": number / _BINS,
                    "high": (number + 1) / _BINS,
                    "count": count,
                    "score": round(float(scores[inside].mean()), 6),
                    "precision": round(hits / count, 6),
                    "interval": [round(bound, 6) for bound in wilson(hits, count)],
                }
            )
    gaps = [b["count"] * abs(b["score"] - b["precision"]) for b in bins]
    return {"ece": round(sum(gaps) / len(scores), 6) if len(scores) else None, "bins": bins}


def confusion(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], matches: Matches, threshold: float
) -> dict[str, Any]:
    """What is taken for what, at one threshold.

    COCO's pairs of one class stand; of what is left, a detection is paired with an object of another
    class if their masks overlap by IoU 0.5 or more, the best score first.

    Returns:
        ``names`` (the classes, then "background"), ``threshold`` and ``counts``: rows are truth, columns
        predictions. The last column is missed, the last row found where there is nothing.
    """
    names = class_names(ground_truth)
    ids = sorted(int(c["id"]) for c in ground_truth["categories"])
    place = {category: number for number, category in enumerate(ids)}
    counts = np.zeros((len(names) + 1, len(names) + 1), int)
    objects, kept = objects_found(ground_truth, results, matches, threshold)
    wrong = confused_pairs(ground_truth, results, objects == -1, kept & (matches.finds < 0))
    mistaken = dict(wrong)
    taken = set(mistaken.values())
    for number, annotation in enumerate(ground_truth["annotations"]):
        if objects[number] >= 0:
            counts[place[annotation["category_id"]], place[annotation["category_id"]]] += 1
        elif objects[number] == -1 and number not in taken:
            counts[place[annotation["category_id"]], -1] += 1
    for number in np.flatnonzero(kept & (matches.finds < 0)):
        truth = mistaken.get(int(number))
        row = -1 if truth is None else place[ground_truth["annotations"][truth]["category_id"]]
        counts[row, place[results[number]["category_id"]]] += 1
    return {"names": [*names, BACKGROUND], "threshold": threshold, "counts": counts.tolist()}


def objects_found(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], matches: Matches, threshold: float
) -> tuple[Ints, Bools]:
    """What is left of the matches at one threshold.

    Returns:
        Per annotation the number of its result, -1 if it is missed, -2 if it is an ignore region; per
        result whether it counts.
    """
    scores = np.array([r["score"] for r in results], float)
    kept = matches.counts & (scores >= threshold)
    found_by = matches.found_by
    seen = np.array([number >= 0 and bool(kept[number]) for number in found_by], bool)
    crowd = np.array([a.get("iscrowd", 0) for a in ground_truth["annotations"]], bool)
    return np.where(crowd, -2, np.where(seen, found_by, -1)), kept


def confused_pairs(
    ground_truth: dict[str, Any], results: list[dict[str, Any]], missed: Bools, false: Bools
) -> list[tuple[int, int]]:
    """Pairs of a false detection and the missed object of another class that it lies on: IoU from 0.5."""
    annotations = ground_truth["annotations"]
    objects: defaultdict[int, list[int]] = defaultdict(list)
    for number in np.flatnonzero(missed):
        objects[annotations[number]["image_id"]].append(int(number))
    pairs = []
    for number in sorted(np.flatnonzero(false).tolist(), key=lambda n: -results[n]["score"]):
        free = objects[results[number]["image_id"]]
        overlap = mask_ious([results[number]], [annotations[n] for n in free])[0]
        other = [annotations[n]["category_id"] != results[number]["category_id"] for n in free]
        overlap = np.where(other, overlap, 0)
        if overlap.max(initial=0) >= IOU:
            pairs.append((number, free.pop(int(overlap.argmax()))))
    return pairs


def mask_ious(results: list[dict[str, Any]], truths: list[dict[str, Any]], crowd: bool = False) -> Floats:
    """IoU of masks (results, truths); of crowds, the share of the result that lies in them."""
    if not results or not truths:
        return np.zeros((len(results), len(truths)))
    ious: Floats = mask_utils.iou(
        [r["segmentation"] for r in results], [t["segmentation"] for t in truths], [int(crowd)] * len(truths)
    )
    return ious
