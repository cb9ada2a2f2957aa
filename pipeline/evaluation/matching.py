"""Match detections to ground truth once, and collect the data from which all figures are computed.

``evaluate_detections`` runs pycocotools' ``COCOeval`` once for boxes and once for masks. AP, AR, bootstrap
intervals, thresholds, calibration, confusion and the breakdown by scene factor are all computed from the
``EvaluationResult`` that it returns.

Objects and detections need a box; a mask is optional. Masks are measured if every detection has one, on the
objects that have one; the box of any other object is an ignore region there.

The matching is COCO's, with three differences:

- annotations are renumbered from 1, because pycocotools reads the id 0 as "not matched";
- ``maxDets`` is never below the number of objects in an image;
- the size class of a detected mask depends on the area of the mask; pycocotools uses the area of the box if a
  result has both.

Detections are COCO results: dicts with ``image_id``, ``category_id``, ``bbox`` (x, y, w, h in pixels),
``score`` and, unless they are boxes, ``segmentation`` (compressed RLE).
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

from pipeline.data.coco_io import count_without_mask
from pipeline.data.values import has_mask
from pipeline.evaluation.masks import boxes_as_ignore_regions

IOU_TYPES = ("bbox", "segm")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
"""COCO's limit of detections per image and class; higher where an image has more objects."""
AREAS = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}
"""COCO's size classes: name to the smallest and the largest area in square pixels."""
MISSED, IGNORED = -1, -2
"""Values of ``ThresholdedMatches.detection_of`` for an object without a detection and for an ignore
region."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int_]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RankedDetections:
    """The N detections of one class and size class in descending order of score, at T IoU thresholds."""

    scores: Floats
    """(N,)"""
    true_positive: Bools
    """(T, N) Whether the detection is matched to an object of this size class."""
    false_positive: Bools
    """(T, N) Whether the detection is not matched. Detections in ignore regions are in neither array."""
    image: Ints
    """(N,) Index of the detection's image among the images sorted by id."""
    rank: Ints
    """(N,) Rank of the detection by score in its image, from 0."""
    detection: Ints
    """(N,) Index of the detection in ``EvaluationResult.detections``."""
    objects: Floats
    """(images,) Number of objects in each image, without ignore regions."""


@dataclass(frozen=True)
class IouTypeResult:
    """COCOeval's result for boxes or for masks: T IoU thresholds, R recalls, K classes, A size classes."""

    precision: Floats
    """(T, R, K, A) Interpolated precision with all detections; -1 where there is no object."""
    recall: Floats
    """(T, K, A, 3) Recall with at most 1, 10 and all detections per image; -1 where there is no object."""
    ranked: dict[str, tuple[RankedDetections, ...]]
    """Size class to an entry for each class."""


@dataclass(frozen=True)
class ThresholdedMatches:
    """The matches of the detections whose score reaches a threshold."""

    detection_of: Ints
    """(annotations,) Index of the detection matched to the annotation, or ``MISSED``, or ``IGNORED``."""
    counted: Bools
    """(detections,) False for a score below the threshold and in ignore regions."""
    true_positive: Bools
    """(detections,) Whether the detection counts and is matched to an object of its class."""

    @property
    def missed(self) -> Bools:
        """(annotations,) Objects without a detection: the false negatives."""
        return self.detection_of == MISSED

    @property
    def false_positive(self) -> Bools:
        """(detections,) Detections that count and are matched to no object of their class."""
        return self.counted & ~self.true_positive


