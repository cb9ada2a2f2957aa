"""Amodal masks: the pixels that an object would cover if nothing stood in front of it. Numpy only.

The triangles of the mesh are rasterised in numpy. A pixel belongs to a triangle if its centre lies inside the
triangle's perspective projection, because there the ray through the pixel centre hits the triangle. For any
other lens the pixel centres are first mapped to the perspective image plane, where straight edges stay
straight, so the result is exact under every lens. Rendering each object alone with Cycles instead would
synchronise the scene once per object.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from blender.geometry.lens import NEAR, camera_axes
from blender.geometry.mesh import Floats, extents
from blender.lenses import LENSES, focal_length
from blender.spec import CameraSpec

MAX_PAIRS = 1 << 20
"""Pairs of a triangle and a pixel that are tested in one batch. Limits the memory."""


def amodal_mask(
    vertices: Floats, triangles: np.ndarray, camera: CameraSpec, visible: np.ndarray
) -> np.ndarray:
    """Rasterise a mesh as if it stood alone in the scene.

    Args:
        vertices: (V, 3) world coordinates in metres.
        triangles: (T, 3) vertex indices.
        camera: the camera of the frame.
        visible: (H, W) bool, the pixels of the object in the instance mask. They are part of the result and
            are not tested again. For an unoccluded object these are nearly all pixels.

    Returns:
        (H, W) bool.
    """
    covered, (height, width) = visible.copy(), visible.shape
    corners = _to_image_plane(_clip_to_near_plane(_to_camera(vertices, camera)[triangles]))
    if not len(corners):
        return covered
    left, top, right, bottom = _pixel_windows(corners, camera, width, height)
    columns, rows = np.maximum(right - left, 0), np.maximum(bottom - top, 0)
    areas = columns * rows
    areas[areas > 0] *= _count_in_windows(~covered, *(e[areas > 0] for e in (left, top, right, bottom))) > 0
    candidates = np.flatnonzero(areas)
    ends = np.cumsum(areas[candidates])
    centre_x, centre_y = pixel_centres(camera, width, height)
    start = 0
    while start < len(candidates):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + MAX_PAIRS, "right")))
        batch = candidates[start:stop]
        triangle = np.repeat(batch, areas[batch])
        offset = np.arange(len(triangle)) - np.repeat(ends[start:stop] - areas[batch] - done, areas[batch])
        down, across = np.divmod(offset, columns[triangle])
        x, y = left[triangle] + across, top[triangle] + down
        missing = ~covered[y, x]
        triangle, x, y = triangle[missing], x[missing], y[missing]
        inside = _points_in_triangles(corners[triangle], centre_x[y, x], centre_y[y, x])
        covered[y[inside], x[inside]] = True
        start = stop
    return covered


def _count_in_windows(
    mask: np.ndarray, left: np.ndarray, top: np.ndarray, right: np.ndarray, bottom: np.ndarray
) -> np.ndarray:
    """Count the true pixels of a mask (H, W) bool in N windows with a summed-area table; returns (N,)."""
    if not len(left):
        return np.zeros(0, np.int32)
    x, y, x1, y1 = left.min(), top.min(), right.max(), bottom.max()
    sums = np.zeros((y1 - y + 1, x1 - x + 1), np.int32)
    mask[y:y1, x:x1].cumsum(0, np.int32).cumsum(1, out=sums[1:, 1:])
    left, top, right, bottom = left - x, top - y, right - x, bottom - y
    counts: np.ndarray = sums[bottom, right] - sums[bottom, left] - sums[top, right] + sums[top, left]
    return counts


@lru_cache(maxsize=1)  # all objects of a frame use the same camera
def pixel_centres(camera: CameraSpec, width: int, height: int) -> tuple[Floats, Floats]:
    """Map the pixel centres to the perspective image plane at a distance of one metre.

    Returns:
        x (to the right) and y (down), (H, W) each.
    """
    focal = focal_length(camera.lens, camera.fov) * width
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    radius = np.hypot(x, y) / focal
    scale = np.tan(LENSES[camera.lens].angle(radius)) / np.maximum(radius * focal, 1e-12)
    return x * scale, y * scale


def _to_camera(points: Floats, camera: CameraSpec) -> Floats:
    """Transform world points (N, 3) to camera coordinates: x right, y down, z forward."""
    local: Floats = (points - np.asarray(camera.position)) @ (camera_axes(camera) * [1, -1, -1])
    return local


def _clip_to_near_plane(corners: Floats) -> Floats:
    """Clip triangles (T, 3, 3) in camera coordinates at the near plane; returns (S, 3, 3)."""
    in_front = (corners[..., 2] >= NEAR).sum(1)
    unclipped, clipped = corners[in_front == 3], []
    for count in (1, 2):
        crossing = corners[in_front == count]
        # Start with the corner that is alone on its side of the plane.
        lone = ((crossing[..., 2] >= NEAR) == (count == 1)).argmax(1)
        a, b, c = (crossing[np.arange(len(crossing)), (lone + k) % 3] for k in range(3))
        ab, ac = _cut_at_near_plane(a, b), _cut_at_near_plane(a, c)
        clipped += (
            [np.stack([a, ab, ac], 1)] if count == 1 else [np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)]
        )
    return np.concatenate([unclipped, *clipped])


def _cut_at_near_plane(start: Floats, end: Floats) -> Floats:
    """Intersect the segments from start (N, 3) to end (N, 3) with the near plane; returns (N, 3)."""
    share = (NEAR - start[:, 2:]) / (end[:, 2:] - start[:, 2:])
    return start + share * (end - start)


def _to_image_plane(corners: Floats) -> Floats:
    """Project corners (T, 3, 3) onto the perspective image plane; returns (T, 3, 2)."""
    return corners[..., :2] / corners[..., 2:]


def _pixel_windows(corners: Floats, camera: CameraSpec, width: int, height: int) -> tuple[np.ndarray, ...]:
    """Compute for each triangle (T, 3, 2) the window of pixels whose centres may lie inside it.

    The window encloses the image of the triangle's bounding rectangle under the lens. Every lens either keeps
    the rim of the image or compresses it. So the rectangle reaches farthest to a side on the edge of that
    side: outwards at the point closest to the image centre, inwards at the point farthest from it.

    Returns:
        left, top, right, bottom, (T,) each; right and bottom are exclusive.
    """
    (left, top), (right, bottom) = (ends.T for ends in extents(corners))
    vertical = np.stack([top, bottom])
    horizontal = np.stack([left, right])
    near_y = np.where((vertical[0] <= 0) & (vertical[1] >= 0), 0.0, np.abs(vertical).min(0))
    near_x = np.where((horizontal[0] <= 0) & (horizontal[1] >= 0), 0.0, np.abs(horizontal).min(0))
    far_y, far_x = np.abs(vertical).max(0), np.abs(horizontal).max(0)
    focal = focal_length(camera.lens, camera.fov) * width

    def to_pixels(coordinate: Floats, other_coordinate: Floats) -> Floats:
        radius = np.hypot(coordinate, other_coordinate)
        scale = LENSES[camera.lens].radius(np.arctan(radius)) / np.maximum(radius, 1e-12)
        pixels: Floats = coordinate * scale * focal
        return pixels

    x0 = width / 2 + to_pixels(left, np.where(left < 0, near_y, far_y))
    x1 = width / 2 + to_pixels(right, np.where(right > 0, near_y, far_y))
    y0 = height / 2 + to_pixels(top, np.where(top < 0, near_x, far_x))
    y1 = height / 2 + to_pixels(bottom, np.where(bottom > 0, near_x, far_x))
    tolerance = 1e-6  # pixels, for rounding errors
    return (
        np.ceil(x0 - 0.5 - tolerance).clip(0, width).astype(np.intp),
        np.ceil(y0 - 0.5 - tolerance).clip(0, height).astype(np.intp),
        np.floor(x1 + 0.5 + tolerance).clip(0, width).astype(np.intp),
        np.floor(y1 + 0.5 + tolerance).clip(0, height).astype(np.intp),
    )


def _points_in_triangles(corners: Floats, x: Floats, y: Floats) -> np.ndarray:
    """Test whether each point (N,) lies in its triangle (N, 3, 2) or on its edge; returns (N,) bool."""
    a, b, c = (corners[:, k] for k in range(3))

    def side(p: Floats, q: Floats) -> Floats:
        """Return a number whose sign gives the side of the line through p and q on which the point lies."""
        cross: Floats = (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x - p[:, 0])
        return cross

    first, second, third = side(a, b), side(b, c), side(c, a)
    lowest = np.minimum(np.minimum(first, second), third)
    highest = np.maximum(np.maximum(first, second), third)
    return ((lowest >= 0) | (highest <= 0)) & (lowest != highest)
