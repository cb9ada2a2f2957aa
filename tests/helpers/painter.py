"""An independent z-buffer renderer in plain numpy: the reference for masks of small scenes.

The camera is at (0, 0, EYE), is level and points to +x. Its perspective lens has a focal length of FOCAL
pixels. A point (x, y, z) lies at column WIDTH / 2 - FOCAL * y / x and row HEIGHT / 2 - FOCAL * (z - EYE) / x.
This module uses neither Blender nor ``blender.geometry.lens``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blender.geometry.mesh import Part
from blender.spec import CameraSpec

WIDTH, HEIGHT, FOCAL, EYE = 240, 200, 200.0, 1.0
CAMERA = CameraSpec((0.0, 0.0, EYE), 0.0, 0.0, 0.0, 2 * float(np.arctan(WIDTH / 2 / FOCAL)))

SLACK = 0.01
"""Tolerance of a ray's position, pixels: Blender's rays start within 0.005 pixels of a pixel's centre."""


@dataclass(frozen=True)
class Solid:
    """The triangles of an object."""

    owner: int
    """Number of the object, from 1."""
    corners: np.ndarray
    """(T, 3, 3) metres in the world."""


def solid(
    owner: int, parts: list[Part], position: tuple[float, float, float] = (0, 0, 0), yaw: float = 0.0
) -> Solid:
    """Return the triangles of parts that are turned by ``yaw`` radians about z, then moved."""
    c, s = np.cos(yaw), np.sin(yaw)
    triangles = []
    for part in parts:
        x, y, z = part.vertices.T
        world = np.stack([c * x - s * y + position[0], s * x + c * y + position[1], z + position[2]], 1)
        quads = part.faces[part.faces[:, 3] >= 0]
        triangles += [world[part.faces[:, :3]], world[quads[:, [0, 2, 3]]]]
    return Solid(owner, np.concatenate(triangles))


def to_pixels(points: np.ndarray) -> np.ndarray:
    """Return column and row, (..., 2), of points (..., 3) in the world."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([WIDTH / 2 - FOCAL * y / x, HEIGHT / 2 - FOCAL * (z - EYE) / x], -1)


def paint(solids: list[Solid], shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return the owner of the nearest surface at pixel centres plus ``shift`` pixels, (H, W); 0: none."""
    nearest = np.zeros((HEIGHT, WIDTH))  # 1 / x, which is linear in the image
    owners = np.zeros((HEIGHT, WIDTH), int)
    for item in solids:
        assert (item.corners[..., 0] > 0.1).all(), "a solid is beside or behind the camera"
        pixels = to_pixels(item.corners) - 0.5 - np.array(shift)  # pixel centres at integers
        low = np.maximum(np.ceil(pixels.min(1)), 0).astype(int)
        high = np.minimum(np.floor(pixels.max(1)), [WIDTH - 1, HEIGHT - 1]).astype(int)
        inverse = 1 / item.corners[..., 0]
        for k in np.flatnonzero((low <= high).all(1)):
            (x0, y0), (x1, y1) = low[k], high[k]
            share = _shares(pixels[k], *np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1)))
            if share is None:
                continue
            near = np.where((share >= 0).all(0), np.tensordot(inverse[k], share, 1), 0.0)
            window = (slice(y0, y1 + 1), slice(x0, x1 + 1))
            wins = near > nearest[window]
            nearest[window][wins] = near[wins]
            owners[window][wins] = item.owner
    return owners


def _shares(corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Return barycentric coordinates (3, ...) of points in a triangle (3, 2); None if its area is zero."""
    (ax, ay), (bx, by), (cx, cy) = corners
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if abs(area) < 1e-12:
        return None
    b = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    c = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
    return np.stack([1 - b - c, b, c])


def behind_boxes(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels whose rays hit one of N boxes, and those that no shift by SLACK changes, (H, W) each.

    Args:
        low: the boxes' lowest corners, (N, 3) metres.
        high: their highest corners, (N, 3) metres.
    """
    shifts = [(0.0, 0.0), *((x, y) for x in (-SLACK, SLACK) for y in (-SLACK, SLACK))]
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    hits = []
    for dx, dy in shifts:
        y, z = (WIDTH / 2 - columns - dx) / FOCAL, (HEIGHT / 2 - rows - dy) / FOCAL
        meets = np.zeros((HEIGHT, WIDTH), bool)
        for a, b in zip(low - [0, 0, EYE], high - [0, 0, EYE], strict=True):
            spans = [np.sort([a[k] / way, b[k] / way], axis=0) for k, way in ((1, y), (2, z))]
            enter = np.maximum.reduce([np.full_like(y, a[0]), *(s[0] for s in spans)])
            leave = np.minimum.reduce([np.full_like(y, b[0]), *(s[1] for s in spans)])
            meets |= enter <= leave
        hits.append(meets)
    return hits[0], np.all([other == hits[0] for other in hits[1:]], axis=0)


def paint_with_certainty(solids: list[Solid]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``paint`` and the pixels that no shift by SLACK changes, (H, W) each.

    Blender's render must agree only at these pixels.
    """
    owners = paint(solids)
    shifts = [(x, y) for x in (-SLACK, SLACK) for y in (-SLACK, SLACK)]
    return owners, np.all([paint(solids, shift) == owners for shift in shifts], axis=0)
