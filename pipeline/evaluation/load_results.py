"""Read a COCO results file of any model, and check each result before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.data.rle import as_rle
from pipeline.data.validation.masks import SEGMENTATION_RULES, read_box
from pipeline.data.validation.rules import ERROR, broken
from pipeline.data.values import is_int, is_number, short


def load_results(path: Path, dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the results for a COCO dataset. Masks become compressed RLE; a missing box is taken from the mask.

    Args:
        path: a JSON list of COCO results.
        dataset: the COCO dataset whose image and category ids the results use.

    Raises:
        UserError: the file is missing, is no list of results, or one result is faulty; names it.
    """
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a COCO results file (JSON)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {short(error)}") from None
    if not isinstance(table, list):
        raise UserError(f"{path}: not a COCO results file: the top level must be a list")
    images = {image["id"]: image for image in dataset["images"]}
    categories = {category["id"] for category in dataset["categories"]}
    detections = []
    for number, result in enumerate(table):
        if fault := _first_fault(result, images, categories):
            raise UserError(f"{path}: result {number}: {fault}")
        image = images[result["image_id"]]
        rle = as_rle(result["segmentation"], image["width"], image["height"])
        box = read_box(result) or mask_utils.toBbox(rle).tolist()
        fields = {key: result[key] for key in ("image_id", "category_id", "score")}
        detections.append({**fields, "bbox": box, "segmentation": rle})
    return detections


def _first_fault(result: Any, images: dict[int, dict[str, Any]], categories: set[int]) -> str | None:
    """The first error of one result, as a message; None if there is none."""
    if not isinstance(result, dict):
        return f"{short(result)} is not an object"
    for key, known in (("image_id", images), ("category_id", categories)):
        if not is_int(result.get(key)) or result[key] not in known:
            return f"{key} {short(result.get(key))} is not in the annotation file"
    if not is_number(result.get("score")):
        return f"score {short(result.get('score'))} is not a number"
    faults = broken(SEGMENTATION_RULES, result, images[result["image_id"]])
    return next((fault.message for fault in faults if fault.severity == ERROR), None)
