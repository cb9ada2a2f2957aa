"""Solids with bevelled edges: lofts, slabs, solids of revolution; and decals on flat faces. No bpy.

Lengths are metres. The bands of a loft share no vertices: the edges between them stay sharp while the shading
around a band is smooth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender.geometry.mesh import Floats, Ints, Material, Part, cross, rounded_path


def loft(rings: ArrayLike, material: Material, smooth: bool = False) -> Part:
    """Build a solid over rings, closed at both ends. Its faces point outwards for any order of the rings.

    Args:
        rings: (R, N, 3). The first and the last ring must be convex, or star-shaped about their first point.
        material: material of the solid.
        smooth: shade smoothly around each band.
    """
    at = np.asarray(rings, float)
    bands, count = len(at) - 1, at.shape[1]
    vertices = np.concatenate([np.stack([at[:-1], at[1:]], 1).reshape(-1, 3), at[0], at[-1]])
    i = np.arange(count, dtype=np.int32)
    j = np.roll(i, -1)
    band = np.stack([i, j, j + count, i + count], 1)
    sides = (band + 2 * count * np.arange(bands, dtype=np.int32)[:, None, None]).reshape(-1, 4)
    fan = np.stack([np.zeros_like(i[2:]), i[1:-1], i[2:]], 1) + 2 * count * bands
    nothing = np.full((count - 2, 1), -1, np.int32)
    caps = np.concatenate([np.hstack([fan[:, ::-1], nothing]), np.hstack([fan + count, nothing])])
    faces = np.concatenate([sides, caps]).astype(np.int32)
    if _volume(vertices, sides, caps) < 0:
        faces[: len(sides)] = faces[: len(sides), ::-1]
        faces[len(sides) :, :3] = faces[len(sides) :, 2::-1]
    shading = np.concatenate([np.full(len(sides), smooth), np.zeros(len(caps), bool)])
    return Part(vertices, faces, material, smooth=shading)


def _volume(vertices: Floats, quads: Ints, triangles: Ints) -> float:
    """Return six times the signed volume (divergence theorem)."""
    corners = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]], triangles[:, :3]])
    a, b, c = (vertices[corners[:, k]] - vertices[0] for k in range(3))
    return float((a * cross(b, c)).sum())


def inset(outline: ArrayLike, distance: float) -> Floats:
    """Move the edges of a convex counter-clockwise outline (N, 2) inwards by a distance."""
    points = np.asarray(outline, float)
    along = np.roll(points, -1, 0) - points
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    inward = np.stack([-along[:, 1], along[:, 0]], 1)
    bisector = inward + np.roll(inward, 1, 0)
    return points + bisector * (2 * distance / (bisector**2).sum(1, keepdims=True))


def rounded(corners: ArrayLike, radius: float, steps: int = 3) -> Floats:
    """Round the corners of a closed outline (N, 2)."""
    points = np.asarray(corners, float)
    return rounded_path(np.column_stack([points, np.zeros(len(points))]), radius, steps, closed=True)[:, :2]


def rectangle(low: Sequence[float], high: Sequence[float], cut: float) -> Floats:
    """Return a rectangle with cut corners, counter-clockwise, (8, 2)."""
    (a, b), (c, d) = low, high
    return np.array(
        [
            (a + cut, b), (c - cut, b), (c, b + cut), (c, d - cut),
            (c - cut, d), (a + cut, d), (a, d - cut), (a, b + cut),
        ]
    )  # fmt: skip


def level(outline: ArrayLike, height: float, axis: int = 2) -> Floats:
    """Place an outline (N, 2) in space, (N, 3), at a height along ``axis``; axes as in ``mesh.prism``."""
    points = np.asarray(outline, float)
    out = np.empty((len(points), 3))
    out[:, (axis + 1) % 3], out[:, (axis + 2) % 3], out[:, axis] = points[:, 0], points[:, 1], height
    return out


def bevelled(
    outline: ArrayLike,
    low: float,
    high: float,
    axis: int,
    material: Material,
    bevel: float = 0.004,
    smooth: bool = False,
) -> Part:
    """Extrude a convex counter-clockwise outline (N, 2) along ``axis``, with both rims bevelled."""
    small = inset(outline, bevel)
    rings = [(small, low), (outline, low + bevel), (outline, high - bevel), (small, high)]
    return loft(np.array([level(o, h, axis) for o, h in rings]), material, smooth)


def slab(low: Sequence[float], high: Sequence[float], material: Material, bevel: float = 0.004) -> Part:
    """Build a box between two corners with all edges bevelled."""
    return bevelled(rectangle(low[:2], high[:2], bevel), low[2], high[2], 2, material, bevel)


def turned(
    profile: ArrayLike, start: ArrayLike, towards: ArrayLike, material: Material, segments: int = 24
) -> Part:
    """Build a solid of revolution about the axis from ``start`` in the direction ``towards``.

    Args:
        profile: (P, 2) pairs of the distance from ``start`` along the axis and the radius.
        start: (3,) metres.
        towards: (3,) direction of the axis, of any length.
        material: material of the solid.
        segments: corners of the cross-section.
    """
    along = np.asarray(towards, float) / np.linalg.norm(towards)
    side = np.cross(along, [0, 0, 1] if abs(along[2]) < 0.9 else [1, 0, 0])
    side /= np.linalg.norm(side)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None]
    circle = np.cos(angle) * side + np.sin(angle) * np.cross(along, side)
    at = np.asarray(profile, float)
    rings = np.asarray(start, float) + at[:, :1, None] * along + at[:, 1:, None] * circle
    return loft(rings, material, smooth=True)


def rod(start: ArrayLike, end: ArrayLike, radius: float, material: Material, segments: int = 16) -> Part:
    """Build a round bar between two points, with bevelled ends."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    length, bevel = float(np.linalg.norm(b - a)), min(0.003, radius / 4)
    profile = [(0, radius - bevel), (bevel, radius), (length - bevel, radius), (length, radius - bevel)]
    return turned(profile, a, b - a, material, segments)


