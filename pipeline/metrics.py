"""Average precision of boxes and masks: COCO's own evaluation, with what it leaves out.

``COCOeval`` does the matching and the accumulation. Around it: no detections is AP 0 and no
ground truth is None (not -1), annotations are renumbered (pycocotools takes the id 0 for
"unmatched"), and ``maxDets`` is never below the number of objects in an image, so that perfect
detections of 150 objects are worth 1.0. Numbers are rounded to six decimals.

Results are COCO's: dicts with ``image_id``, ``category_id``, ``bbox`` (x, y, w, h in pixels),
``segmentation`` (compressed RLE) and ``score``.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

IOU_TYPES = ("bbox", "segm")
METRICS = ("AP", "AP50", "AP75")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 100
"""COCO's cap on detections per image and class; raised where an image holds more objects."""

Floats = npt.NDArray[np.float64]


def coco_metrics(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    """COCO's AP (IoU 0.50:0.95), AP50 and AP75 of boxes and masks, per class and overall.

    Neither argument is changed. Overall is the mean over the classes that have ground truth.

    Returns:
        ``{"classes": {name: {"bbox": {"AP", "AP50", "AP75"}, "segm": {...}}}, "overall":
        {"bbox": {...}, "segm": {...}}}``; None where there is no ground truth.
    """
    names = _class_names(ground_truth)
    scores: dict[str, Any] = {"classes": {name: {} for name in names}, "overall": {}}
    for iou_type in IOU_TYPES:
        evaluation = _evaluate(ground_truth, results, iou_type)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
        # Precision at [IoU threshold, recall, class, area range, maxDets]; -1: no ground truth.
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        table = np.where(precision < 0, np.nan, precision).mean(axis=1).T
        for name, row in zip(names, table, strict=True):
            scores["classes"][name][iou_type] = _named(_summary(row))
        scores["overall"][iou_type] = _named(_mean([_summary(row) for row in table]))
    return scores


def bootstrap_intervals(
    ground_truth: dict[str, Any],
    results: list[dict[str, Any]],
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """95 % percentile intervals of ``coco_metrics``, by resampling scenes with replacement.

    Images of one scene (``images[].scene``) are drawn together, an image without one stands
    alone. Matching is done once; a resample only weighs the images anew (Efron's bootstrap).

    Returns:
        As ``coco_metrics``, with ``[low, high]`` for each number; None where there is no ground
        truth, or fewer than two scenes to draw from.
    """
    names = _class_names(ground_truth)
    weights = _resample(ground_truth, resamples, rng)
    intervals: dict[str, Any] = {"classes": {name: {} for name in names}, "overall": {}}
    for iou_type in IOU_TYPES:
        curves = _curves(_evaluate(ground_truth, results, iou_type), len(names))
        draws = np.array([[_summary(_precision(curve, w)) for curve in curves] for w in weights])
        draws = draws.reshape(len(weights), len(names), len(METRICS))
        for index, name in enumerate(names):
            intervals["classes"][name][iou_type] = _interval(draws[:, index])
        overall = np.array([_mean(list(draw)) for draw in draws]).reshape(-1, len(METRICS))
        intervals["overall"][iou_type] = _interval(overall)
    return intervals


def best_threshold(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> float:
    """The score that, as the least one kept, gives the best F1 of masks at IoU 0.5, all classes together.

    Returns:
        A score of ``results``; 0.5 if nothing matches.
    """
    curves = _curves(_evaluate(ground_truth, results, "segm"), len(ground_truth["categories"]))
    counted = np.concatenate([curve.true[0] | curve.false[0] for curve in curves] or [np.zeros(0, bool)])
    true = np.concatenate([curve.true[0] for curve in curves] or [np.zeros(0, bool)])[counted]
    scores = np.concatenate([curve.scores for curve in curves] or [np.zeros(0)])[counted]
    if not true.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(true[order])
    objects = sum(float(curve.objects.sum()) for curve in curves)
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + objects)
    # Equal scores are kept or dropped together: only the last of them is a choice.
    f1[:-1][scores[:-1] == scores[1:]] = -1
    return float(scores[int(np.argmax(f1))])


# ------------------------------------------------------------------------------ COCOeval


def _class_names(ground_truth: dict[str, Any]) -> list[str]:
    """Names in the order of category ids, which is COCOeval's."""
    return [c["name"] for c in sorted(ground_truth["categories"], key=lambda c: int(c["id"]))]


def _evaluate(ground_truth: dict[str, Any], results: list[dict[str, Any]], iou_type: str) -> COCOeval:
    """Match results to ground truth; only area range "all" and the largest maxDets are kept."""
    truths = [
        {"iscrowd": 0, "area": float(np.prod(a["bbox"][2:]))} | a | {"id": number}
        for number, a in enumerate(ground_truth["annotations"], start=1)
    ]
    found = [
        {**r, "id": number, "iscrowd": 0, "area": float(np.prod(r["bbox"][2:]))}
        for number, r in enumerate(results, start=1)
    ]
    most = max(Counter(a["image_id"] for a in truths).values(), default=0)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_index(ground_truth, truths), _index(ground_truth, found), iou_type)
        evaluation.params.maxDets = [max(MAX_DETECTIONS, most)]
        evaluation.params.areaRng = [[0, float("inf")]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
    return evaluation


def _index(ground_truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": ground_truth["images"],
        "categories": ground_truth["categories"],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


@dataclass(frozen=True)
class _Curve:
    """One class's detections by falling score, so that a resample is one weighted cumulative sum."""

    scores: Floats
    true: npt.NDArray[np.bool_]
    """(IoU thresholds, detections): found an object that counts; ``false``: found none."""
    false: npt.NDArray[np.bool_]
    image: npt.NDArray[np.int_]
    """Each detection's image, by its place in the order of ids."""
    objects: Floats
    """Objects that count, per image."""


def _curves(evaluation: COCOeval, classes: int) -> list[_Curve]:
    images = len(evaluation.params.imgIds)
    return [_curve(evaluation.evalImgs[i * images : (i + 1) * images]) for i in range(classes)]


def _curve(images: list[dict[str, Any] | None]) -> _Curve:
    found = [(index, e) for index, e in enumerate(images) if e is not None]
    lengths = [len(e["dtScores"]) for _, e in found]
    objects = np.zeros(len(images))
    for index, e in found:
        objects[index] = np.count_nonzero(np.asarray(e["gtIgnore"]) == 0)
    scores = np.concatenate([np.zeros(0), *(e["dtScores"] for _, e in found)])
    # COCOeval sorts the same way: stable, so that ties fall as they do there.
    order = np.argsort(-scores, kind="mergesort")
    none = np.zeros((len(IOU_THRESHOLDS), 0))
    matched = np.concatenate([none, *(e["dtMatches"] for _, e in found)], axis=1)[:, order] > 0
    ignored = np.concatenate([none, *(e["dtIgnore"] for _, e in found)], axis=1)[:, order] > 0
    image = np.repeat(np.array([index for index, _ in found], int), lengths)[order]
    return _Curve(scores[order], matched & ~ignored, ~matched & ~ignored, image, objects)


def _precision(curve: _Curve, weights: Floats) -> Floats:
    """Mean interpolated precision per IoU threshold, image i weighing ``weights[i]``; NaN: no objects."""
    objects = float(weights @ curve.objects)
    if not objects:
        return np.full(len(IOU_THRESHOLDS), np.nan)
    weight = weights[curve.image]
    true, false = np.cumsum(curve.true * weight, axis=1), np.cumsum(curve.false * weight, axis=1)
    precision = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(envelope), 1))], axis=1)
    reached = [np.searchsorted(row / objects, RECALLS) for row in true]
    return np.array([row[places].mean() for row, places in zip(padded, reached, strict=True)])


