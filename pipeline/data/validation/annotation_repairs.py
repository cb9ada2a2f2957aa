"""Cures for the annotations of a COCO file, by the rule they broke.

What can be derived is derived: numbers from the mask, the mask from a description that has one
meaning. A mask is never guessed, because a wrong one teaches a wrong model: the annotation goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pycocotools import mask as mask_utils

from pipeline.data.polygons import clip_polygon
from pipeline.data.rle import as_rle, read_counts
from pipeline.data.validation.annotations import FIELD_RULES
from pipeline.data.validation.entry_repairs import whole_number
from pipeline.data.validation.masks import read_box, read_mask
from pipeline.data.validation.rules import Index
from pipeline.data.values import is_number

Annotation = dict[str, Any]
Cure = Callable[[Annotation, Index], Annotation | None]


def _remove(a: Annotation, index: Index) -> None:
    return None


# ------------------------------------------------------------------------------ ids and flags


def _reference(key: str, known: str) -> Cure:
    def cure(a: Annotation, index: Index) -> Annotation | None:
        number = whole_number(a.get(key))
        return a | {key: number} if number in getattr(index, known) else None

    return cure


def _iscrowd(a: Annotation, index: Index) -> Annotation:
    return a | {"iscrowd": int(a.get("iscrowd") in (1, "1"))}  # True is 1


def _keypoints(a: Annotation, index: Index) -> Annotation:
    """Count them again; if they are no keypoints at all, leave them out."""
    points = a["keypoints"]
    if isinstance(points, list) and all(is_number(p) for p in points):
        counted = a | {"num_keypoints": sum(v > 0 for v in points[2::3])}
        (rule,) = (rule for rule in FIELD_RULES if rule.name == "keypoints")
        if rule.check(counted, index) is None:
            return counted
    return {key: value for key, value in a.items() if key not in ("keypoints", "num_keypoints")}


# ------------------------------------------------------------------------------ masks


def _polygons(a: Annotation, index: Index) -> Annotation | None:
    """A flat list is one polygon, a list of points is flattened; nothing else can be meant."""
    segmentation = a["segmentation"]
    if all(is_number(value) for value in segmentation):
        return a | {"segmentation": [segmentation]}
    flat = [_flat(polygon) for polygon in segmentation]
    return None if None in flat else a | {"segmentation": flat}


def _flat(polygon: Any) -> list[float] | None:
    if not isinstance(polygon, list):
        return None
    pairs = [p if isinstance(p, list) else [p] for p in polygon]
    values = [value for pair in pairs for value in pair]
    sound = len({len(pair) for pair in pairs}) <= 1 and all(is_number(value) for value in values)
    return values if sound else None


def _without_short(a: Annotation, index: Index) -> Annotation | None:
    kept = [polygon for polygon in a["segmentation"] if len(polygon) >= 6]
    return a | {"segmentation": kept} if kept else None


def _clipped(a: Annotation, index: Index) -> Annotation | None:
    width, height = _size(a, index)
    clipped = [clip_polygon(polygon, width, height) for polygon in a["segmentation"]]
    kept = [polygon for polygon in clipped if polygon]
    return a | {"segmentation": kept} if kept else None


def _rle_size(a: Annotation, index: Index) -> Annotation | None:
    """Write the image's size if the runs add up to it and none other is named."""
    width, height = _size(a, index)
    if a["segmentation"].get("size") is not None:
        return None
    try:
        fits = int(read_counts(a["segmentation"].get("counts")).sum()) == width * height
    except ValueError:
        return None
    return a | {"segmentation": a["segmentation"] | {"size": [height, width]}} if fits else None


def _rle_swapped(a: Annotation, index: Index) -> Annotation | None:
    """Either just ``size`` is swapped or the whole mask lies on its side; ``bbox`` knows which."""
    width, height = _size(a, index)
    upright = a["segmentation"] | {"size": [height, width]}
    try:
        if int(read_counts(upright.get("counts")).sum()) != width * height:
            return None
    except ValueError:
        return None
    turned = mask_utils.encode(mask_utils.decode(as_rle(a["segmentation"], width, height)).T.copy(order="F"))
    turned = {"size": [height, width], "counts": turned["counts"].decode("ascii")}
    box = read_box(a)
    if box is None:
        return a | {"segmentation": upright}

    def gap(rle: dict[str, Any]) -> float:
        found = read_mask(rle, width, height).bbox
        return sum(abs(p - q) for p, q in zip(found, box, strict=True))

    return a | {"segmentation": min(upright, turned, key=gap)}


def _measured(*keys: str) -> Cure:
    def cure(a: Annotation, index: Index) -> Annotation | None:
        if "segmentation" not in a:
            return None
        mask = read_mask(a["segmentation"], *_size(a, index))
        return a | {key: {"area": mask.area, "bbox": list(mask.bbox)}[key] for key in keys}

    return cure


def _size(a: Annotation, index: Index) -> tuple[int, int]:
    image = index.images[a["image_id"]]
    return image["width"], image["height"]


ANNOTATION_REPAIRS: dict[str, Cure] = {
    "image-id-unknown": _reference("image_id", "images"),
    "category-id-unknown": _reference("category_id", "categories"),
    "iscrowd-missing": _iscrowd,
    "iscrowd-value": _iscrowd,
    "keypoints": _keypoints,
    "segmentation-missing": _remove,
    "segmentation-type": _remove,
    "segmentation-empty": _remove,
    "polygon-values": _polygons,
    "polygon-short": _without_short,
    "polygon-odd": _remove,
    "polygon-outside": _remove,
    "polygon-beyond": _clipped,
    "rle-size": _rle_size,
    "rle-size-swapped": _rle_swapped,
    "rle-counts": _remove,
    "rle-sum": _remove,
    "crowd-polygon": lambda a, index: a | {"iscrowd": 0},
    "mask-empty": _remove,
    "area-missing": _measured("area"),
    "area-value": _measured("area"),
    "area-mask": _measured("area"),
    "bbox-missing": _measured("bbox"),
    "bbox-value": _measured("bbox"),
    "bbox-empty": _measured("bbox"),
    "bbox-tiny": _measured("bbox"),
    "bbox-outside": _measured("bbox"),
    "bbox-beyond": _measured("bbox"),
    "bbox-mask": _measured("bbox"),
}
"""In the order in which they are applied: the mask is sound before anything is measured on it."""