def bar(start: ArrayLike, end: ArrayLike, height: float, width: float, material: Material) -> Part:
    """Build a flat bar between two points of an xz plane; ``width`` is along y, ``height`` across the bar."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    along = (b - a) / np.linalg.norm(b - a)
    across = np.cross(along, [0, 1, 0])
    section = rectangle((-height / 2, -width / 2), (height / 2, width / 2), min(height, width) / 6)
    ring = section[:, :1] * across + section[:, 1:] * np.array([0.0, 1.0, 0.0])
    return loft(np.array([ring + a, ring + b]), material)


def decals(face: ArrayLike, rectangles: ArrayLike, material: Material, distance: float = 0.0008) -> Part:
    """Build rectangles just above a flat face.

    Args:
        face: corners of the face (4, 3), counter-clockwise seen from outside. u runs from the first to the
            second, v from the first to the fourth.
        rectangles: (K, 4) of (u from, v from, u to, v to), each 0..1.
        material: material of the rectangles.
        distance: distance of the rectangles from the face, metres.
    """
    p = np.asarray(face, float)
    u0, v0, u1, v1 = np.asarray(rectangles, float).T
    u, v = np.stack([u0, u1, u1, u0], 1)[..., None], np.stack([v0, v0, v1, v1], 1)[..., None]
    normal = np.cross(p[2] - p[0], p[3] - p[1])
    normal /= np.linalg.norm(normal)
    corners = (1 - u) * (1 - v) * p[0] + u * (1 - v) * p[1] + u * v * p[2] + (1 - u) * v * p[3]
    faces = np.arange(4 * len(u), dtype=np.int32).reshape(-1, 4)
    return Part((corners + distance * normal).reshape(-1, 3), faces, material)
