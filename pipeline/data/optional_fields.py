"""Optional fields of a COCO file: the form in which Transpalette reads them.

Other tools write null for a field that they do not have, and use our names with other meanings
("camera": "front_left"). ``leave_out_malformed`` leaves out every such field when a file is loaded. So the
rest of the code can rely on it: a field below is absent, or it has the form that is described here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.data.values import are_numbers, as_strict_json, is_int, is_number, short_repr

Entry = dict[str, Any]
"""An entry of ``images``, ``categories`` or ``annotations``."""
Form = Callable[[Any], Any]
"""Returns the value in the form that is read; None: it has another form, and the field is left out."""

LARGEST_COORDINATE = 1e6
"""Largest absolute value of a keypoint's x and y, in pixels."""


def leave_out_malformed(dataset: dict[str, Any]) -> dict[str, Any]:
    """Copy a validated COCO file without the optional fields that are null or of another form.

    Fields that no code reads stay, as strict JSON (``as_strict_json``).
    """
    dataset = as_strict_json(dataset)
    categories = [_well_formed(c, CATEGORY_FIELDS) for c in dataset["categories"]]
    categories = [c | {"skeleton": valid_edges(c)} if "skeleton" in c else c for c in categories]
    names = {c["id"]: c.get("keypoints") for c in categories}
    annotations = []
    for a in dataset["annotations"]:
        well_formed = _well_formed(a, ANNOTATION_FIELDS)
        if "keypoints" in well_formed and keypoints_error(a["keypoints"], names.get(a["category_id"])):
            well_formed = {key: value for key, value in well_formed.items() if key not in _JOINTS}
        annotations.append(well_formed)
    images = [_well_formed(i, IMAGE_FIELDS) for i in dataset["images"]]
    return dataset | {"categories": categories, "images": images, "annotations": annotations}


def keypoints_error(points: Any, names: Any) -> str | None:
    """Return what is wrong with an annotation's ``keypoints``; None if nothing is.

    Args:
        points: the keypoints: any JSON value but null.
        names: ``keypoints`` of the annotation's category: a list of names, or anything else: not known.
    """
    if not isinstance(points, list) or len(points) % 3 or not are_numbers(points):
        return "keypoints is not a flat list of x, y, v"
    if isinstance(names, list) and names and len(points) != 3 * len(names):
        return f"{len(points) // 3} keypoints, but its category names {len(names)}"
    if wrong := [v for v in points[2::3] if v not in (0, 1, 2)]:
        return f"the visibility of a keypoint is {short_repr(wrong[0])}, not 0, 1 or 2"
    if wrong := [x for n, x in enumerate(points) if n % 3 != 2 and abs(x) > LARGEST_COORDINATE]:
        return f"a coordinate of a keypoint is {short_repr(wrong[0])}"
    return None


def valid_edges(category: Entry) -> list[list[int]]:
    """Return the edges of a category's ``skeleton`` that join two of its keypoints, numbered from 1."""
    names, skeleton = category.get("keypoints"), category.get("skeleton")
    count = len(names) if isinstance(names, list) else 0
    return [
        edge
        for edge in (skeleton if isinstance(skeleton, list) else [])
        if isinstance(edge, list) and len(edge) == 2 and all(is_int(n) and 1 <= n <= count for n in edge)
    ]


def skeleton_error(category: Entry) -> str | None:
    """Return what is wrong with a category's ``skeleton``; None if nothing is. Null: it has none."""
    skeleton = category.get("skeleton")
    if skeleton is None:
        return None
    if not isinstance(skeleton, list):
        return f"skeleton is {short_repr(skeleton)}, not a list of pairs"
    if wrong := [edge for edge in skeleton if edge not in valid_edges(category)]:
        names = category.get("keypoints")
        count = len(names) if isinstance(names, list) else 0
        return f"{len(wrong)} edges join no two of its {count} keypoints, the first: {short_repr(wrong[0])}"
    return None


# ------------------------------------------------------------------------------ forms


def _number(value: Any) -> float | None:
    return value if is_number(value) else None


def _share(value: Any) -> float | None:
    return value if is_number(value) and 0 <= value <= 1 else None


def _scene(value: Any) -> Any:
    return value if (isinstance(value, str) and value) or is_number(value) else None


def _table(value: Any) -> Entry | None:
    return value if isinstance(value, dict) else None


def _position(value: Any) -> list[float] | None:
    return value if isinstance(value, list) and len(value) == 3 and are_numbers(value) else None


def _camera(value: Any) -> Entry | None:
    return _well_formed(value, CAMERA_FIELDS) if isinstance(value, dict) else None


def _list(value: Any) -> list[Any] | None:
    return value if isinstance(value, list) and value else None


def _names(value: Any) -> list[str] | None:
    return value if _list(value) and all(isinstance(name, str) for name in value) else None


def _count(value: Any) -> int | None:
    return value if is_int(value) and value >= 0 else None


CAMERA_FIELDS: dict[str, Form] = {"position": _position, "fov": _number, "pitch": _number}
IMAGE_FIELDS: dict[str, Form] = {"camera": _camera, "lights": _table, "scene": _scene}
ANNOTATION_FIELDS: dict[str, Form] = {
    "parameters": _table,
    "distance": _number,
    "visible_fraction": _share,
    "keypoints": _list,
    "num_keypoints": _count,
}
CATEGORY_FIELDS: dict[str, Form] = {"keypoints": _names, "skeleton": _list}
_JOINTS = ("keypoints", "num_keypoints")


def _well_formed(entry: Entry, forms: dict[str, Form]) -> Entry:
    """Return the entry without the fields that do not have their form; the entry itself if all have it."""
    values = {key: form(entry[key]) for key, form in forms.items() if key in entry}
    if all(value is not None and value is entry[key] for key, value in values.items()):
        return entry
    return {key: values.get(key, value) for key, value in entry.items() if values.get(key, 0) is not None}
