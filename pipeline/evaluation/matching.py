"""COCO's own matching of results to objects, once, and what every figure is counted from.

``COCOeval`` does the matching. Around it: annotations are renumbered (pycocotools takes the id 0
for "unmatched"), ``maxDets`` is never below the number of objects in an image, and a mask's size
class follows from its own area (pycocotools takes its box's where results hold both).

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
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.data.rle import as_rle

IOU_TYPES = ("bbox", "segm")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
"""COCO's cap on detections per image and class; raised where an image holds more objects."""
AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""COCO's size classes, pixels."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int_]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """One class's detections by falling score, so that a resample is one weighted cumulative sum."""

    scores: Floats
    true: Bools
    """(IoU thresholds, detections): found an object that counts; ``false``: found none."""
    false: Bools
    image: Ints
    """Each detection's image, by its place in the order of ids."""
    rank: Ints
    """Each detection's place among its image's, from 0."""
    objects: Floats
    """Objects that count, per image."""


@dataclass(frozen=True)
class Matches:
    """Which result found which object, at one IoU; a lower bound on scores changes no pair."""

    found_by: Ints
    """Per annotation the number of its result, -1: none."""
    finds: Ints
    """Per result the number of its annotation, -1: none."""
    counts: Bools
    """Per result: False in an ignore region, and beyond ``maxDets``."""


def class_names(ground_truth: dict[str, Any]) -> list[str]:
    """Names in the order of category ids, which is COCOeval's."""
    return [c["name"] for c in sorted(ground_truth["categories"], key=lambda c: int(c["id"]))]


def evaluate_coco(ground_truth: dict[str, Any], results: list[dict[str, Any]], iou_type: str) -> COCOeval:
    """Match results to ground truth, neither of which is changed; not yet accumulated."""
    truths = [
        {"iscrowd": 0, "area": float(np.prod(a["bbox"][2:]))} | a | {"id": number}
        for number, a in enumerate(ground_truth["annotations"], start=1)
    ]
    found = [
        {**r, "id": number, "iscrowd": 0, "area": _area(r, iou_type)}
        for number, r in enumerate(results, start=1)
    ]
    most = max(Counter(a["image_id"] for a in truths).values(), default=0)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_index(ground_truth, truths), _index(ground_truth, found), iou_type)
        evaluation.params.maxDets = [1, 10, max(MAX_DETECTIONS, most)]
        evaluation.params.areaRng = [list(bounds) for bounds in AREAS.values()]
        evaluation.params.areaRngLbl = list(AREAS)
        evaluation.evaluate()
    return evaluation


def _area(result: dict[str, Any], iou_type: str) -> float:
    if iou_type == "segm":
        return float(mask_utils.area(result["segmentation"]))
    return float(np.prod(result["bbox"][2:]))


def _index(ground_truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": ground_truth["images"],
        "categories": ground_truth["categories"],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _images_of(evaluation: COCOeval, number: int, area: str) -> list[dict[str, Any] | None]:
    """COCOeval's matching of each image, for the class with this number and one size class."""
    images = len(evaluation.params.imgIds)
    start = (number * len(AREAS) + list(AREAS).index(area)) * images
    return evaluation.evalImgs[start : start + images]


def curves(evaluation: COCOeval, area: str = "all") -> list[Curve]:
    """One curve a class, for objects of one size class."""
    return [_curve(_images_of(evaluation, n, area)) for n in range(len(evaluation.params.catIds))]


def _curve(images: list[dict[str, Any] | None]) -> Curve:
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
    rank = np.concatenate([np.zeros(0, int), *(np.arange(n) for n in lengths)])[order]
    return Curve(scores[order], matched & ~ignored, ~matched & ~ignored, image, rank, objects)


def find_matches(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> Matches:
    """COCO's pairs of one class at mask IoU 0.5, the best score first."""
    evaluation = evaluate_coco(ground_truth, results, "segm")
    found_by = np.full(len(ground_truth["annotations"]), -1)
    finds, counts = np.full(len(results), -1), np.zeros(len(results), bool)
    for number in range(len(evaluation.params.catIds)):
        for e in filter(None, _images_of(evaluation, number, "all")):
            mine = np.asarray(e["dtIds"], int) - 1
            truth = np.asarray(e["dtMatches"][0], int) - 1
            counts[mine] = np.asarray(e["dtIgnore"][0]) == 0
            pairs = (truth >= 0) & counts[mine]
            finds[mine[pairs]], found_by[truth[pairs]] = truth[pairs], mine[pairs]
    return Matches(found_by, finds, counts)


def with_rle(ground_truth: dict[str, Any]) -> dict[str, Any]:
    """The dataset with every segmentation as compressed RLE, polygons drawn as pycocotools does."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in ground_truth["images"]}
    annotations = [
        a | {"segmentation": as_rle(a["segmentation"], *sizes[a["image_id"]])}
        for a in ground_truth["annotations"]
    ]
    return ground_truth | {"annotations": annotations}