@dataclass(frozen=True)
class Matches:
    """COCO's matches of detections to objects of the same class, at IoU 0.5."""

    detection_of: Ints
    """(annotations,) Index of the detection that is matched to the annotation; -1: none."""
    annotation_of: Ints
    """(detections,) Index of the annotation that is matched to the detection; -1: none."""
    counted: Bools
    """(detections,) False for a detection in an ignore region or beyond ``maxDets``."""
    scores: Floats
    """(detections,)"""
    ignored: Bools
    """(annotations,) Whether the annotation is an ignore region."""

    def at_threshold(self, threshold: float) -> ThresholdedMatches:
        """Leave out the detections with a lower score than ``threshold``. The other matches do not change."""
        counted = self.counted & (self.scores >= threshold)
        matched = np.array([number >= 0 and bool(counted[number]) for number in self.detection_of], bool)
        detection_of = np.where(self.ignored, IGNORED, np.where(matched, self.detection_of, MISSED))
        return ThresholdedMatches(detection_of, counted, counted & (self.annotation_of >= 0))


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation of detections against ground truth, from which all figures are computed."""

    ground_truth: dict[str, Any]
    """The COCO dataset."""
    detections: list[dict[str, Any]]
    """COCO results."""
    class_names: tuple[str, ...]
    """Names of the classes in ascending order of category id. All arrays have this order."""
    iou_types: dict[str, IouTypeResult]
    """Results by IoU type: "bbox" (unless left out) and "segm" (unless there are boxes alone)."""
    iou_type: str
    """IoU type of ``matches`` and of the diagnosis: "segm" if all objects and detections have masks, else
    "bbox"."""
    matches: Matches
    """Matches by ``iou_type``."""


def evaluate_detections(
    ground_truth: dict[str, Any], detections: list[dict[str, Any]], boxes: bool = True
) -> EvaluationResult:
    """Match detections to ground truth, once for masks and once for boxes. Neither argument is changed.

    Args:
        ground_truth: a COCO dataset.
        detections: COCO results for its images and categories.
        boxes: evaluate boxes in addition to masks. Without masks, boxes are always evaluated.
    """
    without_mask, objects = count_without_mask(ground_truth["annotations"])
    has_masks = all(map(has_mask, detections))
    iou_type = "segm" if has_masks and not without_mask else "bbox"
    evals = {}
    if boxes or iou_type == "bbox":
        evals["bbox"] = _run_coco_eval(ground_truth, detections, "bbox")
    if has_masks and (without_mask < objects or not objects):
        evals["segm"] = _run_coco_eval(boxes_as_ignore_regions(ground_truth), detections, "segm")
    names = tuple(c["name"] for c in sorted(ground_truth["categories"], key=lambda c: int(c["id"])))
    matches = _matches(evals[iou_type], ground_truth, detections)
    results = {name: _collect(coco_eval) for name, coco_eval in evals.items()}
    return EvaluationResult(ground_truth, detections, names, results, iou_type, matches)


# ------------------------------------------------------------------------------ COCOeval


def _run_coco_eval(ground_truth: dict[str, Any], detections: list[dict[str, Any]], iou_type: str) -> COCOeval:
    """Match and accumulate with pycocotools, without its terminal output."""
    annotations = [
        {"iscrowd": 0, "area": float(np.prod(a["bbox"][2:]))} | a | {"id": number}
        for number, a in enumerate(ground_truth["annotations"], start=1)
    ]
    results = [
        {**d, "id": number, "iscrowd": 0, "area": detection_area(d, iou_type)}
        for number, d in enumerate(detections, start=1)
    ]
    most_objects = max(Counter(a["image_id"] for a in annotations).values(), default=0)
    with contextlib.redirect_stdout(io.StringIO()):
        coco_eval = COCOeval(_coco(ground_truth, annotations), _coco(ground_truth, results), iou_type)
        coco_eval.params.maxDets = [1, 10, max(MAX_DETECTIONS, most_objects)]
        coco_eval.params.areaRng = [list(bounds) for bounds in AREAS.values()]
        coco_eval.params.areaRngLbl = list(AREAS)
        coco_eval.evaluate()
        coco_eval.accumulate()
    return coco_eval


def _collect(coco_eval: COCOeval) -> IouTypeResult:
    """Extract the tables that the figures need; the others are large."""
    return IouTypeResult(
        precision=coco_eval.eval["precision"][..., -1],  # the last axis is the limit of detections
        recall=coco_eval.eval["recall"],
        ranked={area: _ranked_detections(coco_eval, area) for area in AREAS},
    )


def detection_area(detection: dict[str, Any], iou_type: str) -> float:
    """Compute the area of the detected mask or box in square pixels."""
    if iou_type == "segm":
        return float(mask_utils.area(detection["segmentation"]))
    return float(np.prod(detection["bbox"][2:]))


def _coco(ground_truth: dict[str, Any], annotations: list[dict[str, Any]]) -> COCO:
    """Build pycocotools' index of annotations, or of results, over the images of a dataset."""
    coco = COCO()
    coco.dataset = {
        "images": ground_truth["images"],
        "categories": ground_truth["categories"],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _image_evaluations(coco_eval: COCOeval, class_index: int, area: str) -> list[dict[str, Any] | None]:
    """Return COCOeval's matches of one class and one size class in each image, in ascending order of id."""
    images = len(coco_eval.params.imgIds)
    start = (class_index * len(AREAS) + list(AREAS).index(area)) * images
    return coco_eval.evalImgs[start : start + images]


def _ranked_detections(coco_eval: COCOeval, area: str) -> tuple[RankedDetections, ...]:
    """Rank the detections of each class by score, evaluated on objects of one size class."""
    classes = range(len(coco_eval.params.catIds))
    return tuple(_rank(_image_evaluations(coco_eval, number, area)) for number in classes)


def _rank(images: list[dict[str, Any] | None]) -> RankedDetections:
    """Concatenate the matches of all images and sort them in descending order of score."""
    known = [(index, e) for index, e in enumerate(images) if e is not None]
    lengths = [len(e["dtScores"]) for _, e in known]
    objects = np.zeros(len(images))
    for index, e in known:
        objects[index] = np.count_nonzero(np.asarray(e["gtIgnore"]) == 0)
    scores = np.concatenate([np.zeros(0), *(e["dtScores"] for _, e in known)])
    # COCOeval sorts with the same stable algorithm, so that equal scores get the same order.
    order = np.argsort(-scores, kind="mergesort")
    empty = np.zeros((len(IOU_THRESHOLDS), 0))
    matched = np.concatenate([empty, *(e["dtMatches"] for _, e in known)], axis=1)[:, order] > 0
    ignored = np.concatenate([empty, *(e["dtIgnore"] for _, e in known)], axis=1)[:, order] > 0
    image = np.repeat(np.array([index for index, _ in known], int), lengths)[order]
    rank = np.concatenate([np.zeros(0, int), *(np.arange(n) for n in lengths)])[order]
    detection = (
        np.concatenate([np.zeros(0, int), *(np.asarray(e["dtIds"], int) for _, e in known)])[order] - 1
    )
    return RankedDetections(
        scores[order], matched & ~ignored, ~matched & ~ignored, image, rank, detection, objects
    )


def _matches(coco_eval: COCOeval, ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> Matches:
    """Extract the matches at the first IoU threshold, 0.5, for objects of any size."""
    detection_of = np.full(len(ground_truth["annotations"]), -1)
    annotation_of, counted = np.full(len(detections), -1), np.zeros(len(detections), bool)
    for number in range(len(coco_eval.params.catIds)):
        for e in filter(None, _image_evaluations(coco_eval, number, "all")):
            detected = np.asarray(e["dtIds"], int) - 1
            annotated = np.asarray(e["dtMatches"][0], int) - 1
            counted[detected] = np.asarray(e["dtIgnore"][0]) == 0
            pairs = (annotated >= 0) & counted[detected]
            annotation_of[detected[pairs]] = annotated[pairs]
            detection_of[annotated[pairs]] = detected[pairs]
    scores = np.array([d["score"] for d in detections], float)
    ignored = np.array([a.get("iscrowd", 0) for a in ground_truth["annotations"]], bool)
    return Matches(detection_of, annotation_of, counted, scores, ignored)
