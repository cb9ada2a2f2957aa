"""Amodal extents: the pixels that an object would cover if it stood alone. numpy only.

Every triangle is filled where its perspective image contains pixel centres: there a ray through the pixel's
middle meets it. Under another lens the centres are carried to the perspective image plane first, where
straight edges are straight; so every lens is exact. Tracing each object alone would sync the scene each time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from blender.geometry.lens import LENSES, NEAR, camera_axes, focal_length
from blender.geometry.mesh import Floats, extents
from blender.spec import CameraSpec

MOST = 1 << 20
"""Pairs of a triangle and a pixel looked at together: bounds the memory."""


def silhouette(vertices: Floats, triangles: np.ndarray, camera: CameraSpec, seen: np.ndarray) -> np.ndarray:
    """Pixels whose middle sees a mesh that nothing hides, and those already ``seen`` of it.

    Args:
        vertices: (V, 3) metres in the world.
        triangles: (T, 3) indices into them.
        seen: (H, W) bool. They are looked at no more, and of what stands in the open that's nearly all.

    Returns:
        (H, W) bool.
    """
    shown, (height, width) = seen.copy(), seen.shape
    corners = _flat(_clipped(_local(vertices, camera)[triangles]))
    if not len(corners):
        return shown
    left, top, right, bottom = _windows(corners, camera, width, height)
    wide, high = np.maximum(right - left, 0), np.maximum(bottom - top, 0)
    work = wide * high
    work[work > 0] *= _unseen(~shown, *(edge[work > 0] for edge in (left, top, right, bottom))) > 0
    some = np.flatnonzero(work)
    ends = np.cumsum(work[some])
    columns, rows = centres(camera, width, height)
    start = 0
    while start < len(some):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + MOST, "right")))
        part = some[start:stop]
        which = np.repeat(part, work[part])
        place = np.arange(len(which)) - np.repeat(ends[start:stop] - work[part] - done, work[part])
        down, across = np.divmod(place, wide[which])
        x, y = left[which] + across, top[which] + down
        new = ~shown[y, x]
        which, x, y = which[new], x[new], y[new]
        inside = _inside(corners[which], columns[y, x], rows[y, x])
        shown[y[inside], x[inside]] = True
        start = stop
    return shown


def _unseen(
    unseen: np.ndarray, left: np.ndarray, top: np.ndarray, right: np.ndarray, bottom: np.ndarray
) -> np.ndarray:
    """How many pixels of an image (H, W) bool each window holds, (N,), by its summed-area table."""
    if not len(left):
        return np.zeros(0, np.int32)
    x, y, x1, y1 = left.min(), top.min(), right.max(), bottom.max()
    sums = np.zeros((y1 - y + 1, x1 - x + 1), np.int32)
    unseen[y:y1, x:x1].cumsum(0, np.int32).cumsum(1, out=sums[1:, 1:])
    left, top, right, bottom = left - x, top - y, right - x, bottom - y
    found: np.ndarray = sums[bottom, right] - sums[bottom, left] - sums[top, right] + sums[top, left]
    return found


@lru_cache(maxsize=1)  # one frame's objects share it
def centres(camera: CameraSpec, width: int, height: int) -> tuple[Floats, Floats]:
    """Where pixel centres lie in the perspective image plane one metre ahead: right and down, (H, W) each."""
    focal = focal_length(camera.lens, camera.fov) * width
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    radius = np.hypot(x, y) / focal
    scale = np.tan(LENSES[camera.lens].angle(radius)) / np.maximum(radius * focal, 1e-12)
    return x * scale, y * scale


def _local(points: Floats, camera: CameraSpec) -> Floats:
    """Points (N, 3) in the camera's frame: right, down, ahead."""
    found: Floats = (points - np.asarray(camera.position)) @ (camera_axes(camera) * [1, -1, -1])
    return found


def _clipped(corners: Floats) -> Floats:
    """Triangles (T, 3, 3) of the camera's frame without what lies nearer than it sees, as (S, 3, 3)."""
    ahead = (corners[..., 2] >= NEAR).sum(1)
    whole, cut = corners[ahead == 3], []
    for count in (1, 2):
        some = corners[ahead == count]
        # The corner that is alone on its side comes first.
        lone = ((some[..., 2] >= NEAR) == (count == 1)).argmax(1)
        a, b, c = (some[np.arange(len(some)), (lone + k) % 3] for k in range(3))
        ab, ac = _at_near(a, b), _at_near(a, c)
        cut += (
            [np.stack([a, ab, ac], 1)] if count == 1 else [np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)]
        )
    return np.concatenate([whole, *cut])


def _at_near(one: Floats, other: Floats) -> Floats:
    """Where lines between points (N, 3) on both sides of the near plane cross it."""
    share = (NEAR - one[:, 2:]) / (other[:, 2:] - one[:, 2:])
    return one + share * (other - one)


def _flat(corners: Floats) -> Floats:
    """Corners (T, 3, 3) in the perspective image plane, (T, 3, 2)."""
    return corners[..., :2] / corners[..., 2:]


def _windows(corners: Floats, camera: CameraSpec, width: int, height: int) -> tuple[np.ndarray, ...]:
    """First and last-but-one column and row of pixels whose centres may lie in each triangle.

    A rectangle about the triangle in the perspective plane reaches farthest to a side, under every lens that
    squeezes the rim or leaves it, on that side's edge: outwards where that is nearest to the middle, inwards
    where it is farthest from it.
    """
    (left, top), (right, bottom) = (ends.T for ends in extents(corners))
    tall = np.stack([top, bottom])
    broad = np.stack([left, right])
    near_y = np.where((tall[0] <= 0) & (tall[1] >= 0), 0.0, np.abs(tall).min(0))
    near_x = np.where((broad[0] <= 0) & (broad[1] >= 0), 0.0, np.abs(broad).min(0))
    far_y, far_x = np.abs(tall).max(0), np.abs(broad).max(0)
    focal = focal_length(camera.lens, camera.fov) * width

    def edge(reach: Floats, aside: Floats) -> Floats:
        radius = np.hypot(reach, aside)
        scale = LENSES[camera.lens].radius(np.arctan(radius)) / np.maximum(radius, 1e-12)
        found: Floats = reach * scale * focal
        return found

    x0 = width / 2 + edge(left, np.where(left < 0, near_y, far_y))
    x1 = width / 2 + edge(right, np.where(right > 0, near_y, far_y))
    y0 = height / 2 + edge(top, np.where(top < 0, near_x, far_x))
    y1 = height / 2 + edge(bottom, np.where(bottom > 0, near_x, far_x))
    slack = 1e-6  # pixels: rounding
    return (
        np.ceil(x0 - 0.5 - slack).clip(0, width).astype(np.intp),
        np.ceil(y0 - 0.5 - slack).clip(0, height).astype(np.intp),
        np.floor(x1 + 0.5 + slack).clip(0, width).astype(np.intp),
        np.floor(y1 + 0.5 + slack).clip(0, height).astype(np.intp),
    )


def _inside(corners: Floats, x: Floats, y: Floats) -> np.ndarray:
    """Which points (N,) lie in, or on the rim of, their triangles (N, 3, 2)."""
    a, b, c = (corners[:, k] for k in range(3))

    def side(p: Floats, q: Floats) -> Floats:
        found: Floats = (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x - p[:, 0])
        return found

    first, second, third = side(a, b), side(b, c), side(c, a)
    lowest = np.minimum(np.minimum(first, second), third)
    highest = np.maximum(np.maximum(first, second), third)
    return ((lowest >= 0) | (highest <= 0)) & (lowest != highest)
