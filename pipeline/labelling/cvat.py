"""The format "CVAT for images 1.1": an XML file with the objects of each image.

The source of the format: CVAT's documentation, "CVAT for images", and its importer ``load_anno``. A mask is
a list of run lengths, row by row within its box, the first of which is outside the object.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from blender.contract import UserError, open_atomic
from pipeline.data.images import MAX_PIXELS
from pipeline.data.polygons import clip_polygon
from pipeline.data.rle import as_rle, encode_mask
from pipeline.data.values import has_valid_size, is_number
from pipeline.labelling.coco import CocoBuilder
from pipeline.labelling.proposals import ProposedImage

ANNOTATIONS = "annotations.xml"
_SHAPES = ("mask", "polygon", "box", "ellipse", "polyline", "points", "cuboid", "skeleton")
"""CVAT's kinds of object; those after "box" are left out."""


def encode_mask_runs(mask: npt.NDArray[Any]) -> tuple[list[int], tuple[int, int, int, int]]:
    """Encode a mask (H, W) with at least one pixel, nonzero inside, as CVAT's run lengths.

    Returns:
        The run lengths, outside first, row by row within the box; and the box (left, top, width, height) in
        pixels.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    inside = (mask[top:bottom, left:right] != 0).ravel()
    starts = np.flatnonzero(np.diff(inside, prepend=False))
    runs = np.diff(starts, prepend=0, append=len(inside)).tolist()
    return runs, (int(left), int(top), int(right - left), int(bottom - top))


def decode_mask_runs(
    runs: Sequence[int], box: tuple[int, int, int, int], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Decode CVAT's run lengths to a mask (H, W).

    Args:
        runs: run lengths, outside first, row by row within the box.
        box: left, top, width, height in pixels; parts outside the image are cut off.
        size: (width, height) of the image.

    Raises:
        ValueError: a run is negative, or they do not fill the box.
    """
    left, top, width, height = box
    if width < 1 or height < 1 or min(runs) < 0 or sum(runs) != width * height:
        raise ValueError("the runs of its rle do not fill its box")
    if width * height > MAX_PIXELS:
        raise ValueError("its box is too large")
    part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask = np.zeros(size[::-1], bool)
    y, x = max(top, 0), max(left, 0)
    inner = part[y - top :, x - left :][: max(size[1] - y, 0), : max(size[0] - x, 0)]
    mask[y : y + inner.shape[0], x : x + inner.shape[1]] = inner
    return mask


def write_cvat(out: Path, images: Sequence[ProposedImage], classes: Sequence[str]) -> None:
    """Write annotations.xml with a mask for each object, in the order of ``images``."""
    with open_atomic(out / ANNOTATIONS) as stream:
        stream.writelines(f"{line}\n".encode() for line in _xml_lines(images, classes))


