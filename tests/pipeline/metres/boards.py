"""Upright boards on the floor, as a camera sees them: COCO entries whose distances are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipeline.data.rle import encode_mask
from pipeline.metres.camera import Camera

SIZE = (640, 480)
"""Width and height of the pictures, pixels."""


def board(
    camera: Camera, x: float, z: float, width: float = 0.5, height: float = 1.75, hidden: float = 0.0
) -> dict[str, Any]:
    """Return the entry of a board whose foot is at (x, z); its lowest ``hidden`` metres are not seen."""
    sides = [
        (x + width * share, y, z)
        for share, y in ((-0.5, hidden), (-0.5, height), (0.5, height), (0.5, hidden))
    ]
    corners = camera.project(np.array(sides), SIZE)
    picture = Image.new("1", SIZE)
    ImageDraw.Draw(picture).polygon([tuple(corner) for corner in corners.tolist()], fill=1)
    left, top, right, bottom = picture.getbbox() or (0, 0, 1, 1)
    rise = max(camera.height - height, 0.0)
    return {
        "segmentation": encode_mask(np.asarray(picture)),
        "bbox": [left, top, right - left, bottom - top],
        "distance": float(np.sqrt(x**2 + z**2 + rise**2)),
        "visible_fraction": 1 - hidden / height,
        "truncated": bool((corners < 0).any() or (corners > SIZE).any()),
        "score": 0.9,
    }
