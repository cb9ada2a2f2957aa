"""Draw masks on a picture: a veil of colour, an outline, a skeleton, a label that stays readable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pycocotools import mask as mask_utils

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]

PALETTE: tuple[Colour, ...] = (
    (0, 200, 255), (255, 205, 0), (255, 70, 170), (90, 230, 110), (255, 130, 40), (170, 120, 255),
)  # fmt: skip
"""One colour a class, bright beside concrete and steel, apart for colour-blind eyes in the first two."""
IGNORED: Colour = (150, 155, 160)
_BONE, _HIDDEN, _EDGE = (255, 255, 255), (172, 176, 182), (20, 22, 26)


@dataclass(frozen=True)
class Overlay:
    """One object to draw."""

    rle: dict[str, Any]
    """Compressed RLE; a mask of another size than the picture is scaled to it."""
    colour: Colour
    label: str = ""
    joints: tuple[tuple[float, float, int], ...] = ()
    """COCO keypoints (x, y, v) in pixels of the mask; v 0 is not drawn, 1 (hidden) as a ring, 2 as a dot."""
    bones: tuple[tuple[int, int], ...] = ()
    """Pairs of joints, counted from 0, with a line between them."""


def class_colour(number: int) -> Colour:
    """The colour of the class with this number, from 0."""
    return PALETTE[number % len(PALETTE)]


def readable(name: str) -> str:
    """A class's name for people: "pallet_truck" is a pallet truck."""
    return name.replace("_", " ")


def draw_overlays(
    picture: Image.Image,
    overlays: Sequence[Overlay],
    boxes: bool = False,
    label_size: int | None = None,
    veil: bool = True,
) -> Image.Image:
    """Draw ``overlays`` on a copy of ``picture`` (RGB), the smallest on top.

    Args:
        boxes: draw the box around each mask as well.
        label_size: height of the labels' letters in pixels; None: what suits the picture.
        veil: colour the masks; else only what is asked for besides is drawn.
    """
    pixels = np.asarray(picture.convert("RGB")).astype(np.float32)
    width = max(1, round(min(picture.size) / 260))
    # One mask at a time: all of them, at the picture's size, may not fit into memory.
    order = sorted(range(len(overlays)), key=lambda i: -_share(overlays[i].rle))
    frames: dict[int, Box | None] = {}
    for index in order:
        mask = _fit(overlays[index].rle, picture.size)
        frames[index] = _box(mask)
        if veil:
            _veil(pixels, mask, overlays[index].colour, width)
    drawn = Image.fromarray(pixels.round().astype(np.uint8))
    canvas = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size=label_size or max(11, round(min(picture.size) / 34)))
    taken: list[Box] = []
    for index in order:
        frame = frames[index]
        if frame is not None and boxes:
            canvas.rectangle(frame, outline=overlays[index].colour, width=1)
    for index in order:
        frame = frames[index]
        if frame is not None:
            _skeleton(canvas, overlays[index], min((frame[3] - frame[1]) / 60, min(picture.size) / 130))
    for index in order:
        frame = frames[index]
        if frame is not None and overlays[index].label:
            _label(canvas, font, frame, overlays[index], taken)
    return drawn


def _share(rle: dict[str, Any]) -> float:
    """How much of its picture a mask covers."""
    return float(mask_utils.area(rle)) / (rle["size"][0] * rle["size"][1])


def _fit(rle: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    mask = mask_utils.decode(rle)
    if mask.shape != (size[1], size[0]):
        mask = np.asarray(Image.fromarray(mask * 255).resize(size, Image.Resampling.BILINEAR)) > 127
    return np.asarray(mask, bool)


def _box(mask: npt.NDArray[np.bool_]) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def _veil(pixels: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], colour: Colour, width: int) -> None:
    """Blend ``colour`` into the mask, strongly along its outline of ``width`` pixels."""
    frame = _box(mask)
    if frame is None:
        return
    x0, y0, x1, y1 = (int(value) for value in frame)
    inside = np.pad(mask[y0 : y1 + 1, x0 : x1 + 1], width)
    core = inside
    for _ in range(width):
        core = core & np.roll(core, 1, 0) & np.roll(core, -1, 0) & np.roll(core, 1, 1) & np.roll(core, -1, 1)
    strength = np.where(core, np.float32(0.38), inside * np.float32(0.95))[width:-width, width:-width, None]
    part = pixels[y0 : y1 + 1, x0 : x1 + 1]
    part[:] = part * (1 - strength) + np.array(colour, np.float32) * strength


def _skeleton(canvas: ImageDraw.ImageDraw, overlay: Overlay, radius: float) -> None:
    """White bones and dots for joints that are seen; thin grey bones and rings for hidden ones."""
    height, width = overlay.rle["size"]
    scale = (canvas.im.size[0] / width, canvas.im.size[1] / height)
    joints = [(x * scale[0], y * scale[1], v) for x, y, v in overlay.joints]
    for a, b in overlay.bones:
        (ax, ay, av), (bx, by, bv) = joints[a], joints[b]
        if av and bv:
            canvas.line((ax, ay, bx, by), fill=_BONE if av == bv == 2 else _HIDDEN, width=1)
    for x, y, v in joints:
        area = (x - radius, y - radius, x + radius, y + radius)
        if v == 2:
            canvas.ellipse(area, fill=_BONE, outline=_EDGE if radius >= 1.5 else _BONE)
        elif v == 1:
            canvas.ellipse(area, outline=_HIDDEN)


def _label(canvas: ImageDraw.ImageDraw, font: Any, frame: Box, overlay: Overlay, taken: list[Box]) -> None:
    """Write the label at the first place around ``frame`` that no other label has."""
    size = canvas.im.size
    left, top, right, bottom = canvas.textbbox((0, 0), overlay.label, font=font)
    w, h = right - left + 6, bottom - top + 6
    x = min(max(frame[0], 0), max(size[0] - w, 0))
    places = [frame[1] - h - 1, frame[3] + 2, frame[1] + 2, frame[3] - h - 1, (frame[1] + frame[3]) / 2]
    spots = [(x, min(max(y, 0), max(size[1] - h, 0))) for y in places]
    spot = next((s for s in spots if not any(_meet(s, (w, h), other) for other in taken)), spots[0])
    area = (spot[0], spot[1], spot[0] + w, spot[1] + h)
    taken.append(area)
    canvas.rectangle(area, fill=overlay.colour)
    dark = sum(overlay.colour) > 330
    canvas.text(
        (spot[0] + 3 - left, spot[1] + 3 - top),
        overlay.label,
        font=font,
        fill=(16, 18, 22) if dark else "white",
    )


def _meet(spot: tuple[float, float], size: tuple[float, float], other: Box) -> bool:
    x, y = spot
    return x < other[2] and other[0] < x + size[0] and y < other[3] and other[1] < y + size[1]


def result_overlays(results: list[dict[str, Any]], categories: list[dict[str, Any]]) -> list[Overlay]:
    """The predictions of one image, labelled with class and score."""
    names = {c["id"]: (number, readable(c["name"])) for number, c in enumerate(categories)}
    return [
        Overlay(
            r["segmentation"],
            class_colour(names[r["category_id"]][0]),
            f"{names[r['category_id']][1]} {r['score']:.2f}",
        )
        for r in results
    ]
