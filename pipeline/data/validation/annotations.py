"""Rules for the fields of an annotation: ids, iscrowd, area and bbox.

A check takes an annotation and the ``Context``. Sources: issues of cocoapi (#153, #374, #450, #507) and of
torchvision (#1530, #2240), detectron2's ``datasets/coco.py``, and the behaviour of pycocotools 2.0.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.data.rle import clip_box, measure_mask
from pipeline.data.validation.forms import parse_box
from pipeline.data.validation.rules import (
    ANNOTATION,
    ERROR,
    MASK,
    SEGMENTATION,
    WARNING,
    Change,
    Context,
    Entry,
    EntryFix,
    Problem,
    broken_rules,
    fix_entry,
    make_context,
    rule,
)
from pipeline.data.values import (
    free_ids,
    has_mask,
    has_valid_size,
    is_id,
    is_int,
    is_number,
    read_box,
    short_repr,
    to_int,
)


def annotation_problems(annotation: Entry, context: Context) -> Iterator[Problem]:
    """Yield every problem of an annotation. Its mask is decoded only if the segmentation has no error."""
    place = {"image_id": annotation.get("image_id"), "annotation_id": annotation.get("id")}
    yield from broken_rules(ANNOTATION, annotation, context, **place)
    image = _image_of(annotation, context)
    if image is None or not has_valid_size(image) or not has_mask(annotation):
        return
    problems = list(broken_rules(SEGMENTATION, annotation, image, **place))
    yield from problems
    if not any(problem.severity == ERROR for problem in problems):
        mask = measure_mask(annotation["segmentation"], image["width"], image["height"])
        yield from broken_rules(MASK, annotation, mask, **place)


def fix_annotations(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Fix the annotations of a file whose images and categories have been fixed."""
    context = make_context(dataset)
    fixed = (
        fix_entry(a, "annotation", lambda a: annotation_problems(a, context), context, changes)
        for a in dataset["annotations"]
    )
    return dataset | {"annotations": [a for a in fixed if a is not None]}


def number_annotations(dataset: Entry, folder: Path | None, changes: list[Change]) -> Entry:
    """Give a new id to each annotation without a valid, unique id; no other entry refers to these ids."""
    annotations = dataset["annotations"]
    free = free_ids({a["id"] for a in annotations if is_id(a.get("id"))})
    used: set[int] = set()
    numbered = []
    for a in annotations:
        number = a.get("id")
        if is_id(number) and number != 0 and number not in used:
            used.add(number)
            numbered.append(a)
            continue
        name = "annotation-id-zero" if is_int(number) and number == 0 else "annotation-id"
        name = "annotation-id-duplicate" if is_int(number) and number in used else name
        new = next(free)
        changes.append(Change(name, f"annotation {short_repr(number)}, now {new}"))
        numbered.append(a | {"id": new})
    return dataset | {"annotations": numbered}


def measure(key: str) -> EntryFix:
    """Build the fix that replaces ``key`` ("area" or "bbox") by the value of the mask.

    Without a mask, the box clipped to the image is measured instead.
    """

    def fix(annotation: Entry, context: Context) -> Entry | None:
        size = image_size(annotation, context)
        if has_mask(annotation):
            mask = measure_mask(annotation["segmentation"], *size)
            return annotation | {key: mask.area if key == "area" else list(mask.bbox)}
        box = clip_box(parse_box(annotation), *size)
        if box is None:
            return None
        return annotation | {key: box[2] * box[3] if key == "area" else box}

    return fix


MEASURE_AREA: dict[str, Any] = {"fix": measure("area"), "fix_stage": 1}
MEASURE_BBOX: dict[str, Any] = {"fix": measure("bbox"), "fix_stage": 2}
"""Options of ``rule``: area and bbox are measured after ids and masks are fixed."""


def image_size(annotation: Entry, context: Context) -> tuple[int, int]:
    """Return the width and height of the annotation's image, which must be in the file."""
    image = context.images[annotation["image_id"]]
    return image["width"], image["height"]


def format_image(image: Entry) -> str:
    """Format an image with its size, for messages."""
    return f"the image, {image['width']}x{image['height']}"


def _image_of(annotation: Entry, context: Context) -> Entry | None:
    image_id = annotation.get("image_id")
    return context.images.get(image_id) if is_int(image_id) else None


# ------------------------------------------------------------------------------ ids and flags


def _known_image_id(annotation: Entry, context: Context) -> Entry | None:
    """Write "7" as 7, and a file name as the id of its image; remove an annotation of no image."""
    number = to_int(annotation.get("image_id"))
    if number is None:
        number = context.image_id_of_name(annotation.get("image_id"))
    return annotation | {"image_id": number} if number in context.images else None


def _known_category_id(annotation: Entry, context: Context) -> Entry | None:
    """Write "7" as 7, and the name of a category as its id; remove an annotation of no category."""
    number = to_int(annotation.get("category_id"))
    if number is None:
        name = annotation.get("category_id")
        named = [i for i, c in context.categories.items() if c.get("name") == name]
        number = named[0] if len(named) == 1 else None
    return annotation | {"category_id": number} if number in context.categories else None


def _iscrowd_0_or_1(annotation: Entry, context: Context) -> Entry:
    return annotation | {"iscrowd": int(annotation.get("iscrowd") in (1, "1"))}  # True equals 1


@rule("annotation-id", ANNOTATION, advice="number the annotations from 1", dataset_fix=number_annotations)
def _annotation_id(a: Entry, context: Context) -> str | None:
    if "id" not in a:
        return "it has no id"
    return None if is_id(a["id"]) else f"id is {short_repr(a['id'])}, not an integer of 64 bits"


