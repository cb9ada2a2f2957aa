"""Read values that are written in another form than COCO's, but without doubt about what they mean.

Tables and text formats turn numbers and lists into text; some tools write points as pairs, or RLE in a list.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.data.polygons import flatten_points
from pipeline.data.values import is_number, read_box, to_int


def parse_texts(value: Any) -> Any:
    """Return the JSON value of a text, also of each text in a list; anything else as it is."""
    if isinstance(value, list):
        return [parse_texts(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def parse_box(annotation: dict[str, Any]) -> list[float] | None:
    """Return the ``bbox`` (x, y, width, height), also if it is written as text; None if it is malformed."""
    return read_box({"bbox": parse_texts(annotation.get("bbox"))})


def parse_segmentation(segmentation: Any) -> Any:
    """Return polygons or RLE in COCO's form; None if the segmentation has no form that is known."""
    value = parse_texts(segmentation)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        return value | {
            key: [number if (whole := to_int(number)) is None else whole for number in value[key]]
            for key in ("size", "counts")
            if isinstance(value.get(key), list)
        }
    if not isinstance(value, list):
        return None
    if all(map(is_number, value)) or are_points(value):
        return [flatten_points(value)]
    polygons = [flatten_points(polygon) for polygon in value]
    return None if None in polygons else polygons


def are_points(value: list[Any]) -> bool:
    """Return whether a list contains three or more pairs: the points of one polygon."""
    return len(value) > 2 and all(isinstance(point, list) and len(point) == 2 for point in value)
