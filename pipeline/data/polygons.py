"""Convert masks to polygons along pixel edges without loss, and clip polygons to their image.

The outline runs along the edges of pixels. So COCO's rasteriser, which fills by the even-odd rule, gives the
same mask again. A hole is connected to its outline by a slit: a line to the hole and the same line back,
which covers no pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

from pipeline.data.values import is_number

Ring = npt.NDArray[np.int64]
"""Corners (N, 2) of a closed polygon as x, y in pixels; the first corner is not repeated."""


def mask_to_polygons(mask: npt.NDArray[Any]) -> list[list[float]]:
    """Convert a mask (H, W), nonzero inside, to COCO polygons: one per 4-connected piece with its holes.

    Pixels that touch only at a corner belong to different pieces.
    """
    outlines, holes = trace_rings(np.asarray(mask) != 0)
    pieces: list[list[Ring]] = [[ring] for ring in outlines]
    for hole in holes:
        pieces[_outline_around(outlines, hole)].append(hole)
    return [_flatten(_join(piece)) for piece in pieces]


def mask_to_single_polygon(mask: npt.NDArray[Any]) -> list[float]:
    """Convert a mask (H, W) to one polygon, its pieces and holes joined by slits; [] for an empty mask."""
    outlines, holes = trace_rings(np.asarray(mask) != 0)
    return _flatten(_join([*outlines, *holes])) if outlines else []


def count_changed_pixels(mask: npt.NDArray[Any], polygons: list[list[float]]) -> int:
    """Count the pixels that differ between a mask and its polygons as drawn by pycocotools."""
    inside = np.asarray(mask) != 0
    if not polygons:
        return int(inside.sum())
    drawn = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(polygons, *inside.shape)))
    return int((inside != drawn.astype(bool)).sum())


def trace_rings(inside: npt.NDArray[np.bool_]) -> tuple[list[Ring], list[Ring]]:
    """Trace the outlines and the holes of a mask (H, W), all clockwise on the screen.

    At every corner one horizontal and one vertical edge meet. So along a line between pixels, the corners
    form pairs: the two ends of each edge on that line. Where two pixels touch diagonally, two corners share
    a point.
    """
    corners, flipped = _corners(inside)
    across = _partners(np.lexsort((np.arange(len(corners)), corners[:, 0], corners[:, 1])))
    down = _partners(np.lexsort((flipped, corners[:, 1], corners[:, 0])))
    outlines: list[Ring] = []
    holes: list[Ring] = []
    visited = np.zeros(len(corners), bool)
    for start in range(len(corners)):
        if visited[start]:
            continue
        path, at = [], start
        while not visited[at]:
            visited[at] = visited[across[at]] = True
            path += [at, int(across[at])]
            at = int(down[across[at]])
        # The first corner is the ring's topmost, leftmost corner, so the pixel below right of it lies within
        # the ring. It belongs to the mask if the ring is an outline, and does not if the ring is a hole.
        x, y = corners[start]
        (outlines if inside[y, x] else holes).append(corners[path])
    return outlines, holes


def clip_polygon(polygon: list[float], width: int, height: int) -> list[float]:
    """Clip a polygon to the image (Sutherland and Hodgman, 1974).

    Args:
        polygon: x1, y1, x2, y2, ... in pixels.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Returns:
        The part within the image in the same form; [] if there is none.
    """
    points = np.asarray(polygon, float).reshape(-1, 2)
    for axis, sign, bound in ((0, -1, 0), (1, -1, 0), (0, 1, width), (1, 1, height)):
        if not len(points):
            return []
        depth = sign * (bound - points[:, axis])  # distance to this edge of the image; positive: inside
        before, behind = np.roll(points, 1, axis=0), np.roll(depth, 1)
        clipped: list[npt.NDArray[np.float64]] = []
        for point, d, previous, e in zip(points, depth, before, behind, strict=True):
            if (d < 0) != (e < 0):
                clipped.append(previous + (point - previous) * (e / (e - d)))
            if d >= 0:
                clipped.append(point)
        points = np.array(clipped).reshape(-1, 2)
    points = np.clip(points, 0, (width, height))  # a cut may lie outside by a rounding error
    return [float(value) for value in points.ravel()] if len(points) >= 3 else []


def flatten_points(polygon: Any) -> list[float] | None:
    """Flatten [[x1, y1], [x2, y2], ...] to [x1, y1, x2, y2, ...].

    Returns:
        The flat list, which ``polygon`` may be already; None if it has neither of the two forms.
    """
    if not isinstance(polygon, list):
        return None
    points = [point if isinstance(point, list) else [point] for point in polygon]
    values = [value for point in points for value in point]
    same_length = len({len(point) for point in points}) <= 1
    return values if same_length and all(is_number(value) for value in values) else None


def _corners(inside: npt.NDArray[np.bool_]) -> tuple[Ring, npt.NDArray[np.int64]]:
    """Find all corners of a mask.

    Returns:
        The corners (N, 2) in reading order, and a sort key (N,) for corners at the same point, for the
        pairing along vertical lines.
    """
    padded = np.pad(inside, 1).astype(np.int8)
    # The four pixels around each point of the grid between pixels.
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    diagonal = (a == d) & (b == c) & (a != b)
    number = np.where(diagonal, 2, (a + b + c + d) % 2)
    y, x = np.nonzero(number)
    repeats = number[y, x]
    corners = np.repeat(np.stack([x, y], axis=1), repeats, axis=0).astype(np.int64)
    order = np.arange(len(corners))
    # Two corners share a point where pixels touch diagonally. If these are the pixels above left and below
    # right, the first corner ends both the edge from the left and the edge from above. If they are the other
    # two, it ends the edge from the left and starts the edge downwards.
    crossed = np.repeat(diagonal[y, x] & (b[y, x] == 1), repeats)
    return corners, np.where(crossed, -order, order)


def _partners(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the other end of each corner's edge, if ``order`` lists both ends of each edge in turn."""
    partners = np.empty_like(order)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners


def _outline_around(outlines: list[Ring], hole: Ring) -> int:
    """Return the index of the smallest outline that contains the pixel above a hole's first corner."""
    x, y = hole[0] + (0.5, -0.5)
    sizes = [_area(ring) if _contains(ring, x, y) else np.inf for ring in outlines]
    return int(np.argmin(sizes))


def _contains(ring: Ring, x: float, y: float) -> bool:
    """Return whether a point lies in a ring: the even-odd rule along a line to the left of the point."""
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    crossing = (x0 == x1) & (x0 < x) & ((y0 > y) != (y1 > y))
    return bool(crossing.sum() % 2)


def _area(ring: Ring) -> float:
    """Compute the area by the shoelace formula."""
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    return abs(float((x0 * y1 - x1 * y0).sum())) / 2


def _join(rings: list[Ring]) -> Ring:
    """Join rings by slits: at each step from the nearest corner to the next ring, around it, and back."""
    joined = rings[0]
    for ring in rings[1:]:
        gaps = np.abs(joined[:, None] - ring[None]).sum(axis=2)
        at, to = np.unravel_index(int(gaps.argmin()), gaps.shape)
        turned = np.roll(ring, -int(to), axis=0)
        detour = np.concatenate([turned, turned[:1], joined[at : at + 1]])
        joined = np.insert(joined, int(at) + 1, detour, axis=0)
    return joined


def _flatten(ring: Ring) -> list[float]:
    return [float(value) for value in ring.ravel()]
