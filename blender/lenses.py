"""Lens models, and what follows from them: where a point lands in the image. No bpy.

All are radially symmetric: a ray at angle theta off the axis meets the image at ``focal * radius(theta)``
from its middle, in pixels. Cycles traces the same models, so colours, masks and keypoints agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Floats
from blender.scene import CameraSpec

SENSOR = 36.0
"""Width of the sensor in Blender's millimetres; only its ratio to the focal length matters."""


@dataclass(frozen=True)
class Lens:
    """One lens model."""

    radius: Callable[[Any], Any]
    """Radius in the image over the focal length, of an angle off the axis in radians."""
    set_up: Callable[[Any, CameraSpec, int, int], None]
    """Configure bpy's camera data for an image of width and height pixels."""


def _perspective(data: Any, camera: CameraSpec, width: int, height: int) -> None:
    data.sensor_fit, data.angle = "HORIZONTAL", camera.fov


def _equisolid(data: Any, camera: CameraSpec, width: int, height: int) -> None:
    data.type = "PANO"
    settings = data if hasattr(data, "panorama_type") else data.cycles  # moved in Blender 5.0
    settings.panorama_type = "FISHEYE_EQUISOLID"
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width, data.sensor_height = SENSOR, SENSOR * height / width
    settings.fisheye_lens = SENSOR * focal_length(camera, width) / width
    settings.fisheye_fov = 2 * np.pi  # up to the sensor's corners


LENSES: dict[str, Lens] = {
    "perspective": Lens(np.tan, _perspective),
    "fisheye": Lens(lambda theta: 2 * np.sin(np.asarray(theta) / 2), _equisolid),
}
"""Name to lens: "perspective" is free of distortion, "fisheye" keeps solid angles (equisolid)."""


def focal_length(camera: CameraSpec, width: int) -> float:
    """In pixels, so that the horizontal field of view fills the width."""
    return width / 2 / float(LENSES[camera.lens].radius(camera.fov / 2))


def camera_axes(camera: CameraSpec) -> Floats:
    """The camera's right, up and backward directions in the world, as the columns of (3, 3)."""
    cy, sy = np.cos(camera.yaw), np.sin(camera.yaw)
    cp, sp = np.cos(camera.pitch), np.sin(camera.pitch)
    forward = np.array([cy * cp, sy * cp, sp])
    right = np.array([sy, -cy, 0.0])
    up = np.cross(right, forward)
    c, s = np.cos(camera.roll), np.sin(camera.roll)
    return np.stack([c * right + s * up, c * up - s * right, -forward], 1)


def project(points: Floats, camera: CameraSpec, width: int, height: int) -> tuple[Floats, Floats]:
    """Pixel coordinates (N, 2), from the image's top left corner, and depth (N,) in metres along the view.

    Points at or behind the camera's plane have a depth of 0 or less and no meaningful pixel.
    """
    local = (points - np.asarray(camera.position)) @ camera_axes(camera)
    depth = -local[:, 2]
    off = np.hypot(local[:, 0], local[:, 1])
    theta = np.arctan2(off, np.maximum(depth, 1e-6))
    scale = focal_length(camera, width) * LENSES[camera.lens].radius(theta) / np.maximum(off, 1e-9)
    return np.stack([width / 2 + scale * local[:, 0], height / 2 - scale * local[:, 1]], 1), depth
