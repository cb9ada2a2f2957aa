"""Read a COCO results file of any model, and check each result before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.data.rle import as_rle
from pipeline.data.validation.masks import segmentation_error
from pipeline.data.values import is_int, is_number, read_box, short_repr


def load_results(path: Path, dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """Read COCO results. Masks become compressed RLE; a missing box is computed from the mask.

    Args:
        path: a JSON list of COCO results.
        dataset: the COCO dataset whose image and category ids the results use.

    Raises:
        UserError: the file is missing, is not a list of results, or a result is invalid; the message names
        it.
    """
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a COCO results file (JSON)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {short_repr(error)}") from None
    if not isinstance(table, list):
        raise UserError(f"{path}: not a COCO results file: the top level must be a list")
    images = {image["id"]: image for image in dataset["images"]}
    categories = {category["id"] for category in dataset["categories"]}
    detections = []
    for number, result in enumerate(table):
        if message := _first_error(result, images, categories):
            raise UserError(f"{path}: result {number}: {message}")
        image = images[result["image_id"]]
        rle = as_rle(result["segmentation"], image["width"], image["height"])
        box = read_box(result) or mask_utils.toBbox(rle).tolist()
        fields = {key: result[key] for key in ("image_id", "category_id", "score")}
        detections.append({**fields, "bbox": box, "segmentation": rle})
    return detections


def _first_error(result: Any, images: dict[int, dict[str, Any]], categories: set[int]) -> str | None:
    """Return a message for the first error of a result; None if it is valid."""
    if not isinstance(result, dict):
        return f"{short_repr(result)} is not an object"
    for key, known in (("image_id", images), ("category_id", categories)):
        if not is_int(result.get(key)) or result[key] not in known:
            return f"{key} {short_repr(result.get(key))} is not in the annotation file"
    if not is_number(result.get("score")):
        return f"score {short_repr(result.get('score'))} is not a number"
    return segmentation_error(result, images[result["image_id"]])
