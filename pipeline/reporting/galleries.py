"""Galleries of the report: the best and the worst images, and crops of the mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.data.coco_io import group_by_image
from pipeline.data.images import find_image, read_rgb
from pipeline.evaluation.confusion import IOU, compute_ious
from pipeline.evaluation.factors import UNITS, Factors, detection_factors, object_factors
from pipeline.evaluation.matching import EvaluationResult
from pipeline.reporting.mistakes import Mistake
from pipeline.viz.crops import crop_window, data_uri, draw_crop
from pipeline.viz.overlays import (
    SHAPES,
    detection_overlays,
    draw_overlays,
    ground_truth_overlays,
    readable,
)

_IMAGE_WIDTH, _IMAGE_LABEL = 560, 19
"""Width of an image and height of its labels, in pixels."""


@dataclass(frozen=True)
class ImageScore:
    """The quality of one image at a score threshold and IoU 0.5."""

    quality: float
    """Panoptic quality, 0 to 1."""
    detected: int
    missed: int
    false_positives: int


@dataclass(frozen=True)
class ImagePair:
    """One image of the gallery: the ground truth beside the detections."""

    file_name: str
    score: ImageScore
    ground_truth: str
    """JPEG as a data: URI."""
    detections: str


@dataclass(frozen=True)
class MistakeCrop:
    """One mistake of the gallery: the ground truth beside the detections."""

    file_name: str
    text: str
    """Short description of the mistake."""
    factors: dict[str, str]
    """Scene factors of the object or detection."""
    ground_truth: str
    """JPEG as a data: URI."""
    detections: str


def image_scores(evaluation: EvaluationResult, threshold: float) -> dict[int, ImageScore]:
    """Compute the panoptic quality of each image (Kirillov et al. 2019): sum of IoUs / (TP + FP/2 + FN/2).

    A detection with at least half of its area in an ignore region of any class does not count.

    Args:
        evaluation: the evaluation.
        threshold: the score threshold of detections.

    Returns:
        Image id to score, without the images that have neither an object nor a detection.
    """
    matches = evaluation.matches.at_threshold(threshold)
    annotations, detections = evaluation.ground_truth["annotations"], evaluation.detections
    ious: dict[int, list[float]] = {image["id"]: [] for image in evaluation.ground_truth["images"]}
    missed, false_positives = dict.fromkeys(ious, 0), dict.fromkeys(ious, 0)
    # The highest score first, as in matching, because the last digit of the sum of IoUs depends on the order.
    pairs = [(int(d), n) for n, d in enumerate(matches.detection_of) if d >= 0]
    for detection, annotation in sorted(pairs, key=lambda pair: -detections[pair[0]]["score"]):
        entry = annotations[annotation]
        ious[entry["image_id"]].append(
            float(compute_ious([detections[detection]], [entry], evaluation.iou_type)[0, 0])
        )
    for annotation in np.flatnonzero(matches.missed):
        missed[annotations[annotation]["image_id"]] += 1
    ignore_regions = group_by_image([a for a in annotations if a.get("iscrowd")])
    for detection in np.flatnonzero(matches.false_positive):
        entry = detections[detection]
        shares = compute_ious([entry], ignore_regions[entry["image_id"]], evaluation.iou_type, crowd=True)
        false_positives[entry["image_id"]] += int(shares.max(initial=0) < IOU)
    scores = {}
    for image_id, matched in ious.items():
        errors = false_positives[image_id] + missed[image_id]
        if matched or errors:
            quality = sum(matched) / (len(matched) + errors / 2)
            scores[image_id] = ImageScore(quality, len(matched), missed[image_id], false_positives[image_id])
    return scores


def best_and_worst(
    evaluation: EvaluationResult, threshold: float, count: int, images: Path
) -> tuple[list[ImagePair], list[ImagePair]]:
    """Draw the ``count`` best and the ``count`` worst images; no image is in both lists.

    Args:
        evaluation: the evaluation.
        threshold: the score threshold of detections.
        images: folder of the image files.
    """
    scores = image_scores(evaluation, threshold)
    scored = [i for i in evaluation.ground_truth["images"] if i["id"] in scores]

    def rank(image: dict[str, Any]) -> tuple[float, int, int, int]:
        """Sort by quality; among equally good images, those with more objects come first."""
        score = scores[image["id"]]
        return (-score.quality, -score.detected, score.missed + score.false_positives, image["id"])

    scored.sort(key=rank)
    count = min(count, len(scored) // 2)
    annotations = group_by_image(evaluation.ground_truth["annotations"])
    detections = group_by_image(evaluation.detections, threshold)
    categories = evaluation.ground_truth["categories"]

    def draw(image: dict[str, Any]) -> ImagePair:
        resized = _read_resized(images, image)
        sides = (
            ground_truth_overlays(image, annotations[image["id"]], categories),
            detection_overlays(detections[image["id"]], categories),
        )
        uris = [data_uri(draw_overlays(resized, side, label_size=_IMAGE_LABEL)) for side in sides]
        return ImagePair(image["file_name"], scores[image["id"]], *uris)

    return [draw(image) for image in scored[:count]], [draw(image) for image in scored[::-1][:count]]


def mistake_crops(
    evaluation: EvaluationResult, mistakes: list[Mistake], threshold: float, images: Path
) -> list[MistakeCrop]:
    """Crop each mistake from its image, and draw the ground truth and the detections.

    Args:
        evaluation: the evaluation.
        mistakes: the mistakes.
        threshold: the score threshold of the detections that are drawn.
        images: folder of the image files.
    """
    dataset = evaluation.ground_truth
    annotations, detections = (
        group_by_image(dataset["annotations"]),
        group_by_image(evaluation.detections, threshold),
    )
    records = {image["id"]: image for image in dataset["images"]}
    names = {c["id"]: readable(c["name"]) for c in dataset["categories"]}
    factors_of = object_factors(dataset)
    crops = []
    for mistake in mistakes:
        image = records[mistake.image_id]
        annotation = None if mistake.annotation is None else dataset["annotations"][mistake.annotation]
        detection = None if mistake.detection is None else evaluation.detections[mistake.detection]
        if mistake.annotation is not None:
            factors = factors_of[mistake.annotation]
        else:
            factors = detection_factors(detection or {}, image, evaluation.iou_type)
        window = crop_window([entry["bbox"] for entry in (annotation, detection) if entry], image)
        pixels = read_rgb(find_image(images, image["file_name"]), (image["width"], image["height"]))
        sides = (
            ground_truth_overlays(image, annotations[mistake.image_id], dataset["categories"]),
            detection_overlays(detections[mistake.image_id], dataset["categories"]),
        )
        uris = [data_uri(draw_crop(pixels, overlays, window)) for overlays in sides]
        text = _describe(mistake, annotation, detection, names, SHAPES[evaluation.iou_type])
        crops.append(MistakeCrop(image["file_name"], text, _factor_texts(factors), *uris))
    return crops


def _read_resized(images: Path, image: dict[str, Any]) -> Image.Image:
    """Read an image and resize it to the gallery's width."""
    pixels = read_rgb(find_image(images, image["file_name"]), (image["width"], image["height"]))
    size = (_IMAGE_WIDTH, max(1, round(_IMAGE_WIDTH * image["height"] / image["width"])))
    return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)


def _describe(
    mistake: Mistake,
    annotation: dict[str, Any] | None,
    detection: dict[str, Any] | None,
    names: dict[int, str],
    shape: str,
) -> str:
    """Describe a mistake in a few words."""
    true_class = names[annotation["category_id"]] if annotation else ""
    detected = f"{names[detection['category_id']]} {detection['score']:.2f}" if detection else ""
    return {
        "false_positive": f"false positive: {detected}",
        "missed": f"{true_class} missed",
        "confused": f"{true_class} detected as {detected}",
        "mask": f"{detected}, {shape} IoU {mistake.iou or 0:.2f}",
    }[mistake.kind]


def _factor_texts(factors: Factors) -> dict[str, str]:
    """Format factors with units, for readers."""
    texts = {k: v if isinstance(v, str) else f"{v:.3g}{UNITS.get(k, '')}" for k, v in factors.items()}
    return {readable(k): readable(v) for k, v in sorted(texts.items())}
