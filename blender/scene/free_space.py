"""Footprints on the floor: corners, overlap, distance. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.spec import Footprint

Corners = np.ndarray
"""Corners of a convex quadrilateral on the floor, (4, 2) metres."""

_NEXT, _TURNED = [1, 2, 3, 0], (-1.0, 1.0)
"""Indices of each corner's successor; signs that turn an edge into its normal."""


def corners_of(footprint: Footprint, position: Any = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Corners:
    """Return the corners, (4, 2) metres, of a footprint turned by ``yaw`` and moved to ``position``."""
    x0, x1, y0, y1 = footprint
    c, s = np.cos(yaw), np.sin(yaw)
    local = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return local @ np.array([[c, s], [-s, c]]) + np.asarray(position, float)[:2]


def overlap(a: Corners, b: Corners) -> float:
    """Return the depth of the overlap of two quadrilaterals, metres; a negative value is their distance.

    Separating axis theorem over the normals of all edges. The distance is exact for parallel edges and a
    lower bound elsewhere.
    """
    return min(_overlap_along(a, a, b), _overlap_along(b, a, b))


def is_apart(corners: Corners, others: list[Corners], gap: float) -> bool:
    """Return whether a quadrilateral is more than ``gap`` metres from all others."""
    if not others:
        return True
    stacked = np.array(others)
    # Most are far away: the exact test runs only where the bounding boxes meet.
    near = (corners.min(0) - gap < stacked.max(1)) & (corners.max(0) + gap > stacked.min(1))
    return all(_separated(corners, other, gap) for other in stacked[near.all(1)])


def _separated(a: Corners, b: Corners, gap: float) -> bool:
    """Return whether two quadrilaterals are more than ``gap`` metres apart.

    The normals of the first shape decide most cases, so the second test is often skipped.
    """
    return _overlap_along(a, a, b) < -gap or _overlap_along(b, a, b) < -gap


def _overlap_along(shape: Corners, a: Corners, b: Corners) -> float:
    """Return the least overlap of a and b along the normals of the edges of ``shape``."""
    edges = shape[_NEXT] - shape
    normals = edges[:, ::-1] * _TURNED
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True))
    pa, pb = a @ normals.T, b @ normals.T
    return float(np.minimum(pa.max(0) - pb.min(0), pb.max(0) - pa.min(0)).min())