@rule(
    "annotation-id-zero",
    ANNOTATION,
    advice="number from 1: pycocotools reads 0 as 'unmatched', which lowers AP",
    dataset_fix=number_annotations,
)
def _annotation_id_zero(a: Entry, context: Context) -> str | None:
    return "id is 0" if is_int(a.get("id")) and a["id"] == 0 else None


@rule(
    "annotation-id-duplicate",
    ANNOTATION,
    advice="give every annotation an id of its own, from 1",
    dataset_fix=number_annotations,
)
def _annotation_id_duplicate(a: Entry, context: Context) -> str | None:
    if not is_int(a.get("id")) or context.annotation_ids[a["id"]] < 2:
        return None
    return f"{context.annotation_ids[a['id']]} annotations have the id {a['id']}"


@rule("image-id-unknown", ANNOTATION, advice="add the image, or remove the annotation", fix=_known_image_id)
def _image_id_unknown(a: Entry, context: Context) -> str | None:
    if is_int(a.get("image_id")) and a["image_id"] in context.images:
        return None
    return f"image_id {short_repr(a.get('image_id'))} is not the id of an image in this file"


@rule(
    "category-id-unknown", ANNOTATION, advice="add the category, or fix category_id", fix=_known_category_id
)
def _category_id_unknown(a: Entry, context: Context) -> str | None:
    if is_int(a.get("category_id")) and a["category_id"] in context.categories:
        return None
    return f"category_id {short_repr(a.get('category_id'))} is not the id of a category in this file"


_WRITE_ISCROWD = "write iscrowd 0, or 1 for a region to ignore"


@rule("iscrowd-missing", ANNOTATION, advice=_WRITE_ISCROWD, fix=_iscrowd_0_or_1)
def _iscrowd_missing(a: Entry, context: Context) -> str | None:
    return None if "iscrowd" in a else "it has no iscrowd"


@rule("iscrowd-value", ANNOTATION, advice=_WRITE_ISCROWD, fix=_iscrowd_0_or_1)
def _iscrowd_value(a: Entry, context: Context) -> str | None:
    wrong = "iscrowd" in a and not (is_int(a["iscrowd"]) and a["iscrowd"] in (0, 1))
    return f"iscrowd is {short_repr(a['iscrowd'])}, not 0 or 1" if wrong else None


# ------------------------------------------------------------------------------ area and box

_WRITE_AREA = "write the mask's number of pixels"


@rule("area-missing", ANNOTATION, advice=_WRITE_AREA, **MEASURE_AREA)
def _area_missing(a: Entry, context: Context) -> str | None:
    return None if "area" in a else "it has no area"


@rule("area-value", ANNOTATION, advice=_WRITE_AREA, **MEASURE_AREA)
def _area_value(a: Entry, context: Context) -> str | None:
    wrong = "area" in a and not (is_number(a["area"]) and a["area"] >= 0)
    return f"area is {short_repr(a['area'])}, not a number of at least 0" if wrong else None


@rule("bbox-missing", ANNOTATION, advice="write the mask's [x, y, width, height]", **MEASURE_BBOX)
def _bbox_missing(a: Entry, context: Context) -> str | None:
    return None if "bbox" in a else "it has no bbox"


@rule("bbox-value", ANNOTATION, advice="write the mask's [x, y, width, height] in pixels", **MEASURE_BBOX)
def _bbox_value(a: Entry, context: Context) -> str | None:
    if "bbox" not in a or read_box(a) is not None:
        return None
    return f"bbox is {short_repr(a['bbox'])}, not four finite numbers"


@rule(
    "bbox-empty",
    ANNOTATION,
    advice="write the mask's box, or remove the annotation: training stops on it",
    **MEASURE_BBOX,
)
def _bbox_empty(a: Entry, context: Context) -> str | None:
    box = read_box(a)
    return f"bbox is {box[2]:g} wide and {box[3]:g} high" if box and min(box[2:]) <= 0 else None


@rule(
    "bbox-tiny",
    ANNOTATION,
    severity=WARNING,
    advice="write the mask's box; are the numbers pixels, not 0..1?",
    **MEASURE_BBOX,
)
def _bbox_tiny(a: Entry, context: Context) -> str | None:
    box = read_box(a)
    return f"bbox is {box[2]:g} wide and {box[3]:g} high" if box and 0 < min(box[2:]) < 1 else None


@rule("bbox-outside", ANNOTATION, advice="correct bbox, or the image's width and height", **MEASURE_BBOX)
def _bbox_outside(a: Entry, context: Context) -> str | None:
    box, image = read_box(a), _image_of(a, context)
    if not box or image is None or not has_valid_size(image):
        return None
    x, y, w, h = box
    outside = x >= image["width"] or y >= image["height"] or x + w <= 0 or y + h <= 0
    return f"bbox {short_repr(a['bbox'])} lies outside {format_image(image)}" if outside else None


@rule(
    "bbox-beyond",
    ANNOTATION,
    severity=WARNING,
    advice="clip bbox to the image; it is [x, y, width, height]",
    **MEASURE_BBOX,
)
def _bbox_beyond(a: Entry, context: Context) -> str | None:
    box, image = read_box(a), _image_of(a, context)
    if not box or image is None or not has_valid_size(image) or _bbox_outside(a, context):
        return None
    x, y, w, h = box
    beyond = min(x, y, image["width"] - x - w, image["height"] - y - h) < -1
    return f"bbox {short_repr(a['bbox'])} reaches beyond {format_image(image)}" if beyond else None