# ------------------------------------------------------------------------------ numbers


def _resample(ground_truth: dict[str, Any], resamples: int, rng: np.random.Generator) -> Floats:
    """How often each image, by rising id, is counted in each resample (resamples, images)."""
    images = sorted(ground_truth["images"], key=lambda image: int(image["id"]))
    keys = [("scene", str(i["scene"])) if i.get("scene") else ("image", str(i["id"])) for i in images]
    groups = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(groups) < 2:
        return np.zeros((0, len(images)))
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=resamples)
    return draws[:, [groups[key] for key in keys]].astype(float)


def _summary(precision: Floats) -> Floats:
    """AP, AP50, AP75 from the ten thresholds 0.50, 0.55 .. 0.95."""
    return np.array([precision.mean(), precision[0], precision[5]])


def _mean(rows: list[Floats]) -> Floats:
    """Mean over the classes that have ground truth; NaN if none has."""
    known = [row for row in rows if not np.isnan(row).any()]
    return np.mean(known, axis=0) if known else np.full(len(METRICS), np.nan)


def _named(values: Floats) -> dict[str, float | None]:
    return {m: None if np.isnan(v) else round(float(v), 6) for m, v in zip(METRICS, values, strict=True)}


def _interval(draws: Floats) -> dict[str, list[float] | None]:
    known = draws[~np.isnan(draws).any(axis=1)]
    if not len(known):
        return dict.fromkeys(METRICS)
    low, high = np.percentile(known, [2.5, 97.5], axis=0)
    return {m: [round(float(a), 6), round(float(b), 6)] for m, a, b in zip(METRICS, low, high, strict=True)}
