"""What is known of an object and its picture beyond the class: distance, size, light, lens, variant, ...

Renders know everything; any COCO file knows something (size, truncation, neighbours). A factor is a number
with edges to sort it by, or a word. What a file does not say is left out, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.data.coco_io import group_by_image
from pipeline.data.values import is_number

Value = float | str
Values = dict[str, Value]
Sorter = Callable[[Value], tuple[int, str]]
"""From a factor's value to its bin: the place along the factor, and a name."""

EDGES: dict[str, tuple[float, ...]] = {
    "distance": (2, 3, 4, 6, 8, 12, 16),
    "size": (16, 32, 64, 96, 128, 192),
    "visible fraction": (0.25, 0.5, 0.75, 0.95),
    "camera height": (0.6, 1.0, 1.4, 1.8, 2.5),
    "camera pitch": (-30, -10, -3, 3, 10),
    "field of view": (50, 70, 90, 110, 140),
}
"""Round numbers, the same for every set, so that two runs compare. Other numbers are cut into thirds."""
UNITS = {"distance": " m", "size": " px", "camera height": " m", "camera pitch": "°", "field of view": "°"}
"""As they follow a number."""

_MOST_WORDS = 20
"""A word with more values than this names things (a body, a file), it does not describe them."""
_NAMES = {"file_name", "coco_url", "flickr_url", "date_captured", "scene"}
_NEAR = 0.5
"""Neighbours lie closer than this share of the object's longer side."""


def object_factors(dataset: dict[str, Any]) -> list[Values]:
    """The factors of each annotation, its picture's among them, in the order of the dataset."""
    images = {image["id"]: image for image in dataset["images"]}
    shared = {key: image_factors(image) for key, image in images.items()}
    others = group_by_image(dataset["annotations"])
    return [
        shared[a["image_id"]]
        | _words(a)
        | _words(a.get("parameters") or {})
        | shape_factors(a, images[a["image_id"]])
        | _own(a)
        | {"neighbours": _neighbours(a, others[a["image_id"]])}
        for a in dataset["annotations"]
    ]


def image_factors(image: dict[str, Any]) -> Values:
    """What a picture's camera, light and layout are known to be: true of whatever is found in it."""
    camera = image.get("camera") or {}
    values: Values = _words(image) | _words(camera) | _numbers(image.get("lights") or {})
    position = camera.get("position")
    if isinstance(position, list) and len(position) == 3:
        values["camera height"] = float(position[2])
    for key, name in (("fov", "field of view"), ("pitch", "camera pitch")):
        if is_number(camera.get(key)):
            values[name] = math.degrees(camera[key])
    return values


def detection_factors(result: dict[str, Any], image: dict[str, Any]) -> Values:
    """What is known of a COCO result, right or wrong: its picture's factors, and its own shape."""
    area = int(mask_utils.area(result["segmentation"]))
    return image_factors(image) | shape_factors(result | {"area": area}, image)


def shape_factors(thing: dict[str, Any], image: dict[str, Any]) -> Values:
    """What ``bbox`` and ``area`` say of an object, or of a detection: size, and whether the frame cuts it."""
    x, y, w, h = thing["bbox"]
    edge = min(x, y, image["width"] - x - w, image["height"] - y - h) < 1
    return {"size": math.sqrt(thing["area"]), "truncated": "yes" if edge else "no"}


def _own(annotation: dict[str, Any]) -> Values:
    values: Values = {}
    for key in ("distance", "visible_fraction"):
        if is_number(annotation.get(key)):
            values[key.replace("_", " ")] = float(annotation[key])
    return values


def _words(table: dict[str, Any]) -> Values:
    """Entries that are words or truth values: what a thing is like."""
    words: Values = {}
    for key, value in table.items():
        if isinstance(value, bool):
            words[key] = "yes" if value else "no"
        elif isinstance(value, str) and key not in _NAMES:
            words[key] = value or "none"
    return words


def _numbers(table: dict[str, Any]) -> Values:
    numbers: Values = {key: float(value) for key, value in table.items() if is_number(value)}
    return numbers | _words(table)


def _neighbours(annotation: dict[str, Any], others: list[dict[str, Any]]) -> str:
    """Which labelled things lie beside an object: what it may be merged with or taken for."""
    reach = _NEAR * max(annotation["bbox"][2:])
    near = {
        other["category_id"] == annotation["category_id"]
        for other in others
        if other is not annotation and _distance(annotation["bbox"], other["bbox"]) < reach
    }
    if len(near) == 2:
        return "both"
    return "none" if not near else "same class" if True in near else "another class"


def _distance(one: list[float], two: list[float]) -> float:
    """Pixels between two boxes (x, y, w, h), 0 if they touch."""
    gaps = [max(two[i] - one[i] - one[i + 2], one[i] - two[i] - two[i + 2], 0.0) for i in (0, 1)]
    return math.hypot(*gaps)


# ------------------------------------------------------------------------------ bins


def binner(name: str, known: Iterable[Value]) -> Sorter | None:
    """How to sort values of a factor into bins, from the values of all objects.

    Returns:
        None if there is only one bin, or as many as things.
    """
    values = list(known)
    numbers = [v for v in values if not isinstance(v, str)]
    if len(numbers) != len(values):
        words = sorted({str(v) for v in values})
        places = {word: number for number, word in enumerate(words)}
        few = 2 <= len(words) <= _MOST_WORDS
        return (lambda v: (places.get(str(v), len(words)), str(v).replace("_", " "))) if few else None
    thirds = [float(f"{q:.3g}") for q in np.quantile(numbers, [1 / 3, 2 / 3])] if numbers else []
    edges = EDGES.get(name, tuple(sorted(set(thirds))))
    if len({int(np.searchsorted(edges, v, side="right")) for v in numbers}) < 2:
        return None
    return lambda v: _numbered(float(v), edges, UNITS.get(name, ""))


def _numbered(value: float, edges: tuple[float, ...], unit: str) -> tuple[int, str]:
    place = int(np.searchsorted(edges, value, side="right"))
    if place == 0:
        return place, f"below {edges[0]:g}{unit}"
    if place == len(edges):
        return place, f"from {edges[-1]:g}{unit}"
    return place, f"{edges[place - 1]:g} to {edges[place]:g}{unit}"
