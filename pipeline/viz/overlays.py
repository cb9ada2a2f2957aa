"""Draw objects on an image: masks with outlines, boxes, keypoints with a skeleton, readable labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as mask_utils

from pipeline.data.rle import as_rle, box_rle
from pipeline.data.values import has_mask

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

PALETTE: tuple[Colour, ...] = (
    (0, 200, 255), (255, 205, 0), (255, 70, 170), (90, 230, 110), (255, 130, 40), (170, 120, 255),
    (60, 110, 255), (190, 255, 60), (0, 165, 145), (215, 100, 85), (255, 175, 205), (150, 60, 190),
)  # fmt: skip
"""Colours of the classes. They are bright on concrete and steel; colour-blind readers can distinguish the
first
two."""
SHAPES = {"bbox": "box", "segm": "mask"}
"""Name of an IoU type for readers."""
IGNORED: Colour = (150, 155, 160)
"""Colour of ignore regions."""
_VISIBLE, _HIDDEN, _OUTLINE = (255, 255, 255), (172, 176, 182), (20, 22, 26)
"""Colours of visible and hidden keypoints, and of the outline of a dot."""
_VISIBLE_BELOW = 0.95
"""Visible fraction of an object below which its label states it."""


@dataclass(frozen=True)
class Overlay:
    """One object to draw."""

    rle: dict[str, Any]
    """The mask as compressed RLE. A mask of another size than the image is scaled to the image."""
    colour: Colour
    label: str = ""
    joints: tuple[tuple[float, float, int], ...] = ()
    """COCO keypoints (x, y, v) in pixels of the mask. v 0: not drawn; 1 (hidden): ring; 2 (visible): dot."""
    bones: tuple[tuple[int, int], ...] = ()
    """Pairs of joints, counted from 0, that are connected by a line."""
    is_box: bool = False
    """Whether the object has no mask, and ``rle`` is its box: only the outline is drawn."""


def class_colour(number: int) -> Colour:
    """Return the colour of the class with this number, counted from 0."""
    return PALETTE[number % len(PALETTE)]


def readable(name: str) -> str:
    """Format the name of a class for readers: "pallet truck" for "pallet_truck"."""
    return name.replace("_", " ")


def ground_truth_overlays(
    image: dict[str, Any],
    annotations: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    show: Sequence[str] = ("names",),
) -> list[Overlay]:
    """Build the overlays of an image's annotations. Ignore regions are grey, without label and keypoints.

    Args:
        image: its entry in the COCO file.
        annotations: the image's annotations; those of unknown categories are left out.
        categories: the categories of the COCO file.
        show: any of "names", "ids", "visible" (the parts of the label) and "keypoints".
    """
    known = {c["id"]: (number, c) for number, c in enumerate(categories)}
    overlays = []
    for a in annotations:
        if a["category_id"] not in known:
            continue
        number, category = known[a["category_id"]]
        size = image["width"], image["height"]
        rle = as_rle(a["segmentation"], *size) if has_mask(a) else box_rle(a["bbox"], *size)
        if a.get("iscrowd"):
            overlays.append(Overlay(rle, IGNORED, is_box=not has_mask(a)))
            continue
        joints = a.get("keypoints", ()) if "keypoints" in show else ()
        bones = category.get("skeleton", ()) if joints else ()
        overlays.append(
            Overlay(
                rle,
                class_colour(number),
                _annotation_label(a, category["name"], show),
                tuple(zip(joints[::3], joints[1::3], joints[2::3], strict=True)),
                tuple((start - 1, end - 1) for start, end in bones),
                is_box=not has_mask(a),
            )
        )
    return overlays


def detection_overlays(detections: list[dict[str, Any]], categories: list[dict[str, Any]]) -> list[Overlay]:
    """Build the overlays of an image's detections (COCO results); labels: class, track, score, distance."""
    names = {c["id"]: (number, readable(c["name"])) for number, c in enumerate(categories)}
    overlays = []
    for detection in detections:
        number, name = names[detection["category_id"]]
        track = f" #{detection['track_id']}" if detection.get("track_id") is not None else ""
        label = f"{name}{track} {detection['score']:.2f}"
        if "distance" in detection:
            label += f", {detection['distance']:.1f} m"
        overlays.append(Overlay(detection["segmentation"], class_colour(number), label))
    return overlays


def draw_overlays(
    image: Image.Image,
    overlays: Sequence[Overlay],
    boxes: bool = False,
    label_size: int | None = None,
    masks: bool = True,
) -> Image.Image:
    """Draw objects on a copy of an image, the smallest on top.

    Args:
        image: the image; it is not changed.
        overlays: the objects.
        boxes: draw the box around each mask. An object without a mask has a box if masks are coloured, too.
        label_size: height of the labels' letters in pixels; None: in proportion to the image.
        masks: colour the masks. Boxes, keypoints and labels do not depend on it.
    """
    pixels = np.asarray(image.convert("RGB")).astype(np.float32)
    outline = max(1, round(min(image.size) / 260))
    # Masks are decoded one by one, because together they may not fit into memory.
    order = sorted(range(len(overlays)), key=lambda i: -_area_share(overlays[i].rle))
    box_of: dict[int, Box | None] = {}
    for index in order:
        mask = _decode_to_size(overlays[index].rle, image.size)
        box_of[index] = _mask_box(mask)
        if masks and not overlays[index].is_box:
            _blend_mask(pixels, mask, overlays[index].colour, outline)
    drawn = Image.fromarray(pixels.round().astype(np.uint8))
    canvas = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size=label_size or max(11, round(min(image.size) / 34)))
    occupied: list[Box] = []
    width = max(1, round(min(image.size) / 160))
    for index in order:
        box = box_of[index]
        if box is not None and (boxes or (masks and overlays[index].is_box)):
            canvas.rectangle(box, outline=overlays[index].colour, width=width)
    for index in order:
        box = box_of[index]
        if box is not None:
            _draw_skeleton(canvas, overlays[index], min((box[3] - box[1]) / 60, min(image.size) / 130))
    for index in order:
        box = box_of[index]
        if box is not None and overlays[index].label:
            _draw_label(canvas, font, box, overlays[index], occupied)
    return drawn


