"""Results that were found before, by any model: a COCO results file, read without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.data.rle import as_rle
from pipeline.data.validation.masks import segmentation_error
from pipeline.data.values import is_int, is_number, read_box, short_repr


def read_results(path: Path, dataset: dict[str, Any]) -> list[dict[str, Any]]:
    """Results for a COCO dataset's images: masks as compressed RLE, boxes as given or around them.

    Raises:
        UserError: no such file, not a list of results, or one is faulty; names it.
    """
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of results") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable JSON: {short_repr(error)}") from None
    if not isinstance(table, list):
        raise UserError(f"{path}: not a COCO results file, which is a list")
    images = {image["id"]: image for image in dataset["images"]}
    categories = {category["id"] for category in dataset["categories"]}
    found = []
    for number, one in enumerate(table):
        if fault := _fault(one, images, categories):
            raise UserError(f"{path}: result {number}: {fault}")
        image = images[one["image_id"]]
        rle = as_rle(one["segmentation"], image["width"], image["height"])
        box = read_box(one) or mask_utils.toBbox(rle).tolist()
        kept = {key: one[key] for key in ("image_id", "category_id", "score")}
        found.append({**kept, "bbox": box, "segmentation": rle})
    return found


def _fault(one: Any, images: dict[int, dict[str, Any]], categories: set[int]) -> str | None:
    if not isinstance(one, dict):
        return f"{short_repr(one)} is no object"
    for key, known in (("image_id", images), ("category_id", categories)):
        if not is_int(one.get(key)) or one[key] not in known:
            return f"{key} {short_repr(one.get(key))} is none of the annotation file"
    if not is_number(one.get("score")):
        return f"score {short_repr(one.get('score'))} is no number"
    return segmentation_error(one, images[one["image_id"]])
