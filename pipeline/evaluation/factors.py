"""Scene factors of objects and detections: distance, size, lighting, lens, layout, variant, ...

Renders describe the complete scene. For any COCO file there are the size, truncation and neighbours of its
objects. A factor's value is a number, which is sorted into bins, or a word. A factor that a file does not
describe is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from pipeline.data.coco_io import group_by_image
from pipeline.data.values import is_number
from pipeline.evaluation.matching import detection_area

FactorValue = float | str
Factors = dict[str, FactorValue]
"""Factor name to value."""
Binner = Callable[[FactorValue], tuple[int, str]]
"""Maps a factor's value to its bin: the bin's position along the factor, and its name."""

EDGES: dict[str, tuple[float, ...]] = {
    "distance": (2, 3, 4, 6, 8, 12, 16),
    "size": (16, 32, 64, 96, 128, 192),
    "visible fraction": (0.25, 0.5, 0.75, 0.95),
    "camera height": (0.6, 1.0, 1.4, 1.8, 2.5),
    "camera pitch": (-30, -10, -3, 3, 10),
    "field of view": (50, 70, 90, 110, 140),
}
"""Edges of the bins, the same for every dataset, so that runs can be compared. The bins of other numbers are
their terciles."""
UNITS = {"distance": " m", "size": " px", "camera height": " m", "camera pitch": "°", "field of view": "°"}
"""Unit of a factor, as text after the number."""

_MOST_WORDS = 20
"""Number of different words above which a factor is an identifier (of a body, of a file), not a property."""
_IDENTIFIERS = {"file_name", "coco_url", "flickr_url", "date_captured", "scene"}
"""Keys of a COCO image that identify it and are not factors."""
_NEIGHBOUR_REACH = 0.5
"""Distance below which an object is a neighbour, as a share of the longer side of the object's box."""


def object_factors(dataset: dict[str, Any]) -> list[Factors]:
    """Return the factors of each annotation and its image, in the order of the dataset."""
    images = {image["id"]: image for image in dataset["images"]}
    of_image = {key: image_factors(image) for key, image in images.items()}
    others = group_by_image(dataset["annotations"])
    return [
        of_image[a["image_id"]]
        | _word_factors(a)
        | _word_factors(a.get("parameters", {}))
        | shape_factors(a, images[a["image_id"]])
        | _render_factors(a)
        | {"neighbours": _neighbours(a, others[a["image_id"]])}
        for a in dataset["annotations"]
    ]


def image_factors(image: dict[str, Any]) -> Factors:
    """Return the factors that all objects in an image share: camera, lighting and layout."""
    camera = image.get("camera", {})
    factors: Factors = _word_factors(image) | _word_factors(camera) | _all_factors(image.get("lights", {}))
    if "position" in camera:
        factors["camera height"] = float(camera["position"][2])
    for key, name in (("fov", "field of view"), ("pitch", "camera pitch")):
        if key in camera:
            factors[name] = math.degrees(camera[key])
    return factors


def detection_factors(detection: dict[str, Any], image: dict[str, Any], iou_type: str) -> Factors:
    """Return the factors of a correct or false detection: those of its image and of its mask or box."""
    area = detection_area(detection, iou_type)
    return image_factors(image) | shape_factors(detection | {"area": area}, image)


def shape_factors(entry: dict[str, Any], image: dict[str, Any]) -> Factors:
    """Return the size (square root of the area, in pixels) and the truncation by the image's edge.

    Args:
        entry: an annotation or a detection with ``bbox`` and ``area``.
        image: its entry in the COCO file.
    """
    x, y, w, h = entry["bbox"]
    edge = min(x, y, image["width"] - x - w, image["height"] - y - h) < 1
    return {"size": math.sqrt(entry["area"]), "truncated": "yes" if edge else "no"}


def _render_factors(annotation: dict[str, Any]) -> Factors:
    """Return the numbers that only renders have: distance in metres and visible fraction."""
    keys = ("distance", "visible_fraction")
    return {key.replace("_", " "): float(annotation[key]) for key in keys if key in annotation}


def _word_factors(table: dict[str, Any]) -> Factors:
    """Return the entries of a table that are words or Booleans, without identifiers."""
    factors: Factors = {}
    for key, value in table.items():
        if isinstance(value, bool):
            factors[key] = "yes" if value else "no"
        elif isinstance(value, str) and key not in _IDENTIFIERS:
            factors[key] = value or "none"
    return factors


def _all_factors(table: dict[str, Any]) -> Factors:
    """Return the entries of a table that are numbers, words or Booleans."""
    numbers: Factors = {key: float(value) for key, value in table.items() if is_number(value)}
    return numbers | _word_factors(table)


def _neighbours(annotation: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """Return which kinds of neighbours an object has: none, same class, another class, or both."""
    reach = _NEIGHBOUR_REACH * max(annotation["bbox"][2:])
    same_class = {
        other["category_id"] == annotation["category_id"]
        for other in others
        if other is not annotation and _box_distance(annotation["bbox"], other["bbox"]) < reach
    }
    if len(same_class) == 2:
        return "both"
    return "none" if not same_class else "same class" if True in same_class else "another class"


def _box_distance(first: list[float], second: list[float]) -> float:
    """Compute the distance of two boxes (x, y, w, h) in pixels; 0 if they touch."""
    gaps = [
        max(second[i] - first[i] - first[i + 2], first[i] - second[i] - second[i + 2], 0.0) for i in (0, 1)
    ]
    return math.hypot(*gaps)


# ------------------------------------------------------------------------------ bins


def make_binner(name: str, values: Iterable[FactorValue]) -> Binner | None:
    """Build the function that maps a factor's values to bins.

    Args:
        name: name of the factor.
        values: its values for all objects.

    Returns:
        The function; None if all objects are in one bin, or if the factor is an identifier.
    """
    values = list(values)
    numbers = [v for v in values if not isinstance(v, str)]
    if len(numbers) != len(values):
        return _make_word_binner(sorted({str(v) for v in values}))
    terciles = [float(f"{q:.3g}") for q in np.quantile(numbers, [1 / 3, 2 / 3])] if numbers else []
    edges = EDGES.get(name, tuple(sorted(set(terciles))))
    if len({int(np.searchsorted(edges, v, side="right")) for v in numbers}) < 2:
        return None
    # All objects have a number, but another image's false detections may have a word: it gets the last bin.
    return lambda v: (
        (len(edges) + 1, v) if isinstance(v, str) else _number_bin(float(v), edges, UNITS.get(name, ""))
    )


def _make_word_binner(words: list[str]) -> Binner | None:
    """Build the function that maps each word to its own bin."""
    if not 2 <= len(words) <= _MOST_WORDS:
        return None
    positions = {word: number for number, word in enumerate(words)}
    return lambda v: (positions.get(str(v), len(words)), str(v).replace("_", " "))


def _number_bin(value: float, edges: tuple[float, ...], unit: str) -> tuple[int, str]:
    """Return the position and the name of the bin of a number."""
    position = int(np.searchsorted(edges, value, side="right"))
    if position == 0:
        return position, f"below {edges[0]:g}{unit}"
    if position == len(edges):
        return position, f"from {edges[-1]:g}{unit}"
    return position, f"{edges[position - 1]:g} to {edges[position]:g}{unit}"
