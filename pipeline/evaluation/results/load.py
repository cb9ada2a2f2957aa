"""Read a COCO results file of any tool, match it to a dataset, and check each result before it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from blender.contract import UserError
from pipeline.data.rle import as_rle
from pipeline.data.validation.masks import segmentation_error
from pipeline.data.values import has_mask, is_number, read_box, short_repr
from pipeline.evaluation.results.categories import match_categories
from pipeline.evaluation.results.images import match_images


@dataclass(frozen=True)
class LoadedResults:
    """The results of a file under the ids of a dataset."""

    detections: list[dict[str, Any]]
    """COCO results with ``bbox``; ``segmentation`` (compressed RLE) only where the file has a mask."""
    notes: list[str]
    """What the user should know: which ids were read how, and how many results were left out."""


def load_results(
    path: Path, dataset: dict[str, Any], class_of: Mapping[str, str] | None = None
) -> LoadedResults:
    """Read COCO results. Masks become compressed RLE; a missing box is computed from the mask.

    Args:
        path: a JSON list of COCO results, JSON lines, or a COCO dataset whose annotations have scores.
        dataset: the COCO dataset that the results are for.
        class_of: category names that are renamed (``--map``): old to new name.

    Raises:
        UserError: the file is missing, is not a list of results, a result is invalid, or no result is for an
            image and a category of the dataset; the message names the result or says why.
    """
    table = _read_table(path)
    image_ids, notes = match_images(table, dataset, path)
    category_ids, category_notes = match_categories(table, dataset, class_of or {}, path)
    images = {image["id"]: image for image in dataset["images"]}
    detections = []
    for number, (result, image_id, category_id) in enumerate(
        zip(table, image_ids, category_ids, strict=True)
    ):
        if image_id is None or category_id is None:
            continue
        if message := _first_error(result, images[image_id]):
            raise UserError(f"{path}: result {number}: {message}")
        detections.append(_detection(result, images[image_id], category_id))
    if table and not detections:
        raise UserError(f"{path}: no result is for an image and a category of the annotation file")
    return LoadedResults(detections, notes + category_notes + ([] if table else [f"{path}: has no results"]))


def _read_table(path: Path) -> list[dict[str, Any]]:
    """Read the results of a file as a list of objects, or raise a ``UserError``."""
    try:
        data = path.read_bytes()
        table = _parse(data.decode(json.detect_encoding(data)))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a COCO results file (JSON)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {short_repr(error)}") from None
    if isinstance(table, dict) and isinstance(table.get("annotations"), list):
        table = _results_of_dataset(table)
    if not isinstance(table, list):
        raise UserError(f"{path}: not a COCO results file: the top level must be a list of results")
    for number, result in enumerate(table):
        if not isinstance(result, dict):
            raise UserError(f"{path}: result {number}: {short_repr(result)} is not an object")
    return table


def _parse(text: str) -> Any:
    """Parse JSON or, if that fails, JSON lines; raise a ``ValueError`` if both fail."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return json.loads(text)
    except ValueError as error:
        try:
            return [json.loads(line) for line in lines or [text]]
        except ValueError:
            raise error from None


def _results_of_dataset(dataset: dict[str, Any]) -> list[Any]:
    """Return the annotations of a COCO dataset with the names of their images and categories.

    Its ids may be others than those of the dataset that is evaluated.
    """
    file_names = _names_by_id(dataset.get("images"), "file_name")
    categories = _names_by_id(dataset.get("categories"), "name")
    return [
        _if_known("file_name", file_names, result.get("image_id"))
        | _if_known("category_name", categories, result.get("category_id"))
        | result
        if isinstance(result, dict)
        else result
        for result in dataset["annotations"]
    ]


def _names_by_id(entries: Any, key: str) -> dict[str, Any]:
    """Index the names of a list of entries by their ids as text."""
    entries = entries if isinstance(entries, list) else []
    return {str(e["id"]): e[key] for e in entries if isinstance(e, dict) and "id" in e and key in e}


def _if_known(key: str, names: dict[str, Any], number: Any) -> dict[str, Any]:
    return {key: names[str(number)]} if str(number) in names else {}


def _first_error(result: dict[str, Any], image: dict[str, Any]) -> str | None:
    """Return a message for the first error of a result; None if it is valid."""
    if not is_number(result.get("score")):
        return f"score {short_repr(result.get('score'))} is not a number"
    if has_mask(result):
        return segmentation_error(result, image)
    box = read_box(result)
    if box is None:
        return f"it has no mask, and its bbox is {short_repr(result.get('bbox'))}, not four numbers"
    if min(box[2:]) < 0:
        return (
            f"bbox {short_repr(result['bbox'])} has a negative width or height; it is [x, y, width, height]"
        )
    return None


def _detection(result: dict[str, Any], image: dict[str, Any], category_id: int) -> dict[str, Any]:
    """Return a valid result under the ids of the dataset, with a box."""
    detection = {"image_id": image["id"], "category_id": category_id, "score": result["score"]}
    box = read_box(result)
    if not has_mask(result):
        return {**detection, "bbox": box}
    rle = as_rle(result["segmentation"], image["width"], image["height"])
    return {**detection, "bbox": box or mask_utils.toBbox(rle).tolist(), "segmentation": rle}
