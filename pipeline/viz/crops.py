"""Crops of images around objects, with the objects drawn, as JPEG for HTML pages."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as mask_utils

from pipeline.data.rle import encode_mask
from pipeline.viz.overlays import Overlay, draw_overlays

_JPEG_QUALITY = 82
_CROP_WIDTH, _CROP_LABEL = 320, 15
"""Width of a crop and height of its labels, in pixels."""
_SMALLEST_CROP = 96
"""Side of the smallest crop, in pixels of the image."""
_MARGIN = 0.6
"""Margin of a crop around the object on each side, as a share of the object's longer side."""


def crop_window(boxes: list[list[float]], image: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return a square around all boxes with a margin, inside the image: left, top, right, bottom."""
    left, top = (min(b[i] for b in boxes) for i in (0, 1))
    right, bottom = (max(b[i] + b[i + 2] for b in boxes) for i in (0, 1))
    side = max(_SMALLEST_CROP, (1 + 2 * _MARGIN) * max(right - left, bottom - top))
    spans = []
    for low, high, size in ((left, right, image["width"]), (top, bottom, image["height"])):
        length = min(size, round(side))
        start = min(max(0, round((low + high - length) / 2)), size - length)
        spans.append((start, start + length))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def draw_crop(
    pixels: npt.NDArray[np.uint8], overlays: list[Overlay], window: tuple[int, int, int, int]
) -> Image.Image:
    """Crop an image (H, W, 3) to a window, enlarge it and draw the objects in it."""
    x0, y0, x1, y1 = window
    part = Image.fromarray(pixels[y0:y1, x0:x1])
    size = (_CROP_WIDTH, max(1, round(_CROP_WIDTH * part.height / part.width)))
    inside = [
        Overlay(encode_mask(mask_utils.decode(o.rle)[y0:y1, x0:x1]), o.colour, o.label, is_box=o.is_box)
        for o in overlays
    ]
    return draw_overlays(part.resize(size, Image.Resampling.LANCZOS), inside, label_size=_CROP_LABEL)


def data_uri(image: Image.Image) -> str:
    """Encode an image as JPEG in a data: URI."""
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_JPEG_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
