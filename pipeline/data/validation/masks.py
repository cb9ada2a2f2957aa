"""Rules for an annotation's mask: is it valid, and do ``bbox`` and ``area`` match it?

The check of a SEGMENTATION rule takes an annotation and its image, that of a MASK rule an annotation and its
``MeasuredMask``. Neither is asked about an annotation without a mask. A mask that cannot be read without
doubt is not guessed, because a wrong mask trains a wrong model: the fix removes the annotation.
"""

from __future__ import annotations

from typing import Any

from pycocotools import mask as mask_utils

from pipeline.data.polygons import clip_polygon
from pipeline.data.rle import MeasuredMask, as_rle, decode_counts, encode_mask, measure_mask
from pipeline.data.validation.annotations import MEASURE_AREA, MEASURE_BBOX, format_image, image_size
from pipeline.data.validation.forms import are_points, parse_segmentation
from pipeline.data.validation.rules import (
    ERROR,
    MASK,
    SEGMENTATION,
    WARNING,
    Context,
    Entry,
    broken_rules,
    remove,
    rule,
)
from pipeline.data.values import are_numbers, is_number, read_box, short_repr

_REDRAW = "draw the mask again, or remove the annotation"


def segmentation_error(annotation: Entry, image: Entry) -> str | None:
    """Check the ``segmentation`` of an annotation or a COCO result; return the first error, or None."""
    problems = broken_rules(SEGMENTATION, annotation, image)
    return next((problem.message for problem in problems if problem.severity == ERROR), None)


def _polygons_of(annotation: Entry) -> list[Any]:
    return annotation["segmentation"] if isinstance(annotation["segmentation"], list) else []


# ------------------------------------------------------------------------------ polygons


def _read_other_form(annotation: Entry, context: Context) -> Entry | None:
    """Write a segmentation of another form in COCO's; remove the annotation if the form is not known."""
    segmentation = parse_segmentation(annotation["segmentation"])
    return None if segmentation is None else annotation | {"segmentation": segmentation}


def _remove_short_polygons(annotation: Entry, context: Context) -> Entry | None:
    """Remove polygons of fewer than three points; a list of points is one polygon."""
    if are_points(annotation["segmentation"]):
        return _read_other_form(annotation, context)
    polygons = [polygon for polygon in annotation["segmentation"] if len(polygon) >= 6]
    return annotation | {"segmentation": polygons} if polygons else None


def _clip_polygons(annotation: Entry, context: Context) -> Entry | None:
    width, height = image_size(annotation, context)
    clipped = [clip_polygon(polygon, width, height) for polygon in annotation["segmentation"]]
    polygons = [polygon for polygon in clipped if polygon]
    return annotation | {"segmentation": polygons} if polygons else None


@rule(
    "segmentation-type",
    SEGMENTATION,
    advice="write polygons (lists) or RLE (size, counts)",
    fix=_read_other_form,
)
def _segmentation_type(a: Entry, image: Entry) -> str | None:
    segmentation = a["segmentation"]
    if isinstance(segmentation, (list, dict)):
        return None
    return f"segmentation is {short_repr(segmentation)}, neither polygons nor RLE"


@rule(
    "polygon-values",
    SEGMENTATION,
    advice="write each polygon as a flat list x1, y1, x2, y2, ...",
    fix=_read_other_form,
)
def _polygon_values(a: Entry, image: Entry) -> str | None:
    for number, polygon in enumerate(_polygons_of(a)):
        if not isinstance(polygon, list):
            return f"polygon {number} is {short_repr(polygon)}, not a list of numbers"
        if not are_numbers(polygon):
            wrong = next(value for value in polygon if not is_number(value))
            return f"polygon {number} contains {short_repr(wrong)}, not a finite number"
    return None


