"""Masks as polygons along the edges of their pixels, and polygons cut to their image.

The outline runs on the lattice between pixels, so that COCO's rasteriser, which fills by the
even-odd rule, gives back the mask itself. A hole is reached through a slit: a line to it and the
same line back, which fills nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

Ring = npt.NDArray[np.int64]
"""Corners (N, 2) as x, y in pixels, closed without repeating the first."""


def mask_polygons(mask: npt.NDArray[Any]) -> list[list[float]]:
    """The mask (H, W), anything but 0 being inside, as COCO polygons: one for each piece, holes kept.

    Pixels that touch at a corner only belong to two pieces.
    """
    outlines, holes = trace_rings(np.asarray(mask) != 0)
    pieces: list[list[Ring]] = [[ring] for ring in outlines]
    for hole in holes:
        pieces[_owner(outlines, hole)].append(hole)
    return [_flat(_joined(piece)) for piece in pieces]


def one_polygon(mask: npt.NDArray[Any]) -> list[float]:
    """The mask as a single polygon, its pieces and holes joined by slits; empty if the mask is."""
    outlines, holes = trace_rings(np.asarray(mask) != 0)
    return _flat(_joined([*outlines, *holes])) if outlines else []


def polygon_loss(mask: npt.NDArray[Any], polygons: list[list[float]]) -> int:
    """How many pixels differ between the mask and what pycocotools makes of its polygons."""
    inside = np.asarray(mask) != 0
    if not polygons:
        return int(inside.sum())
    drawn = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(polygons, *inside.shape)))
    return int((inside != drawn.astype(bool)).sum())


def trace_rings(inside: npt.NDArray[np.bool_]) -> tuple[list[Ring], list[Ring]]:
    """Outlines and holes of a mask (H, W), all clockwise as seen on the screen.

    At every corner one horizontal and one vertical edge meet, so along a line of the lattice the
    corners pair up, two and two, as the ends of the edges on it. Where two pixels touch diagonally
    two corners share a place.
    """
    corners, flipped = _corners(inside)
    across = _partners(np.lexsort((np.arange(len(corners)), corners[:, 0], corners[:, 1])))
    down = _partners(np.lexsort((flipped, corners[:, 1], corners[:, 0])))
    outlines: list[Ring] = []
    holes: list[Ring] = []
    seen = np.zeros(len(corners), bool)
    for start in range(len(corners)):
        if seen[start]:
            continue
        path, at = [], start
        while not seen[at]:
            seen[at] = seen[across[at]] = True
            path += [at, int(across[at])]
            at = int(down[across[at]])
        # The first corner is the ring's topmost, leftmost one: below right of it lies its inside.
        x, y = corners[start]
        (outlines if inside[y, x] else holes).append(corners[path])
    return outlines, holes


def clip_polygon(polygon: list[float], width: int, height: int) -> list[float]:
    """The part of a polygon within the image, or [] (Sutherland and Hodgman, 1974)."""
    points = np.asarray(polygon, float).reshape(-1, 2)
    for axis, sign, bound in ((0, -1, 0), (1, -1, 0), (0, 1, width), (1, 1, height)):
        if not len(points):
            return []
        depth = sign * (bound - points[:, axis])  # above 0: within
        before, behind = np.roll(points, 1, axis=0), np.roll(depth, 1)
        kept: list[npt.NDArray[np.float64]] = []
        for point, d, previous, e in zip(points, depth, before, behind, strict=True):
            if (d < 0) != (e < 0):
                kept.append(previous + (point - previous) * (e / (e - d)))
            if d >= 0:
                kept.append(point)
        points = np.array(kept).reshape(-1, 2)
    points = np.clip(points, 0, (width, height))  # a cut may round to a hair beyond
    return [float(value) for value in points.ravel()] if len(points) >= 3 else []


def _corners(inside: npt.NDArray[np.bool_]) -> tuple[Ring, npt.NDArray[np.int64]]:
    """Corners (N, 2) of the outline in reading order, and how to order those that share a place downwards."""
    padded = np.pad(inside, 1).astype(np.int8)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]  # around each point
    diagonal = (a == d) & (b == c) & (a != b)
    number = np.where(diagonal, 2, (a + b + c + d) % 2)
    y, x = np.nonzero(number)
    repeats = number[y, x]
    corners = np.repeat(np.stack([x, y], axis=1), repeats, axis=0).astype(np.int64)
    order = np.arange(len(corners))
    # With the pixels above left and below right, the first of the two corners ends the edge from the
    # left and the edge from above; with the other two pixels, it ends the one from the left and starts
    # the one going down.
    crossed = np.repeat(diagonal[y, x] & (b[y, x] == 1), repeats)
    return corners, np.where(crossed, -order, order)


def _partners(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    partners = np.empty_like(order)
    partners[order[0::2]], partners[order[1::2]] = order[1::2], order[0::2]
    return partners


def _owner(outlines: list[Ring], hole: Ring) -> int:
    """Which outline the hole lies in: the smallest one around the pixel above the hole's first corner."""
    x, y = hole[0] + (0.5, -0.5)
    sizes = [_area(ring) if _contains(ring, x, y) else np.inf for ring in outlines]
    return int(np.argmin(sizes))


def _contains(ring: Ring, x: float, y: float) -> bool:
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    crossing = (x0 == x1) & (x0 < x) & ((y0 > y) != (y1 > y))
    return bool(crossing.sum() % 2)


def _area(ring: Ring) -> float:
    (x0, y0), (x1, y1) = ring.T, np.roll(ring, -1, axis=0).T
    return abs(float((x0 * y1 - x1 * y0).sum())) / 2


def _joined(rings: list[Ring]) -> Ring:
    """One ring out of several: from the nearest corner to the next ring, around it, and back."""
    whole = rings[0]
    for ring in rings[1:]:
        gaps = np.abs(whole[:, None] - ring[None]).sum(axis=2)
        at, to = np.unravel_index(int(gaps.argmin()), gaps.shape)
        turned = np.roll(ring, -int(to), axis=0)
        detour = np.concatenate([turned, turned[:1], whole[at : at + 1]])
        whole = np.insert(whole, int(at) + 1, detour, axis=0)
    return whole


def _flat(ring: Ring) -> list[float]:
    return [float(value) for value in ring.ravel()]
