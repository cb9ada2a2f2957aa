"""Read COCO instances files and group their entries by image."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from blender.contract import UserError
from pipeline.data.values import has_mask

COCO_NAMES = {"pedestrian": "person"}
"""Name of a class -> its name in the COCO dataset, if the two differ."""


def read_coco(path: Path) -> dict[str, Any]:
    """Read a COCO instances file of any origin, without validating its entries.

    Only the structure is checked: a JSON object with the lists ``images``, ``annotations`` and
    ``categories``. ``pipeline.data.validation.check.load_validated_coco`` also checks the entries.

    Raises:
        UserError: the file is missing, cannot be read, is not JSON, or lacks one of the lists.
    """
    try:
        dataset = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a COCO instances file (JSON)") from None
    except RecursionError:
        raise UserError(f"{path}: not a COCO file: nested too deeply") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(dataset, dict):
        raise UserError(
            f"{path}: not a COCO instances file: the top level is {type(dataset).__name__}, not an object"
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(dataset.get(key), list):
            raise UserError(f"{path}: not a COCO instances file: it has no list '{key}'")
    return dataset


def group_by_image(
    entries: list[dict[str, Any]], threshold: float | None = None
) -> dict[int, list[dict[str, Any]]]:
    """Group annotations or COCO results by image.

    Args:
        entries: annotations or results.
        threshold: results with a lower score are left out; None: all entries stay, with or without a score.

    Returns:
        image_id -> entries; a defaultdict, so that an image without entries has [].
    """
    grouped: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        if threshold is None or entry["score"] >= threshold:
            grouped[entry["image_id"]].append(entry)
    return grouped


def count_without_mask(annotations: list[dict[str, Any]]) -> tuple[int, int]:
    """Count the objects that have a box and no mask, and all objects. Ignore regions are not counted."""
    objects = [a for a in annotations if a.get("iscrowd") != 1]
    return sum(not has_mask(a) for a in objects), len(objects)
