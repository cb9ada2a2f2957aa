"""Test which points are in the image, draw such points, and compute the floor between camera and object."""

from __future__ import annotations

import numpy as np

from blender.config.profile import RenderConfig
from blender.geometry.lens import project
from blender.scene.free_space import Corners
from blender.spec import CameraSpec, Position

VIEW_START = 0.62
"""Distance from the camera at which a view area starts, metres: the camera's own footprint is free anyway."""
VIEW_SPREAD = 0.54
"""Maximum angle between drawn directions and the view's middle, as a share of the field of view. Above 0.5,
so that some points lie just outside the image."""


def in_image(camera: CameraSpec, render: RenderConfig, point: Position, margin: float = 0.04) -> bool:
    """Return whether a point lies in the image, or outside it by at most ``margin`` of the image's size."""
    size = [render.width, render.height]
    pixels, depth = project(np.array([point]), camera, render.width, render.height)
    inside = np.abs(pixels[0] / size - 0.5) < 0.5 + margin
    return bool(depth[0] > 0 and inside.all())


def horizontal_distance(camera: CameraSpec, position: Position) -> float:
    """Return the distance between camera and point on the floor, metres."""
    return float(np.hypot(position[0] - camera.position[0], position[1] - camera.position[1]))


def draw_point_in_view(camera: CameraSpec, distance: float, rng: np.random.Generator) -> Position:
    """Draw a point on the floor at ``distance`` metres from the camera, in the image or just outside."""
    angle = camera.yaw + rng.uniform(-VIEW_SPREAD, VIEW_SPREAD) * camera.fov
    x, y, _ = camera.position
    return (x + distance * float(np.cos(angle)), y + distance * float(np.sin(angle)), 0.0)


def view_area(camera: CameraSpec, corners: np.ndarray) -> Corners:
    """Return the floor area, (4, 2) metres, between a camera and a shape with ``corners`` (N, 2)."""
    eye = np.array(camera.position[:2])
    ahead = np.array([np.cos(camera.yaw), np.sin(camera.yaw)])
    rays = corners - eye
    angles = np.arctan2(ahead[0] * rays[:, 1] - ahead[1] * rays[:, 0], rays @ ahead)
    far = corners[[angles.argmin(), angles.argmax()]]
    near = eye + VIEW_START * (far - eye) / np.linalg.norm(far - eye, axis=1, keepdims=True)
    return np.array([near[0], far[0], far[1], near[1]])
