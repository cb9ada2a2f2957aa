"""Convert masks to polygons along pixel edges without loss, and clip polygons to their image.

The outline runs along the edges of pixels, moved into the mask by ``INSET``. So every way to fill polygons
gives the same mask again: COCO's rasteriser, which rounds to fifths of a pixel; the pixels whose centre is
inside; and OpenCV, which cuts off the fraction and includes the border. A hole is connected to its outline by
a cut through the mask that is two insets wide. So a piece with holes is a simple polygon: it does not touch
itself, and the even-odd rule, the non-zero rule and the area formula agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.data.values import is_number

INSET = 0.001
"""Distance from the edges of pixels to the outline, in pixels.

Small, so that an area formula does not notice it; large enough for 32-bit numbers up to 8,192 pixels.
"""

Ring = npt.NDArray[np.float64]
"""Points (N, 2) of a closed polygon as x, y in pixels; the first point is not repeated."""

# The four sides of a pixel, clockwise on the screen: top, right, bottom, left.
_BOTTOM = 2
_AHEAD = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
"""The direction (rows, columns) in which each side is walked, so that the pixel is on the right."""
_OUT = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
"""The direction (rows, columns) out of the pixel across each side."""
_END = np.array([(0, 1), (1, 1), (1, 0), (0, 0)])
"""The corner (rows, columns) of the pixel at which each side ends."""

_Edges = npt.NDArray[np.bool_]
"""(4, H + 2, W + 2): whether a side of a pixel is part of the outline; one pixel of margin."""


def mask_to_polygons(mask: npt.NDArray[Any]) -> list[list[float]]:
    """Convert a mask (H, W), nonzero inside, to COCO polygons: one per 4-connected piece with its holes.

    Pixels that touch only at a corner belong to different pieces.
    """
    return [_flatten(ring) for ring in trace_rings(mask)]


def mask_to_single_polygon(mask: npt.NDArray[Any]) -> list[float]:
    """Convert a mask (H, W) to one polygon; [] for an empty mask.

    The pieces are joined by slits: a line to the next piece and the same line back, which covers no area.
    OpenCV draws the line, so it is the shortest possible.
    """
    rings = trace_rings(mask)
    return _flatten(_join(rings)) if rings else []


def through_pixels(polygon: list[float]) -> list[float]:
    """Move the corners of an outline along edges to a quarter of the pixel that each is in.

    Whether corners are cut or rounded to integers, they then are the pixels on the border, and OpenCV fills
    the mask exactly. Other programs fill a row and a column less.
    """
    return (np.trunc(polygon) + 0.25).tolist()


def trace_rings(mask: npt.NDArray[Any]) -> list[Ring]:
    """Trace the outline of each 4-connected piece of a mask (H, W), clockwise on the screen.

    Holes are part of the outline. A ring has a point at each corner of a pixel that it passes.
    """
    y, x = np.nonzero(mask)
    if not len(y):
        return []
    left, top = x.min(), y.min()
    inside = np.pad(np.asarray(mask)[top : y.max() + 1, left : x.max() + 1] != 0, 1)
    around = np.stack([np.roll(inside, (-dy, -dx), axis=(0, 1)) for dy, dx in _OUT])
    edges = inside & ~around
    for ring, turns in _follow(edges):
        if turns.sum() < 0:  # four more turns to the left than to the right
            _cut_to_hole(inside, edges, ring)
    origin = np.array([left - 1, top - 1])  # without the margin
    return [_ring_points(ring, turns) + origin for ring, turns in _follow(edges)]


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


def _follow(edges: _Edges) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Follow the edges clockwise around the mask, holes counter-clockwise.

    Returns:
        For each ring its edges (N, 3) as side, row, column, and the turn (N,) at the end of each: 1 to the
        right, 0 straight on, -1 to the left. Rings are in the reading order of their first pixel.
    """
    side, y, x = sides = np.argwhere(edges).T
    ahead = np.stack([y, x]) + _AHEAD[side].T
    beyond = ahead + _OUT[side].T
    # A turn to the right stays at the pixel; straight on leads to the next pixel; a turn to the left leads to
    # the pixel across the corner. The first of these that is an edge is the next one.
    right, straight = edges[(side + 1) % 4, y, x], edges[side, ahead[0], ahead[1]]
    turns = np.where(right, 1, np.where(straight, 0, -1))
    pixel = np.where(right, (y, x), np.where(straight, ahead, beyond))
    numbers = np.empty(edges.shape, np.int64)
    numbers[*sides] = np.arange(len(side))
    following = numbers[(side + turns) % 4, *pixel].tolist()
    rings, visited = [], bytearray(len(following))
    for start in range(len(following)):
        ring, at = [], start
        while not visited[at]:
            visited[at] = 1
            ring.append(at)
            at = following[at]
        if ring:
            rings.append((sides.T[ring], turns[ring]))
    return rings


