"""The rule for boxes that are written as corners. No mask shows it, so all boxes of the file are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.data.validation.forms import parse_box
from pipeline.data.validation.rules import (
    DATASET,
    WARNING,
    Change,
    Context,
    Entry,
    Violation,
    make_context,
    rule,
)
from pipeline.data.values import has_mask, has_valid_size, is_int, short_repr

_FEWEST, _SHARE_BEYOND = 3, 0.25
"""Fewest boxes that are compared, and least share of them that reach beyond the image."""


def _corner_boxes(dataset: Entry, context: Context) -> dict[int, list[float]]:
    """Find the boxes without a mask that are [left, top, right, bottom].

    They are if all of them lie in their images as corners, and many reach beyond as [x, y, width, height].

    Returns:
        Position in the list of annotations to [x, y, width, height]; {} if they are not corners.
    """
    boxes, beyond = {}, 0
    for position, a in enumerate(dataset["annotations"]):
        if not isinstance(a, dict) or has_mask(a) or (box := parse_box(a)) is None:
            continue
        image = context.images.get(a["image_id"]) if is_int(a.get("image_id")) else None
        if image is None or not has_valid_size(image):
            continue
        left, top, right, bottom = box
        width, height = image["width"] + 1, image["height"] + 1  # one pixel more, for rounding
        if not (-1 <= left < right <= width and -1 <= top < bottom <= height):
            return {}
        beyond += left + right > width or top + bottom > height
        boxes[position] = [left, top, right - left, bottom - top]
    return boxes if len(boxes) >= _FEWEST and beyond >= _SHARE_BEYOND * len(boxes) else {}


def convert_corner_boxes(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Write corner boxes as [x, y, width, height]."""
    boxes = _corner_boxes(dataset, make_context(dataset))
    annotations = [a | {"bbox": boxes[n]} if n in boxes else a for n, a in enumerate(dataset["annotations"])]
    places = [f"annotation {short_repr(dataset['annotations'][n].get('id'))}" for n in boxes]
    changes += [Change("bbox-corners", place) for place in places]
    return dataset | {"annotations": annotations}


@rule(
    "bbox-corners",
    DATASET,
    severity=WARNING,
    advice="write [x, y, width, height] in pixels",
    dataset_fix=convert_corner_boxes,
)
def _bbox_corners(dataset: Entry, context: Context) -> Iterator[Violation]:
    if boxes := _corner_boxes(dataset, context):
        yield Violation(f"{len(boxes)} boxes without a mask seem to be [left, top, right, bottom]")