@rule(
    "polygon-short",
    SEGMENTATION,
    advice="remove the polygon: pycocotools fails on it, or reads it as a box",
    fix=_remove_short_polygons,
)
def _polygon_short(a: Entry, image: Entry) -> str | None:
    for number, polygon in enumerate(_polygons_of(a)):
        if isinstance(polygon, list) and len(polygon) < 6:
            return f"polygon {number} has {len(polygon)} numbers, fewer than three points"
    return None


@rule("polygon-odd", SEGMENTATION, advice="write x and y of every point", fix=remove)
def _polygon_odd(a: Entry, image: Entry) -> str | None:
    for number, polygon in enumerate(_polygons_of(a)):
        if isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2:
            return f"polygon {number} has {len(polygon)} numbers, an odd count"
    return None


@rule(
    "polygon-beyond",
    SEGMENTATION,
    severity=WARNING,
    advice="clip the polygon to the image",
    fix=_clip_polygons,
)
def _polygon_beyond(a: Entry, image: Entry) -> str | None:
    overhang = _overhang(a, image)
    beyond = 1 < overhang <= max(image["width"], image["height"])
    return f"a polygon reaches {overhang:.0f} px beyond {format_image(image)}" if beyond else None


@rule("polygon-outside", SEGMENTATION, advice="correct the polygon, or the image's size", fix=remove)
def _polygon_outside(a: Entry, image: Entry) -> str | None:
    # pycocotools allocates memory by a polygon's length: huge coordinates would end the process.
    overhang = _overhang(a, image)
    outside = overhang > max(image["width"], image["height"])
    return f"a polygon reaches {overhang:g} px beyond {format_image(image)}" if outside else None


def _overhang(a: Entry, image: Entry) -> float:
    """Return by how many pixels the polygons reach beyond the image; 0 if they do not."""
    overhang = 0.0
    for polygon in _polygons_of(a):
        if isinstance(polygon, list) and are_numbers(polygon):
            for values, size in ((polygon[0::2], image["width"]), (polygon[1::2], image["height"])):
                if values:
                    overhang = max(overhang, -min(values), max(values) - size)
    return overhang


# ------------------------------------------------------------------------------ RLE


def _covers_image(rle: Entry, width: int, height: int) -> bool:
    """Return whether the run lengths are valid and add up to the image's number of pixels."""
    try:
        return int(decode_counts(rle.get("counts")).sum()) == width * height
    except ValueError:
        return False


def _add_size(annotation: Entry, context: Context) -> Entry | None:
    """Add the image's size to RLE without a size, or with a size as text, if the run lengths match it."""
    (width, height), rle = image_size(annotation, context), annotation["segmentation"]
    size = parse_segmentation(rle).get("size")
    if size not in (None, [height, width]) or not _covers_image(rle, width, height):
        return None
    return annotation | {"segmentation": rle | {"size": [height, width]}}


def _swap_size(annotation: Entry, context: Context) -> Entry | None:
    """Swap ``size`` alone or transpose the complete mask, whichever fits ``bbox`` better."""
    (width, height), rle = image_size(annotation, context), annotation["segmentation"]
    if not _covers_image(rle, width, height):
        return None
    swapped = rle | {"size": [height, width]}
    transposed = encode_mask(mask_utils.decode(as_rle(rle, width, height)).T)
    box = read_box(annotation)
    if box is None:
        return annotation | {"segmentation": swapped}

    def distance(candidate: Entry) -> float:
        bbox = measure_mask(candidate, width, height).bbox
        return sum(abs(p - q) for p, q in zip(bbox, box, strict=True))

    return annotation | {"segmentation": min(swapped, transposed, key=distance)}


@rule(
    "rle-size",
    SEGMENTATION,
    advice="write size as [height, width] of the image, and encode again",
    fix=_add_size,
)
def _rle_size(a: Entry, image: Entry) -> str | None:
    if not isinstance(a["segmentation"], dict):
        return None
    size, right = a["segmentation"].get("size"), [image["height"], image["width"]]
    if not isinstance(size, (list, tuple)):
        return f"RLE size is {short_repr(size)}, not [height, width]"
    if list(size) in (right, right[::-1]):
        return None
    return f"RLE size is {short_repr(size)}, but the image is {right} (height, width)"