def _cut_to_hole(inside: npt.NDArray[np.bool_], edges: _Edges, hole: npt.NDArray[np.int64]) -> None:
    """Cut the mask from the topmost, leftmost corner of a hole upwards to the next background.

    The cut becomes two edges per row, so that the hole's ring joins that of the next hole or of the outline.
    It starts above the hole's first pixel, so it cannot end at the same hole.
    """
    _, y, x = min(edge for edge in hole.tolist() if edge[0] == _BOTTOM)
    while inside[y, x] and inside[y, x - 1]:
        edges[3, y, x] = edges[1, y, x - 1] = True
        y -= 1


def _ring_points(ring: npt.NDArray[np.int64], turns: npt.NDArray[np.int64]) -> Ring:
    """Return the points at which the edges of a ring end, moved into the mask.

    A corner is moved away from both of its edges. The ring begins where its first edge starts.
    """
    side = ring[:, 0]
    corner = ring[:, 1:] + _END[side]
    inwards = -_OUT[side] - np.where(turns[:, None] != 0, _OUT[(side + turns) % 4], 0)
    return np.roll((corner + INSET * inwards)[:, ::-1], 1, axis=0)


def _join(rings: list[Ring]) -> Ring:
    """Join rings by slits: at each step from the ring that is nearest to those joined so far."""
    joined, rest = rings[0], np.concatenate(rings)
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    place = np.concatenate([np.arange(len(ring)) for ring in rings])  # of each point in its ring
    nearest = np.zeros(len(rest), np.int64)  # the index in ``joined`` of the point nearest to each point
    gap = np.full(len(rest), np.inf)
    added, positions = joined, np.arange(len(joined))
    done = 0
    for _ in rings[1:]:
        left = owner != done
        owner, place, rest, nearest, gap = owner[left], place[left], rest[left], nearest[left], gap[left]
        _update_gaps(rest, nearest, gap, added, positions)
        best = int(gap.argmin())
        done, at = owner[best], int(nearest[best])
        added = np.roll(rings[done], -place[best], axis=0)
        detour = np.concatenate([added, added[:1], joined[at : at + 1]])
        joined = np.insert(joined, at + 1, detour, axis=0)
        nearest[nearest > at] += len(detour)
        positions = at + 1 + np.arange(len(added))
    return joined


def _update_gaps(
    points: Ring, nearest: npt.NDArray[np.int64], gap: npt.NDArray[np.float64],
    added: Ring, positions: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Update the nearest joined point of each point, and the gap in pixels that a slit would cross."""
    rows = max(1, 2_000_000 // len(added))  # a limit on memory
    for start in range(0, len(points), rows):
        part = slice(start, start + rows)
        gaps = np.abs(points[part, None] - added[None]).max(axis=2)
        closest = gaps.argmin(axis=1)
        gaps = gaps[np.arange(len(closest)), closest]
        better = gaps < gap[part]
        nearest[part][better], gap[part][better] = positions[closest[better]], gaps[better]


def _flatten(ring: Ring) -> list[float]:
    """Return x1, y1, x2, y2, ... without the points at which the outline runs straight on."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    straight = (cross == 0) & ((before * after).sum(axis=1) > 0)
    return ring[~straight].round(6).ravel().tolist()
