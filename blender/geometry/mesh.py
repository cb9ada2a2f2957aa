"""Numpy meshes and their primitives: boxes, plates, prisms, tubes. No bpy.

Lengths are metres; z is up; the corners of a face run counter-clockwise seen from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Colour = tuple[float, float, float]
"""Linear RGB, 0..1."""


@dataclass(frozen=True)
class Material:
    """A surface's material; ``blender.rendering.materials`` has its shader."""

    kind: str
    """A key of ``blender.rendering.materials.SHADERS``. All surfaces of a kind share its shader."""
    colour: Colour = (0.5, 0.5, 0.5)
    wear: float = 0.3
    """0: new, 1: scratched and dirty. For the kind "emission": its radiance in W/m2/sr."""


@dataclass(frozen=True)
class Part:
    """A mesh of one material."""

    vertices: Floats
    """(V, 3) metres."""
    faces: Ints
    """(F, 4) indices of vertices; the last index of a triangle is -1."""
    material: Material
    tint: Floats | None = None
    """(F, 3) linear RGB, multiplied with the material's colour; None: no change."""
    smooth: NDArray[np.bool_] | None = None
    """(F,) whether a face is shaded smoothly; None: all are flat."""

    def moved(self, offset: ArrayLike = (0, 0, 0), yaw: float = 0.0) -> Part:
        """Return the part turned about z by ``yaw`` radians, then moved by ``offset`` metres."""
        vertices = self.vertices
        if yaw:
            c, s = np.cos(yaw), np.sin(yaw)
            vertices = vertices @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
        return replace(self, vertices=vertices + np.asarray(offset, float))


def move(parts: Iterable[Part], offset: ArrayLike = (0, 0, 0), yaw: float = 0.0) -> list[Part]:
    """Return the parts turned about z by ``yaw`` radians, then moved by ``offset`` metres."""
    return [part.moved(offset, yaw) for part in parts]


def cross(a: Floats, b: Floats) -> Floats:
    """Compute cross products of (..., 3). ``np.cross`` takes five times as long for short arrays."""
    (ax, ay, az), (bx, by, bz) = a.T, b.T
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx]).T


_CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_CUBE_FACES = np.array(
    [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32
)


def spin(points: Floats, yaw: ArrayLike) -> Floats:
    """Rotate points (..., 3) about z by ``yaw`` radians (...)."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * c - y * s, x * s + y * c, points[..., 2]], -1)


def boxes(
    centres: ArrayLike,
    sizes: ArrayLike,
    material: Material,
    tint: ArrayLike | None = None,
    yaw: ArrayLike = 0.0,
) -> Part:
    """Build N boxes as one part.

    Args:
        centres: (N, 3) metres.
        sizes: (N, 3) metres, or (3,) for all.
        material: material of all boxes.
        tint: (N, 3) linear RGB, multiplied with the material's colour.
        yaw: (N,) radians about z.
    """
    middle = np.atleast_2d(np.asarray(centres, float))
    extent = np.broadcast_to(np.asarray(sizes, float), middle.shape)
    count = len(middle)
    corners = _CUBE[None] * extent[:, None]
    turned = spin(corners, np.broadcast_to(np.asarray(yaw, float), (count,))[:, None])
    vertices = (turned + middle[:, None]).reshape(-1, 3)
    faces = (_CUBE_FACES[None] + 8 * np.arange(count, dtype=np.int32)[:, None, None]).reshape(-1, 4)
    colours = None if tint is None else np.repeat(np.atleast_2d(np.asarray(tint, float)), 6, axis=0)
    return Part(vertices, faces, material, colours)


def plates(
    centres: ArrayLike,
    sizes: ArrayLike,
    axis: int,
    side: int,
    material: Material,
    tint: ArrayLike | None = None,
    yaw: ArrayLike = 0.0,
) -> Part:
    """Build N flat rectangles as one part, with a sixth of the faces of N boxes.

    Args:
        centres: (N, 3) metres.
        sizes: (N, 2) metres along the two other axes in the order x, y, z; or (2,) for all.
        axis: the axis that the rectangles face: 0, 1 or 2.
        side: +1 or -1: the direction on that axis.
        material: material of all rectangles.
        tint: (N, 3) linear RGB, multiplied with the material's colour.
        yaw: (N,) radians about z.
    """
    middle = np.atleast_2d(np.asarray(centres, float))
    count = len(middle)
    extent = np.zeros((count, 3))
    extent[:, [k for k in range(3) if k != axis]] = np.broadcast_to(np.asarray(sizes, float), (count, 2))
    flat = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    if side * (-1 if axis == 1 else 1) < 0:
        flat = flat[::-1]
    corners = np.insert(flat, axis, 0.0, axis=1)
    turned = spin(corners[None] * extent[:, None], np.broadcast_to(np.asarray(yaw, float), (count,))[:, None])
    vertices = (middle[:, None] + turned).reshape(-1, 3)
    colours = None if tint is None else np.atleast_2d(np.asarray(tint, float))
    return Part(vertices, np.arange(4 * count, dtype=np.int32).reshape(-1, 4), material, colours)


def box(low: Sequence[float], high: Sequence[float], material: Material) -> Part:
    """Build a box between two corners."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    return boxes([(a + b) / 2], [b - a], material)


def prism(outline: ArrayLike, low: float, high: float, axis: int, material: Material) -> Part:
    """Extrude a convex counter-clockwise outline (N, 2) along ``axis`` from ``low`` to ``high``.

    The outline's coordinates are the two other axes in cyclic order: axis 0 takes (y, z),
    axis 1 takes (z, x), axis 2 takes (x, y).
    """
    points = np.asarray(outline, float)
    count = len(points)
    vertices = np.zeros((2 * count, 3))
    vertices[:, (axis + 1) % 3] = np.tile(points[:, 0], 2)
    vertices[:, (axis + 2) % 3] = np.tile(points[:, 1], 2)
    vertices[:count, axis], vertices[count:, axis] = low, high
    index = np.arange(count)
    following = (index + 1) % count
    sides = np.stack([index, following, following + count, index + count], 1)
    fan = np.stack([np.zeros(count - 2, int), index[1:-1], index[2:], np.full(count - 2, -1)], 1)
    bottom = fan[:, [0, 2, 1, 3]]
    top = np.where(fan >= 0, fan + count, -1)
    return Part(vertices, np.concatenate([sides, bottom, top]).astype(np.int32), material)


def tube(
    path: ArrayLike,
    radius: float | Sequence[float],
    material: Material,
    segments: int = 12,
    closed: bool = False,
) -> Part:
    """Build a round tube along a polyline.

    Args:
        path: (N, 3) metres.
        radius: metres; one number for all points, or one for each point.
        material: material of the tube.
        segments: corners of the cross-section.
        closed: join the last point to the first; otherwise cap the ends.
    """
    points = np.asarray(path, float)
    count = len(points)
    if closed:
        tangents = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    else:
        tangents = np.gradient(points, axis=0) if count > 2 else np.repeat(points[1:] - points[:1], 2, 0)
    tangents = tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
    # Parallel transport: the first normal is carried along the path, so that the tube does not twist.
    aside = np.array([0.0, 0.0, 1.0] if abs(tangents[0, 2]) < 0.9 else [1.0, 0.0, 0.0])
    normal = cross(tangents[0], aside)
    normals = np.zeros_like(points)
    for step, tangent in enumerate(tangents):
        normal = normal - tangent * (normal @ tangent)
        normal = normal / np.sqrt(normal @ normal)
        normals[step] = normal
    binormals = cross(tangents, normals)
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = np.cos(angle)[None, :, None] * normals[:, None] + np.sin(angle)[None, :, None] * binormals[:, None]
    radii = np.broadcast_to(np.asarray(radius, float), (count,))
    vertices = (points[:, None] + ring * radii[:, None, None]).reshape(-1, 3)
    if not closed:  # caps do not share vertices with the sides: their edge stays sharp
        vertices = np.concatenate(
            [vertices, vertices[:segments], points[:1], vertices[-segments:], points[-1:]]
        )
    faces, smooth = _tube_faces(count, segments, closed)
    return Part(vertices, faces, material, smooth=smooth)


@lru_cache(maxsize=256)  # a truck has dozens of tubes, but few different shapes
def _tube_faces(count: int, segments: int, closed: bool) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the faces (F, 4) of a tube's sides and caps, and which of them are smooth, (F,)."""
    rows = count if closed else count - 1
    i, j = np.meshgrid(np.arange(rows), np.arange(segments), indexing="ij")
    following, beside = (i + 1) % count, (j + 1) % segments
    sides = np.stack(
        [i * segments + j, i * segments + beside, following * segments + beside, following * segments + j], -1
    )
    faces, smooth = sides.reshape(-1, 4), np.ones(rows * segments, bool)
    if not closed:
        index, total, nothing = np.arange(segments), count * segments, np.full(segments, -1)
        around = (index + 1) % segments
        start = np.stack([np.full(segments, total + segments), total + around, total + index, nothing], 1)
        base = total + segments + 1
        end = np.stack([np.full(segments, base + segments), base + index, base + around, nothing], 1)
        faces = np.concatenate([faces, start, end])
        smooth = np.concatenate([smooth, np.zeros(2 * segments, bool)])
    faces = faces.astype(np.int32)
    faces.flags.writeable = smooth.flags.writeable = False
    return faces, smooth


def repeat(part: Part, offsets: ArrayLike, tint: ArrayLike | None = None) -> Part:
    """Build copies of a part, moved by each of ``offsets`` (N, 3), as one part.

    Args:
        part: the part to copy; without a tint unless ``tint`` is None.
        offsets: (N, 3) metres.
        tint: (N, 3) linear RGB of each copy, multiplied with the material's colour.
    """
    shift = np.atleast_2d(np.asarray(offsets, float))
    count, size = len(shift), len(part.vertices)
    vertices = (part.vertices[None] + shift[:, None]).reshape(-1, 3)
    start = size * np.arange(count, dtype=np.int32)[:, None, None]
    faces = np.where(part.faces >= 0, part.faces[None] + start, -1).reshape(-1, 4)
    smooth = None if part.smooth is None else np.tile(part.smooth, count)
    if tint is None:
        colours = None if part.tint is None else np.tile(part.tint, (count, 1))
    else:
        colours = np.repeat(np.asarray(tint, float), len(part.faces), axis=0)
    return Part(vertices, faces.astype(np.int32), part.material, colours, smooth)


def cylinder(start: ArrayLike, end: ArrayLike, radius: float, material: Material, segments: int = 20) -> Part:
    """Build a capped cylinder between two points."""
    return tube([np.asarray(start, float), np.asarray(end, float)], radius, material, segments)


def rounded_path(corners: ArrayLike, radius: float, steps: int = 4, closed: bool = False) -> Floats:
    """Round the corners of a polyline by quadratic Bezier curves.

    Args:
        corners: (N, 3) metres.
        radius: distance from each corner at which its curve starts and ends, metres; less for short edges.
        steps: segments of each curve.
        closed: join the last corner to the first.

    Returns:
        The points of the rounded polyline, (M, 3).
    """
    points = np.asarray(corners, float)
    count = len(points)
    out: list[Floats] = [] if closed else [points[0]]
    for i in range(count) if closed else range(1, count - 1):
        before, here, after = points[i - 1], points[i], points[(i + 1) % count]
        a, b = before - here, after - here
        la, lb = np.linalg.norm(a), np.linalg.norm(b)
        p = here + a / la * min(radius, float(la) / 2.01)
        q = here + b / lb * min(radius, float(lb) / 2.01)
        for t in np.linspace(0, 1, steps + 1):
            out.append((1 - t) ** 2 * p + 2 * t * (1 - t) * here + t**2 * q)
    if not closed:
        out.append(points[-1])
    return np.array(out)


def extents(corners: Floats) -> tuple[Floats, Floats]:
    """Return the least and the greatest coordinates of triangles (T, 3, D), (T, D) each; NaN is passed on.

    numpy's reduction over an axis of length 3 takes ten times as long.
    """
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def bounds(parts: Iterable[Part]) -> tuple[Floats, Floats]:
    """Return the lowest and the highest corner of the bounding box of all parts, (3,) each."""
    vertices = np.concatenate([p.vertices for p in parts])
    return vertices.min(0), vertices.max(0)
