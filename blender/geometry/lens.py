"""Projection from the hall to pixels, in numpy. No bpy.

``project`` and Cycles agree within a hundredth of a pixel, so keypoints, truncation and masks describe the
same image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from blender.geometry.mesh import Floats
from blender.lenses import LENSES, focal_length
from blender.spec import CameraSpec

NEAR = 0.02
"""Distance of the near clipping plane, metres: surfaces nearer than this are not rendered."""


@lru_cache(maxsize=1)  # called many times for the one camera of a frame
def camera_axes(camera: CameraSpec) -> Floats:
    """Return the camera's right, up and backward directions in the world: columns of (3, 3), read-only."""
    cy, sy = np.cos(camera.yaw), np.sin(camera.yaw)
    cp, sp = np.cos(camera.pitch), np.sin(camera.pitch)
    forward = np.array([cy * cp, sy * cp, sp])
    right = np.array([sy, -cy, 0.0])
    up = np.cross(right, forward)
    c, s = np.cos(camera.roll), np.sin(camera.roll)
    axes = np.stack([c * right + s * up, c * up - s * right, -forward], 1)
    axes.flags.writeable = False
    return axes


def project(points: Floats, camera: CameraSpec, width: int, height: int) -> tuple[Floats, Floats]:
    """Project points to pixels.

    Args:
        points: (N, 3) metres in the world.
        camera: the camera.
        width: width of the image in pixels.
        height: height of the image in pixels.

    Returns:
        Pixel coordinates (N, 2) from the image's top left corner, and depth (N,) in metres along the view.
        Coordinates are valid only where the depth is above 0.
    """
    local = (points - np.asarray(camera.position)) @ camera_axes(camera)
    depth = -local[:, 2]
    off_axis = np.hypot(local[:, 0], local[:, 1])
    radius = LENSES[camera.lens].radius(np.arctan2(off_axis, depth))
    scale = focal_length(camera.lens, camera.fov) * width * radius / np.maximum(off_axis, 1e-9)
    centre = np.array([width / 2, height / 2])
    return centre + scale[:, None] * local[:, :2] * [1, -1], depth


def intrinsics(camera: CameraSpec, width: int, height: int) -> dict[str, Any]:
    """Return the frame record's camera: mount, lens, its parameters in pixels, pose in metres and radians."""
    focal = round(focal_length(camera.lens, camera.fov) * width, 4)
    polynomial = LENSES[camera.lens].polynomial
    return {
        "mount": camera.mount,
        "lens": camera.lens,
        "fx": focal,
        "fy": focal,
        "cx": width / 2,
        "cy": height / 2,
        "position": list(camera.position),
        "yaw": camera.yaw,
        "pitch": camera.pitch,
        "roll": camera.roll,
        "fov": camera.fov,
        **({"polynomial": list(polynomial)} if polynomial else {}),
    }
