"""Explain why few or no detections match an object: wrong ids, or boxes of another form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from blender.contract import UserError
from pipeline.data.coco_io import group_by_image
from pipeline.evaluation.matching import EvaluationResult
from pipeline.evaluation.results.overlap import count_hit_objects

_FEW, _ENOUGH = 0.25, 0.5
"""Share of the objects with a detection of their class below which an explanation is looked for, and share of
the objects that must have a box under an assumption for it to be the explanation."""

Entry = dict[str, Any]


def explain_no_match(evaluation: EvaluationResult, path: object) -> list[str]:
    """Look for the reason why few or no detections match an object.

    Args:
        evaluation: the evaluation of a results file.
        path: the file, for messages.

    Returns:
        A note, or [] if enough detections match or there is nothing to match.

    Raises:
        UserError: no detection matches, but most would if the ids or boxes meant something else; so they are
            wrong, and an AP of 0 would mislead.
    """
    objects = [a for a in evaluation.ground_truth["annotations"] if not a.get("iscrowd")]
    hits = count_hit_objects(group_by_image(evaluation.detections), objects, same_category=True)
    if not objects or not evaluation.detections or hits >= _FEW * len(objects):
        return []
    any_match = _any_match(evaluation)
    for reason, boxes in _assumptions(evaluation):
        would_hit = count_hit_objects(group_by_image(boxes), objects)
        if would_hit >= _ENOUGH * len(objects):
            if not any_match:
                raise UserError(f"{path}: no result matches an object: {reason}")
            count = f"{hits} of {len(objects)} objects have a result, but {would_hit} would have one"
            return [f"{count} under an assumption: {reason}"]
    if any_match:
        return []
    return ["no result overlaps an object of its class with an IoU of at least 0.5: every AP is 0"]


def _any_match(evaluation: EvaluationResult) -> bool:
    return any(
        ranked.true_positive.any()
        for result in evaluation.iou_types.values()
        for ranked in result.ranked["all"]
    )


def _assumptions(evaluation: EvaluationResult) -> Iterator[tuple[str, list[Entry]]]:
    """Yield what may be wrong with the results, and the boxes as they would be if it were so."""
    detections = evaluation.detections
    images = {image["id"]: image for image in evaluation.ground_truth["images"]}
    yield "their category ids disagree with the annotation file; compare both lists of categories", detections
    order = sorted(images, key=lambda image_id: str(images[image_id]["file_name"]))
    used = sorted({d["image_id"] for d in detections})
    moves: dict[str, dict[int, int]] = {
        "image_id is one too low": {image_id: image_id + 1 for image_id in images},
        "image_id is one too high": {image_id: image_id - 1 for image_id in images},
        "image_id numbers the images by file name, from 1": dict(enumerate(order, start=1)),
        "image_id numbers the images by file name, from 0": dict(enumerate(order)),
        "image_id numbers the images in another order": dict(zip(used, order, strict=False)),
    }
    for reason, move in moves.items():
        yield (
            f"{reason}; write the ids of the annotation file, or file_name",
            [d | {"image_id": move[d["image_id"]]} for d in detections if d["image_id"] in move],
        )
    forms: dict[str, Callable[[list[float], Entry], list[float]]] = {
        "bbox is [left, top, right, bottom]": lambda b, image: [b[0], b[1], b[2] - b[0], b[3] - b[1]],
        "bbox is [centre x, centre y, width, height]": lambda b, image: [
            b[0] - b[2] / 2, b[1] - b[3] / 2, b[2], b[3]
        ],
        "bbox is in shares of the image": lambda b, image: [
            b[0] * image["width"], b[1] * image["height"], b[2] * image["width"], b[3] * image["height"]
        ],
    }  # fmt: skip
    for reason, form in forms.items():
        yield (
            f"{reason}; write [x, y, width, height] in pixels",
            [d | {"bbox": form(d["bbox"], images[d["image_id"]])} for d in detections],
        )
