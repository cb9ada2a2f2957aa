"""The instance records of a frame: visible and amodal extents, distance, keypoints, 3D boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.contract import Box3d, Instance, RunLengths
from blender.geometry.lens import NEAR, camera_axes, project
from blender.geometry.mesh import Floats, cross, extents
from blender.geometry.pose import to_world
from blender.kinds import find_kind
from blender.rendering.amodal import amodal_mask
from blender.rendering.builder import SceneObject
from blender.spec import CameraSpec, ObjectSpec

SKIN, LIMB = 0.03, 0.18
"""Metres. A joint counts as visible if the line of sight enters the person's own body at most SKIN plus
three times the joint's depth below the skin before the joint, but never more than LIMB. A hip lies deep in
the body, an eye does not; a head is 0.2 m deep."""


def instance_records(
    placed: list[SceneObject],
    ids: np.ndarray,
    camera: CameraSpec,
    assets: Assets,
    boxes3d: bool = False,
    alone: Mapping[int, np.ndarray] | None = None,
) -> tuple[Instance, ...]:
    """Describe every labelled object of a frame.

    Args:
        placed: the objects of the scene.
        ids: (H, W) uint16, the instance id of each pixel.
        camera: the camera of the frame.
        assets: the posed body meshes with their keypoints.
        boxes3d: add the pose and the 3D box of each object.
        alone: masks of the objects that are partly transparent, rendered alone: id -> (H, W) bool.
    """
    alone = alone or {}
    height, width = ids.shape
    counts = np.bincount(ids.ravel())
    instances = []
    for item in placed:
        if not item.spec.category:
            continue
        number = int(item.object.pass_index)
        visible = int(counts[number]) if number < len(counts) else 0
        # Two renders, or Cycles and numpy, can round differently at an edge. So the amodal mask includes the
        # visible pixels.
        if number in alone:
            amodal = alone[number] | (ids == number)
        else:
            amodal = amodal_mask(item.vertices, item.triangles, camera, ids == number)
        amodal_pixels = int(amodal.sum())
        pixels, depth = project(item.vertices, camera, width, height)
        outside = (depth <= NEAR) | (pixels < 0).any(1) | (pixels > [width, height]).any(1)
        truncated = bool(amodal_pixels and outside.any())
        if number in alone:  # what is outside may be transparent
            truncated = truncated and bool(amodal[[0, -1]].any() or amodal[:, [0, -1]].any())
        distance = np.linalg.norm(item.vertices - np.asarray(camera.position), axis=1).min()
        instances.append(
            Instance(
                id=number,
                category=item.spec.category,
                parameters={"kind": item.spec.builder, **item.spec.params},
                distance=round(float(distance), 3),
                visible_pixels=visible,
                amodal_pixels=amodal_pixels,
                visible_fraction=round(visible / amodal_pixels, 4) if amodal_pixels else 0.0,
                truncated=truncated,
                keypoints=_keypoints(item, (pixels, depth), ids, camera, assets),
                box3d=_box3d(item, camera) if boxes3d else None,
                amodal=encode_run_lengths(amodal) if amodal_pixels else None,
            )
        )
    return tuple(instances)


def encode_run_lengths(mask: np.ndarray) -> RunLengths:
    """Encode a mask (H, W) bool as COCO run lengths: column by column, zeros first."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = np.concatenate([[0], edges, [pixels.size]])
    if pixels[0]:
        starts = np.concatenate([[0], starts])
    height, width = mask.shape
    return RunLengths((height, width), tuple(np.diff(starts).tolist()))


def _box3d(item: SceneObject, camera: CameraSpec) -> Box3d:
    """Compute the object's pose and its bounding box along its own axes, in world and camera coordinates."""
    axes = to_world(np.eye(3), ObjectSpec("", {}, yaw=item.spec.yaw)).T
    position, eye = np.asarray(item.spec.position, float), np.asarray(camera.position)
    local = (item.vertices - position) @ axes
    low, high = local.min(0), local.max(0)
    centre = axes @ (low + high) / 2 + position
    view = (camera_axes(camera) * [1, -1, -1]).T
    fields = {
        "size": high - low,
        "position": position,
        "centre": centre,
        "rotation": axes,
        "camera_position": view @ (position - eye),
        "camera_centre": view @ (centre - eye),
        "camera_rotation": view @ axes,
    }
    return Box3d(**{name: _rounded_tuple(value) for name, value in fields.items()})


def _rounded_tuple(array: Floats) -> Any:
    """Convert an array to nested tuples with six decimals: short, and rotations stay orthonormal."""
    return tuple(round(float(v), 6) + 0.0 if np.ndim(v) == 0 else _rounded_tuple(v) for v in array)


def _keypoints(
    item: SceneObject,
    projected: tuple[Floats, Floats],
    ids: np.ndarray,
    camera: CameraSpec,
    assets: Assets,
) -> tuple[tuple[float, float, int], ...]:
    """Compute the COCO keypoints of an object; empty for a kind without keypoints.

    Args:
        item: the object.
        projected: the result of ``project`` for the object's vertices.
        ids: (H, W) uint16, the instance id of each pixel.
        camera: the camera of the frame.
        assets: the posed body meshes.

    Returns:
        (x, y, v) for each keypoint; v is 0 outside the image, 1 hidden, 2 visible.
    """
    joints = find_kind(item.spec.builder).keypoints(item.spec.params, assets)
    if joints is None:
        return ()
    height, width = ids.shape
    points = to_world(joints, item.spec)
    pixels, depth = project(points, camera, width, height)
    vertex_pixels, vertex_depth = projected
    # Vertices behind the camera become NaN, so that every comparison with them is false.
    corners = np.where(vertex_depth[:, None] > NEAR, vertex_pixels, np.nan)[item.triangles]
    (left, top), (right, bottom) = (ends.T for ends in extents(corners))
    keypoints = []
    for point, (x, y), z in zip(points, pixels, depth, strict=True):
        if z <= 0 or not (0 <= x < width and 0 <= y < height):
            keypoints.append((0.0, 0.0, 0))
            continue
        visible = ids[int(y), int(x)] == item.object.pass_index
        if visible:
            elsewhere = (left > x + 1) | (right < x - 1) | (top > y + 1) | (bottom < y - 1)
            visible = not _is_self_occluded(item, item.triangles[~elsewhere], point, camera)
        keypoints.append((round(float(x), 2), round(float(y), 2), 2 if visible else 1))
    return tuple(keypoints)


def _is_self_occluded(item: SceneObject, triangles: np.ndarray, point: Floats, camera: CameraSpec) -> bool:
    """Test whether another part of the same body hides a joint from the camera.

    Ray-triangle intersection after Moeller and Trumbore (1997).

    Args:
        item: the person.
        triangles: (T, 3) the triangles near the line of sight.
        point: (3,) the joint in world coordinates.
        camera: the camera of the frame.
    """
    origin = np.asarray(camera.position)
    distance = float(np.linalg.norm(point - origin))
    ray = (point - origin) / distance
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
    depth_below_skin = float(np.sqrt(((item.vertices - point) ** 2).sum(1).min()))
    return bool((hit & (t < distance - min(SKIN + 3 * depth_below_skin, LIMB))).any())
