"""The rules for one annotation of a COCO instances file: its ids, numbers and box.

Sources: cocoapi's issues (#153, #374, #450, #507), detectron2's ``datasets/coco.py``,
torchvision's (#1530, #2240) and what pycocotools 2.0.11 was seen to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.data.validation.masks import MASK_RULES, SEGMENTATION_RULES, read_box, read_mask
from pipeline.data.validation.rules import ERROR, WARNING, Fault, Index, Rule, broken
from pipeline.data.values import is_int, is_number, is_size, short


def annotation_faults(annotation: dict[str, Any], index: Index) -> Iterator[Fault]:
    """Yield every fault of one annotation; its mask is drawn only if its description is sound."""
    place = {"image_id": annotation.get("image_id"), "annotation_id": annotation.get("id")}
    yield from broken(FIELD_RULES, annotation, index, **place)
    image = _image(annotation, index)
    if image is None or not is_size(image) or "segmentation" not in annotation:
        return
    found = list(broken(SEGMENTATION_RULES, annotation, image, **place))
    yield from found
    if not any(fault.severity == ERROR for fault in found):
        mask = read_mask(annotation["segmentation"], image["width"], image["height"])
        yield from broken(MASK_RULES, annotation, mask, **place)


def _image(annotation: dict[str, Any], index: Index) -> dict[str, Any] | None:
    image_id = annotation.get("image_id")
    return index.images.get(image_id) if is_int(image_id) else None


# ------------------------------------------------------------------------------ fields


def _id(a: dict[str, Any], index: Index) -> str | None:
    if "id" not in a:
        return "it has no id"
    return None if is_int(a["id"]) else f"id is {short(a['id'])}, not an integer"


def _id_zero(a: dict[str, Any], index: Index) -> str | None:
    return "id is 0" if is_int(a.get("id")) and a["id"] == 0 else None


def _id_duplicate(a: dict[str, Any], index: Index) -> str | None:
    if not is_int(a.get("id")) or index.annotation_ids[a["id"]] < 2:
        return None
    return f"{index.annotation_ids[a['id']]} annotations have the id {a['id']}"


def _image_id(a: dict[str, Any], index: Index) -> str | None:
    known = is_int(a.get("image_id")) and a["image_id"] in index.images
    return None if known else f"image_id {short(a.get('image_id'))} is no image of this file"


def _category_id(a: dict[str, Any], index: Index) -> str | None:
    known = is_int(a.get("category_id")) and a["category_id"] in index.categories
    return None if known else f"category_id {short(a.get('category_id'))} is no category of this file"


def _iscrowd_missing(a: dict[str, Any], index: Index) -> str | None:
    return None if "iscrowd" in a else "it has no iscrowd"


def _iscrowd_value(a: dict[str, Any], index: Index) -> str | None:
    wrong = "iscrowd" in a and not (is_int(a["iscrowd"]) and a["iscrowd"] in (0, 1))
    return f"iscrowd is {short(a['iscrowd'])}, not 0 or 1" if wrong else None


def _area_missing(a: dict[str, Any], index: Index) -> str | None:
    return None if "area" in a else "it has no area"


def _area_value(a: dict[str, Any], index: Index) -> str | None:
    wrong = "area" in a and not (is_number(a["area"]) and a["area"] >= 0)
    return f"area is {short(a['area'])}, not a number from 0 up" if wrong else None


def _bbox_missing(a: dict[str, Any], index: Index) -> str | None:
    return None if "bbox" in a else "it has no bbox"


def _bbox_value(a: dict[str, Any], index: Index) -> str | None:
    if "bbox" not in a or read_box(a) is not None:
        return None
    return f"bbox is {short(a['bbox'])}, not four finite numbers"


def _bbox_empty(a: dict[str, Any], index: Index) -> str | None:
    box = read_box(a)
    return f"bbox is {box[2]:g} wide and {box[3]:g} high" if box and min(box[2:]) <= 0 else None


def _bbox_tiny(a: dict[str, Any], index: Index) -> str | None:
    box = read_box(a)
    return f"bbox is {box[2]:g} wide and {box[3]:g} high" if box and 0 < min(box[2:]) < 1 else None


def _bbox_outside(a: dict[str, Any], index: Index) -> str | None:
    box, image = read_box(a), _image(a, index)
    if not box or image is None or not is_size(image):
        return None
    x, y, w, h = box
    outside = x >= image["width"] or y >= image["height"] or x + w <= 0 or y + h <= 0
    return f"bbox {short(a['bbox'])} lies outside {_wxh(image)}" if outside else None


def _bbox_beyond(a: dict[str, Any], index: Index) -> str | None:
    box, image = read_box(a), _image(a, index)
    if not box or image is None or not is_size(image) or _bbox_outside(a, index):
        return None
    x, y, w, h = box
    beyond = min(x, y, image["width"] - x - w, image["height"] - y - h) < -1
    return f"bbox {short(a['bbox'])} reaches beyond {_wxh(image)}" if beyond else None


def _keypoints(a: dict[str, Any], index: Index) -> str | None:
    points = a.get("keypoints")
    if points is None:
        return None
    if not isinstance(points, list) or len(points) % 3 or not all(is_number(p) for p in points):
        return "keypoints is not a flat list of x, y, v"
    category = index.categories.get(a["category_id"], {}) if is_int(a.get("category_id")) else {}
    names = category.get("keypoints")
    if isinstance(names, list) and len(points) != 3 * len(names):
        return f"{len(points) // 3} keypoints, but its category names {len(names)}"
    visible = sum(v > 0 for v in points[2::3])
    wrong = a.get("num_keypoints", visible) != visible
    return f"num_keypoints is {short(a['num_keypoints'])}, but {visible} have v > 0" if wrong else None


def _segmentation_missing(a: dict[str, Any], index: Index) -> str | None:
    return None if "segmentation" in a else "it has no segmentation"


def _wxh(image: dict[str, Any]) -> str:
    return f"the image, {image['width']}x{image['height']}"


FIELD_RULES = (
    Rule("annotation-id", _id, "number the annotations from 1"),
    Rule("annotation-id-zero", _id_zero, "number from 1: pycocotools takes 0 for 'unmatched' and AP falls"),
    Rule("annotation-id-duplicate", _id_duplicate, "number the annotations from 1, each once"),
    Rule("image-id-unknown", _image_id, "add the image to images, or remove the annotation"),
    Rule("category-id-unknown", _category_id, "add the category to categories, or correct category_id"),
    Rule("iscrowd-missing", _iscrowd_missing, "write iscrowd 0, or 1 for a region to ignore"),
    Rule("iscrowd-value", _iscrowd_value, "write iscrowd 0, or 1 for a region to ignore"),
    Rule("area-missing", _area_missing, "write the mask's number of pixels"),
    Rule("area-value", _area_value, "write the mask's number of pixels"),
    Rule("bbox-missing", _bbox_missing, "write the mask's [x, y, width, height]"),
    Rule("bbox-value", _bbox_value, "write the mask's [x, y, width, height] in pixels"),
    Rule("bbox-empty", _bbox_empty, "write the mask's box, or remove the annotation: training stops on it"),
    Rule("bbox-tiny", _bbox_tiny, "write the mask's box; are the numbers pixels, not 0..1?", WARNING),
    Rule("bbox-outside", _bbox_outside, "correct bbox, or the image's width and height"),
    Rule("bbox-beyond", _bbox_beyond, "clip bbox to the image; it is [x, y, width, height]", WARNING),
    Rule("keypoints", _keypoints, "three numbers a keypoint, in the category's order", WARNING),
    Rule("segmentation-missing", _segmentation_missing, "add the mask, or remove the annotation"),
)