def _xml_lines(images: Sequence[ProposedImage], classes: Sequence[str]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "  <version>1.1</version>"
    labels = "".join(
        f"<label><name>{escape(name)}</name><attributes></attributes></label>" for name in classes
    )
    yield (
        f"  <meta><task><size>{len(images)}</size><mode>annotation</mode>"
        f"<labels>{labels}</labels></task></meta>"
    )
    for number, image in enumerate(images):
        yield (
            f'  <image id="{number}" name={quoteattr(image.name)} width="{image.width}" '
            f'height="{image.height}">'
        )
        for proposed in image.objects:
            runs, (left, top, width, height) = encode_mask_runs(mask_utils.decode(proposed.rle))
            yield (
                f'    <mask label={quoteattr(proposed.label)} source="auto" occluded="0" '
                f'rle="{", ".join(map(str, runs))}" left="{left}" top="{top}" '
                f'width="{width}" height="{height}" z_order="0"></mask>'
            )
        yield "  </image>"
    yield "</annotations>"


def read_cvat(root: ElementTree.Element, where: str) -> tuple[dict[str, Any], list[str]]:
    """Read the objects of a CVAT file: masks and polygons as masks, boxes as boxes.

    Shapes of one label that CVAT has grouped are one object, as in its own COCO export. A turned box becomes
    the box around it.

    Args:
        root: the element "annotations".
        where: the file's name, for messages.

    Returns:
        A COCO dataset and notes for the user.

    Raises:
        UserError: a shape is malformed, or the file is of a video.
    """
    if root.find("track") is not None:
        raise UserError(f"{where}: tracks of a video; export it from CVAT as 'CVAT for images 1.1'")
    builder = CocoBuilder([e.text or "" for e in root.iterfind("meta//labels/label/name")])
    left_out: Counter[str] = Counter()
    for image in root.iterfind("image"):
        name = image.get("name", "")
        try:
            size = (_integer(image.attrib["width"]), _integer(image.attrib["height"]))
            if not name or not has_valid_size({"width": size[0], "height": size[1]}):
                raise ValueError("it has no name, or its size is not that of an image")
            image_id = builder.add_image(name, *size)
            for label, shapes in _objects(image, left_out):
                if not _add_object(builder, image_id, label, shapes, size):
                    left_out["without a pixel in the image"] += 1
        except (KeyError, ValueError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise UserError(f"{where}: image {name!r}: {reason}; export it from CVAT again") from None
    notes = [f"left out: {', '.join(f'{n} {kind}' for kind, n in sorted(left_out.items()))}"]
    return builder.dataset(), notes if left_out else []


def _objects(
    image: ElementTree.Element, left_out: Counter[str]
) -> list[tuple[str, list[ElementTree.Element]]]:
    """Return the label and the shapes of each object."""
    groups: defaultdict[tuple[str, str], list[ElementTree.Element]] = defaultdict(list)
    for number, shape in enumerate(image):
        if shape.tag not in _SHAPES:
            continue
        if shape.tag not in _SHAPES[:3]:
            left_out[shape.tag] += 1
            continue
        group = shape.get("group_id", "0")
        alone = group == "0" or shape.tag == "box"
        groups[shape.attrib["label"], f"shape {number}" if alone else group].append(shape)
    return [(label, shapes) for (label, _), shapes in groups.items()]


def _add_object(
    builder: CocoBuilder,
    image_id: int,
    label: str,
    shapes: list[ElementTree.Element],
    size: tuple[int, int],
) -> bool:
    if shapes[0].tag == "box":
        return builder.add_box(image_id, label, _box(shapes[0]))
    rles = [rle for shape in shapes if (rle := _shape_rle(shape, size))]
    return bool(rles) and builder.add_mask(image_id, label, mask_utils.merge(rles))


def _shape_rle(shape: ElementTree.Element, size: tuple[int, int]) -> dict[str, Any] | None:
    """Return the pixels of a mask or polygon as compressed RLE; None for a polygon outside the image."""
    if shape.tag == "mask":
        runs = [_integer(run) for run in shape.attrib["rle"].split(",")]
        left, top, width, height = (_integer(shape.attrib[key]) for key in ("left", "top", "width", "height"))
        return encode_mask(decode_mask_runs(runs, (left, top, width, height), size))
    points = [_number(value) for pair in shape.attrib["points"].split(";") for value in pair.split(",")]
    if len(points) < 6 or len(points) % 2:
        raise ValueError("a polygon has fewer than three points")
    clipped = clip_polygon(points, *size)
    return as_rle([clipped], *size) if clipped else None


def _box(shape: ElementTree.Element) -> list[float]:
    """Return x, y, width and height of a box; of the box around it if it is turned about its centre."""
    left, top, right, bottom = (_number(shape.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(_number(shape.get("rotation", "0")))
    sine, cosine = abs(math.sin(angle)), abs(math.cos(angle))
    w, h = right - left, bottom - top
    width, height = w * cosine + h * sine, w * sine + h * cosine
    return [(left + right - width) / 2, (top + bottom - height) / 2, width, height]


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is not an integer") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_number(value):
        raise ValueError(f"{text.strip()!r} is not a finite number")
    return value
