"""What is known of a frame's labelled objects: extents, visibility, distance, keypoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.assets import Assets
from blender.contract import Box3d, Instance, RunLengths
from blender.geometry.lens import NEAR, camera_axes, project
from blender.geometry.mesh import Floats, cross, extents
from blender.kinds import find_kind
from blender.rendering.amodal import silhouette
from blender.rendering.builder import Placed, to_world
from blender.spec import CameraSpec, ObjectSpec

SKIN, LIMB = 0.03, 0.18
"""Metres. Before a joint that is called seen, a line of sight may run through the own body for SKIN and three
times the joint's depth below its skin, at most LIMB: a hip lies deep, an eye does not; a head is 0.2 m."""


def describe(
    placed: list[Placed],
    ids: np.ndarray,
    camera: CameraSpec,
    assets: Assets,
    boxes3d: bool = False,
) -> tuple[Instance, ...]:
    """The instances of a frame, whose ids are (H, W) uint16."""
    height, width = ids.shape
    counts = np.bincount(ids.ravel())
    instances = []
    for item in placed:
        if not item.spec.category:
            continue
        number = int(item.object.pass_index)
        visible = int(counts[number]) if number < len(counts) else 0
        # A ray can just meet an edge here and miss it there by rounding; visible is part of amodal.
        alone = silhouette(item.vertices, item.triangles, camera, ids == number)
        whole = int(alone.sum())
        pixels, depth = project(item.vertices, camera, width, height)
        outside = (depth <= NEAR) | (pixels < 0).any(1) | (pixels > [width, height]).any(1)
        distance = np.linalg.norm(item.vertices - np.asarray(camera.position), axis=1).min()
        instances.append(
            Instance(
                id=number,
                category=item.spec.category,
                parameters={"kind": item.spec.builder, **item.spec.params},
                distance=round(float(distance), 3),
                visible_pixels=visible,
                amodal_pixels=whole,
                visible_fraction=round(visible / whole, 4) if whole else 0.0,
                truncated=bool(whole and outside.any()),
                keypoints=_keypoints(item, (pixels, depth), ids, camera, assets),
                box3d=_box3d(item, camera) if boxes3d else None,
                amodal=run_lengths(alone) if whole else None,
            )
        )
    return tuple(instances)


def run_lengths(mask: np.ndarray) -> RunLengths:
    """A mask (H, W) bool as run lengths."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = np.concatenate([[0], edges, [pixels.size]])
    if pixels[0]:
        starts = np.concatenate([[0], starts])
    height, width = mask.shape
    return RunLengths((height, width), tuple(np.diff(starts).tolist()))


def _box3d(item: Placed, camera: CameraSpec) -> Box3d:
    """An object's pose and the box around its vertices, along its own axes."""
    axes = to_world(np.eye(3), ObjectSpec("", {}, yaw=item.spec.yaw)).T
    position, eye = np.asarray(item.spec.position, float), np.asarray(camera.position)
    local = (item.vertices - position) @ axes
    low, high = local.min(0), local.max(0)
    centre = axes @ (low + high) / 2 + position
    view = (camera_axes(camera) * [1, -1, -1]).T
    numbers = {
        "size": high - low,
        "position": position,
        "centre": centre,
        "rotation": axes,
        "camera_position": view @ (position - eye),
        "camera_centre": view @ (centre - eye),
        "camera_rotation": view @ axes,
    }
    return Box3d(**{name: _numbers(value) for name, value in numbers.items()})


def _numbers(array: Floats) -> Any:
    """An array as nested tuples, to a millionth: rotations stay orthonormal, records short."""
    return tuple(round(float(v), 6) + 0.0 if np.ndim(v) == 0 else _numbers(v) for v in array)


def _keypoints(
    item: Placed, projected: tuple[Floats, Floats], ids: np.ndarray, camera: CameraSpec, assets: Assets
) -> tuple[tuple[float, float, int], ...]:
    """COCO keypoints of a kind that has them: (x, y, v), v 0 outside the frame, 1 hidden, 2 visible.

    ``projected`` is what ``project`` makes of the object's vertices.
    """
    keypoints = find_kind(item.spec.builder).keypoints(item.spec.params, assets)
    if keypoints is None:
        return ()
    height, width = ids.shape
    points = to_world(keypoints, item.spec)
    pixels, depth = project(points, camera, width, height)
    skin, away = projected
    corners = np.where(away[:, None] > NEAR, skin, np.nan)[item.triangles]  # nan is on no side of anything
    (left, top), (right, bottom) = (ends.T for ends in extents(corners))
    found = []
    for point, (x, y), z in zip(points, pixels, depth, strict=True):
        if z <= 0 or not (0 <= x < width and 0 <= y < height):
            found.append((0.0, 0.0, 0))
            continue
        seen = ids[int(y), int(x)] == item.object.pass_index
        if seen:
            beside = (left > x + 1) | (right < x - 1) | (top > y + 1) | (bottom < y - 1)
            seen = not _behind_own_body(item, item.triangles[~beside], point, camera)
        found.append((round(float(x), 2), round(float(y), 2), 2 if seen else 1))
    return tuple(found)


def _behind_own_body(item: Placed, triangles: np.ndarray, point: Floats, camera: CameraSpec) -> bool:
    """Does the view of a joint pass through other parts of the same body first?

    Ray against triangles, (T, 3), those that may be in the way (Moeller and Trumbore 1997).
    """
    origin = np.asarray(camera.position)
    reach = float(np.linalg.norm(point - origin))
    ray = (point - origin) / reach
    a, b, c = (item.vertices[triangles[:, k]] for k in range(3))
    e1, e2 = b - a, c - a
    p = cross(ray, e2)
    det = (e1 * p).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        s = origin - a
        u = (s * p).sum(1) / det
        q = cross(s, e1)
        v = (q @ ray) / det
        t = (e2 * q).sum(1) / det
        hit = (np.abs(det) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    if not hit.any():
        return False
    depth = float(np.sqrt(((item.vertices - point) ** 2).sum(1).min()))
    return bool((hit & (t < reach - min(SKIN + 3 * depth, LIMB))).any())
