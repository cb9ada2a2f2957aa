"""The rules for an annotation's mask: is it whole, and do ``bbox`` and ``area`` belong to it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pycocotools import mask as mask_utils

from pipeline.data.rle import as_rle, read_counts
from pipeline.data.validation.rules import WARNING, Rule
from pipeline.data.values import are_numbers, is_number, short

Annotation = dict[str, Any]


@dataclass(frozen=True)
class Mask:
    """What an annotation's segmentation amounts to, in pixels."""

    area: int
    bbox: tuple[float, float, float, float]
    """x, y, width, height."""
    exact: bool
    """RLE says which pixels are in; polygons leave the outline open to rounding."""


def read_mask(segmentation: Any, width: int, height: int) -> Mask:
    """Measure a segmentation that broke none of ``SEGMENTATION_RULES``."""
    rle = as_rle(segmentation, width, height)
    x, y, w, h = (float(value) for value in mask_utils.toBbox(rle))
    return Mask(int(mask_utils.area(rle)), (x, y, w, h), isinstance(segmentation, dict))


def read_box(annotation: Annotation) -> list[float] | None:
    """The annotation's ``bbox`` if it is four finite numbers."""
    box = annotation.get("bbox")
    if isinstance(box, (list, tuple)) and len(box) == 4 and all(is_number(v) for v in box):
        return [float(value) for value in box]
    return None


# ------------------------------------------------------------------------------ segmentation


def _type(a: Annotation, image: dict[str, Any]) -> str | None:
    segmentation = a["segmentation"]
    if isinstance(segmentation, (list, dict)):
        return None
    return f"segmentation is {short(segmentation)}, neither polygons nor RLE"


def _no_polygon(a: Annotation, image: dict[str, Any]) -> str | None:
    return "segmentation is an empty list" if a["segmentation"] == [] else None


def _polygon_values(a: Annotation, image: dict[str, Any]) -> str | None:
    for number, polygon in enumerate(_list(a)):
        if not isinstance(polygon, list):
            return f"polygon {number} is {short(polygon)}, not a list of numbers"
        if not are_numbers(polygon):
            wrong = next(value for value in polygon if not is_number(value))
            return f"polygon {number} holds {short(wrong)}, not a finite number"
    return None


def _polygon_short(a: Annotation, image: dict[str, Any]) -> str | None:
    for number, polygon in enumerate(_list(a)):
        if isinstance(polygon, list) and len(polygon) < 6:
            return f"polygon {number} has {len(polygon)} numbers, fewer than three points"
    return None


def _polygon_odd(a: Annotation, image: dict[str, Any]) -> str | None:
    for number, polygon in enumerate(_list(a)):
        if isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2:
            return f"polygon {number} has {len(polygon)} numbers, an odd count"
    return None


def _polygon_beyond(a: Annotation, image: dict[str, Any]) -> str | None:
    reach = _reach(a, image)
    beyond = 1 < reach <= _far(image)
    return f"a polygon reaches {reach:.0f} px beyond {_wxh(image)}" if beyond else None


def _polygon_outside(a: Annotation, image: dict[str, Any]) -> str | None:
    # pycocotools allocates by a polygon's length: absurd coordinates would end the process.
    reach = _reach(a, image)
    return f"a polygon reaches {reach:g} px beyond {_wxh(image)}" if reach > _far(image) else None


def _rle_size(a: Annotation, image: dict[str, Any]) -> str | None:
    if not isinstance(a["segmentation"], dict):
        return None
    size, right = a["segmentation"].get("size"), [image["height"], image["width"]]
    if not isinstance(size, (list, tuple)) or list(size) in (right, right[::-1]):
        return None if isinstance(size, (list, tuple)) else f"RLE size is {short(size)}, not [height, width]"
    return f"RLE size is {short(size)}, but the image is {right} (height, width)"


def _rle_swapped(a: Annotation, image: dict[str, Any]) -> str | None:
    if not isinstance(a["segmentation"], dict) or image["height"] == image["width"]:
        return None
    size = a["segmentation"].get("size")
    swapped = isinstance(size, (list, tuple)) and list(size) == [image["width"], image["height"]]
    return f"RLE size is [width, height] {short(size)}" if swapped else None