def _annotation_label(annotation: dict[str, Any], name: str, show: Sequence[str]) -> str:
    """Format an annotation's label: name, id, and the visible fraction if it is low."""
    words = [readable(name)] if "names" in show else []
    if "ids" in show:
        words.append(f"#{annotation['id']}")
    label, visible = " ".join(words), annotation.get("visible_fraction", 1.0)
    if "visible" in show and visible < _VISIBLE_BELOW:
        label += f"{', ' if label else ''}{100 * visible:.0f} %"
    return label


def _area_share(rle: dict[str, Any]) -> float:
    """Compute the area of a mask as a share of its image."""
    return float(mask_utils.area(rle)) / (rle["size"][0] * rle["size"][1])


def _decode_to_size(rle: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Decode a mask and scale it to ``size`` (width, height); return (height, width) bool."""
    mask = mask_utils.decode(rle)
    if mask.shape != (size[1], size[0]):
        # Transposed: pycocotools stores columns one after the other, Pillow rows.
        columns = Image.fromarray(mask.T * 255).resize(size[::-1], Image.Resampling.BILINEAR)
        mask = np.asarray(columns).T > 127
    return np.asarray(mask, bool)


def _mask_box(mask: npt.NDArray[np.bool_]) -> Box | None:
    """Return the box around a mask (H, W); None if the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def _blend_mask(
    pixels: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], colour: Colour, outline: int
) -> None:
    """Blend a colour into ``pixels`` (H, W, 3) inside the mask, strongly along its outline."""
    box = _mask_box(mask)
    if box is None:
        return
    x0, y0, x1, y1 = (int(value) for value in box)
    inside = np.pad(mask[y0 : y1 + 1, x0 : x1 + 1], outline)
    core = inside
    for _ in range(outline):
        core = core & np.roll(core, 1, 0) & np.roll(core, -1, 0) & np.roll(core, 1, 1) & np.roll(core, -1, 1)
    strength = np.where(core, np.float32(0.38), inside * np.float32(0.95))
    strength = strength[outline:-outline, outline:-outline, None]
    part = pixels[y0 : y1 + 1, x0 : x1 + 1]
    part[:] = part * (1 - strength) + np.array(colour, np.float32) * strength


def _draw_skeleton(canvas: ImageDraw.ImageDraw, overlay: Overlay, radius: float) -> None:
    """Draw white bones and dots for visible joints, grey bones and rings for hidden ones."""
    height, width = overlay.rle["size"]
    scale = (canvas.im.size[0] / width, canvas.im.size[1] / height)
    joints = [(x * scale[0], y * scale[1], v) for x, y, v in overlay.joints]
    for a, b in overlay.bones:
        (ax, ay, av), (bx, by, bv) = joints[a], joints[b]
        if av and bv:
            canvas.line((ax, ay, bx, by), fill=_VISIBLE if av == bv == 2 else _HIDDEN, width=1)
    for x, y, v in joints:
        area = (x - radius, y - radius, x + radius, y + radius)
        if v == 2:
            canvas.ellipse(area, fill=_VISIBLE, outline=_OUTLINE if radius >= 1.5 else _VISIBLE)
        elif v == 1:
            canvas.ellipse(area, outline=_HIDDEN)


def _draw_label(
    canvas: ImageDraw.ImageDraw, font: Any, box: Box, overlay: Overlay, occupied: list[Box]
) -> None:
    """Write the label near ``box``, at the first place that does not overlap another label."""
    size = canvas.im.size
    left, top, right, bottom = canvas.textbbox((0, 0), overlay.label, font=font)
    w, h = right - left + 6, bottom - top + 6
    x = min(max(box[0], 0), max(size[0] - w, 0))
    heights = [box[1] - h - 1, box[3] + 2, box[1] + 2, box[3] - h - 1, (box[1] + box[3]) / 2]
    corners = [(x, min(max(y, 0), max(size[1] - h, 0))) for y in heights]
    corner = next((c for c in corners if not any(_overlap(c, (w, h), o) for o in occupied)), corners[0])
    area = (corner[0], corner[1], corner[0] + w, corner[1] + h)
    occupied.append(area)
    canvas.rectangle(area, fill=overlay.colour)
    bright = sum(overlay.colour) > 330
    canvas.text(
        (corner[0] + 3 - left, corner[1] + 3 - top),
        overlay.label,
        font=font,
        fill=(16, 18, 22) if bright else "white",
    )


def _overlap(corner: tuple[float, float], size: tuple[float, float], other: Box) -> bool:
    """Return whether a rectangle at ``corner`` overlaps another rectangle."""
    x, y = corner
    return x < other[2] and other[0] < x + size[0] and y < other[3] and other[1] < y + size[1]
