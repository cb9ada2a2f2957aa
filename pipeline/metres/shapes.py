"""The outlines of detections, and what a camera sees of them: the input of the distance model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from pipeline.data.rle import as_rle
from pipeline.metres.camera import Camera, Floats

FARTHEST = 30.0
"""Metres at which the ray through a foot is cut; rays near the horizon meet the floor nowhere or far away."""
_BORDER = 0.003
"""Gap between a box and the picture's edge, as a share of the longer side, below which the object is cut."""
_SMALLEST = 0.003
"""Smallest angle of an object, radians."""


@dataclass(frozen=True)
class Shapes:
    """The outlines of N objects in one picture."""

    boxes: Floats
    """(N, 4) xyxy in pixels."""
    feet: Floats
    """(N,) x of the foot: the middle of the mask's lowest row, in pixels."""
    fills: Floats
    """(N,) the mask's share of its box."""
    size: tuple[int, int]
    """Width and height of the picture in pixels."""

    @property
    def cut(self) -> Floats:
        """(N, 4) 1 where the box touches the left, top, right or bottom edge of the picture, else 0."""
        gaps = self.boxes * [1, 1, -1, -1] + [0, 0, *self.size]
        return (gaps <= _BORDER * max(self.size)).astype(float)

    @property
    def foot_points(self) -> Floats:
        """(N, 2) the pixel below which the object stands."""
        return np.column_stack([self.feet, self.boxes[:, 3]])


def shapes_of(objects: list[dict[str, Any]], size: tuple[int, int]) -> Shapes:
    """Measure the masks of COCO annotations or results of one picture of ``size`` (width, height)."""
    rows = np.array([_measure(entry, size) for entry in objects]).reshape(len(objects), 6)
    return Shapes(rows[:, :4], rows[:, 4], rows[:, 5], size)


def _measure(entry: dict[str, Any], size: tuple[int, int]) -> list[float]:
    rle = as_rle(entry["segmentation"], *size)
    left, top, width, height = mask_utils.toBbox(rle)
    if width < 1 or height < 1:  # an empty mask
        left, top, width, height = entry["bbox"]
        return [left, top, left + width, top + height, left + width / 2, 1.0]
    lowest = np.flatnonzero(mask_utils.decode(rle)[int(top + height) - 1])
    area = float(mask_utils.area(rle))
    return [left, top, left + width, top + height, float(lowest.mean()) + 0.5, area / (width * height)]


def features(shapes: Shapes, camera: Camera) -> Floats:
    """Compute what the camera sees of each object.

    Returns:
        (N, 14): logarithms of the range at which the foot's ray meets the floor, of the angular height, of
        the angular width and of the root of the mask's solid angle; tangents of the angle below the horizon
        of foot, top and middle; logarithm of the camera's height, the height; ``Shapes.fills`` and
        ``Shapes.cut``.
    """
    boxes, count = shapes.boxes, len(shapes.boxes)
    middle_x, middle_y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    points = [
        shapes.foot_points,
        np.column_stack([middle_x, boxes[:, 1]]),
        np.column_stack([boxes[:, 0], middle_y]),
        np.column_stack([boxes[:, 2], middle_y]),
        np.column_stack([middle_x, middle_y]),
    ]
    rays = camera.rays(np.concatenate(points), shapes.size)
    below = -rays[:, 1] / np.hypot(rays[:, 0], rays[:, 2])
    foot, top, left, right, middle = (slice(k * count, (k + 1) * count) for k in range(5))
    height = np.log(_angle(rays[top], rays[foot]))
    width = np.log(_angle(rays[left], rays[right]))
    reach = np.log(camera.height / np.maximum(below[foot], camera.height / FARTHEST))
    area = 0.5 * (np.log(np.maximum(shapes.fills, 0.02)) + height + width)
    of_camera = np.tile([np.log(camera.height), camera.height], (count, 1))
    columns = [reach, height, width, area, below[foot], below[top], below[middle], of_camera, shapes.fills]
    return np.column_stack([*columns, shapes.cut])


def _angle(a: Floats, b: Floats) -> Floats:
    """Return the angles (N,) between unit vectors (N, 3), radians."""
    return np.maximum(np.arccos(np.clip((a * b).sum(1), -1, 1)), _SMALLEST)