@rule(
    "rle-size-swapped",
    SEGMENTATION,
    advice="write size as [height, width]; runs go down the columns",
    fix=_swap_size,
)
def _rle_size_swapped(a: Entry, image: Entry) -> str | None:
    if not isinstance(a["segmentation"], dict) or image["height"] == image["width"]:
        return None
    size = a["segmentation"].get("size")
    swapped = isinstance(size, (list, tuple)) and list(size) == [image["width"], image["height"]]
    return f"RLE size is [width, height] {short_repr(size)}" if swapped else None


def _read_counts(annotation: Entry, context: Context) -> Entry | None:
    """Write run lengths that are floats or text as integers, if they add up to the image."""
    fixed = _read_other_form(annotation, context)
    covers = fixed is not None and _covers_image(fixed["segmentation"], *image_size(annotation, context))
    return fixed if covers else None


@rule("rle-counts", SEGMENTATION, advice="encode the mask again with pycocotools", fix=_read_counts)
def _rle_counts(a: Entry, image: Entry) -> str | None:
    if not isinstance(a["segmentation"], dict):
        return None
    try:
        decode_counts(a["segmentation"].get("counts"))
    except ValueError as error:
        return f"RLE cannot be decoded: {error}"
    return None


@rule("rle-sum", SEGMENTATION, advice="encode the mask at the image's size", fix=remove)
def _rle_sum(a: Entry, image: Entry) -> str | None:
    if not isinstance(a["segmentation"], dict) or _rle_counts(a, image):
        return None
    total = int(decode_counts(a["segmentation"]["counts"]).sum())
    pixels = image["height"] * image["width"]
    return None if total == pixels else f"RLE covers {total} pixels, but the image has {pixels}"


# ------------------------------------------------------------------------------ iscrowd, area, box


@rule(
    "crowd-polygon",
    SEGMENTATION,
    severity=WARNING,
    advice="iscrowd 1 means 'ignore': write 0 for an object",
    fix=lambda annotation, context: annotation | {"iscrowd": 0},
)
def _crowd_polygon(a: Entry, image: Entry) -> str | None:
    wrong = a.get("iscrowd") == 1 and isinstance(a["segmentation"], list)
    return "iscrowd is 1, but the mask is given as polygons" if wrong else None


@rule("mask-empty", MASK, advice=_REDRAW, fix=remove)
def _mask_empty(a: Entry, mask: MeasuredMask) -> str | None:
    return None if mask.area else "the mask has no pixel"


@rule(
    "area-mask",
    MASK,
    severity=WARNING,
    advice="write the mask's number of pixels; were holes filled?",
    **MEASURE_AREA,
)
def _area_mask(a: Entry, mask: MeasuredMask) -> str | None:
    area = a.get("area")
    if not is_number(area) or not mask.area:
        return None
    # A polygon's area and its pixels differ by at most about half a pixel along the outline.
    tolerance = 1.0 if mask.exact else 0.05 * mask.area + mask.bbox[2] + mask.bbox[3]
    wrong = abs(float(area) - mask.area) > tolerance
    return f"area is {area:g}, but the mask has {mask.area} pixels" if wrong else None


@rule(
    "bbox-mask",
    MASK,
    severity=WARNING,
    advice="write the mask's [x, y, width, height] in pixels",
    **MEASURE_BBOX,
)
def _bbox_mask(a: Entry, mask: MeasuredMask) -> str | None:
    box = read_box(a)
    if box is None or not mask.area:
        return None
    x, y, w, h = mask.bbox
    gaps = (box[0] - x, box[1] - y, box[0] + box[2] - x - w, box[1] + box[3] - y - h)
    wrong = max(abs(gap) for gap in gaps) > 2
    return f"bbox is {short_repr(a['bbox'])}, but the mask's box is {[x, y, w, h]}" if wrong else None