def _rle_counts(a: Annotation, image: dict[str, Any]) -> str | None:
    if not isinstance(a["segmentation"], dict):
        return None
    try:
        read_counts(a["segmentation"].get("counts"))
    except ValueError as error:
        return f"RLE cannot be decoded: {error}"
    return None


def _rle_sum(a: Annotation, image: dict[str, Any]) -> str | None:
    if not isinstance(a["segmentation"], dict) or _rle_counts(a, image):
        return None
    total = int(read_counts(a["segmentation"]["counts"]).sum())
    pixels = image["height"] * image["width"]
    return None if total == pixels else f"RLE covers {total} pixels, but the image has {pixels}"


def _crowd_polygon(a: Annotation, image: dict[str, Any]) -> str | None:
    wrong = a.get("iscrowd") == 1 and isinstance(a["segmentation"], list)
    return "iscrowd is 1, but the mask is given as polygons" if wrong else None


def _list(a: Annotation) -> list[Any]:
    return a["segmentation"] if isinstance(a["segmentation"], list) else []


def _reach(a: Annotation, image: dict[str, Any]) -> float:
    """How many pixels beyond the image the farthest coordinate lies; 0: none."""
    reach = 0.0
    for polygon in _list(a):
        if isinstance(polygon, list) and are_numbers(polygon):
            for values, size in ((polygon[0::2], image["width"]), (polygon[1::2], image["height"])):
                if values:
                    reach = max(reach, -min(values), max(values) - size)
    return reach


def _far(image: dict[str, Any]) -> int:
    return int(max(image["width"], image["height"]))


def _wxh(image: dict[str, Any]) -> str:
    return f"the image, {image['width']}x{image['height']}"


_REDRAW = "draw the mask again, or remove the annotation"

SEGMENTATION_RULES = (
    Rule("segmentation-type", _type, "write polygons (a list of lists) or RLE (size and counts)"),
    Rule("segmentation-empty", _no_polygon, _REDRAW),
    Rule("polygon-values", _polygon_values, "write each polygon as a flat list x1, y1, x2, y2, ..."),
    Rule(
        "polygon-short", _polygon_short, "remove the polygon: pycocotools fails on it, or takes it for a box"
    ),
    Rule("polygon-odd", _polygon_odd, "write x and y of every point"),
    Rule("polygon-beyond", _polygon_beyond, "clip the polygon to the image", WARNING),
    Rule("polygon-outside", _polygon_outside, "correct the polygon, or the image's width and height"),
    Rule("rle-size", _rle_size, "write size as [height, width] of the image, and encode again"),
    Rule("rle-size-swapped", _rle_swapped, "write size as [height, width]; runs go down the columns"),
    Rule("rle-counts", _rle_counts, "encode the mask again with pycocotools.mask.encode"),
    Rule("rle-sum", _rle_sum, "encode the mask at the image's size: its area would be garbage"),
    Rule("crowd-polygon", _crowd_polygon, "iscrowd 1 means 'ignore': write 0 for an object", WARNING),
)


# ------------------------------------------------------------------------------ mask


def _empty(a: Annotation, mask: Mask) -> str | None:
    return None if mask.area else "the mask has no pixel"


def _area_mask(a: Annotation, mask: Mask) -> str | None:
    area = a.get("area")
    if not is_number(area) or not mask.area:
        return None
    # A polygon's area and its pixels differ by at most about half a pixel along the outline.
    slack = 1.0 if mask.exact else 0.05 * mask.area + mask.bbox[2] + mask.bbox[3]
    wrong = abs(float(area) - mask.area) > slack
    return f"area is {area:g}, but the mask has {mask.area} pixels" if wrong else None


def _bbox_mask(a: Annotation, mask: Mask) -> str | None:
    box = read_box(a)
    if box is None or not mask.area:
        return None
    x, y, w, h = mask.bbox
    gaps = (box[0] - x, box[1] - y, box[0] + box[2] - x - w, box[1] + box[3] - y - h)
    wrong = max(abs(gap) for gap in gaps) > 2
    return f"bbox is {short(a['bbox'])}, but the mask's box is {[x, y, w, h]}" if wrong else None


MASK_RULES = (
    Rule("mask-empty", _empty, _REDRAW),
    Rule("area-mask", _area_mask, "write the mask's number of pixels; were holes filled?", WARNING),
    Rule("bbox-mask", _bbox_mask, "write the mask's [x, y, width, height] in pixels", WARNING),
)
