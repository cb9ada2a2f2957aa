"""What the camera shows of the floor: points in the picture, the area between camera and object. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.profile import RenderConfig
from blender.geometry.lens import project
from blender.scene.free_space import Corners
from blender.spec import CameraSpec, Position

VIEW_START = 0.62
"""The view begins this far from the camera, metres: its own footprint is kept free anyway."""
VIEW_SPREAD = 0.54
"""Directions are drawn up to this share of the field of view off its middle: a little beyond the picture."""


def in_picture(camera: CameraSpec, render: RenderConfig, point: Position, margin: float = 0.04) -> bool:
    """Return whether a point lies in the picture, or outside it by at most ``margin`` of its size."""
    size = [render.width, render.height]
    pixels, depth = project(np.array([point]), camera, render.width, render.height)
    inside = np.abs(pixels[0] / size - 0.5) < 0.5 + margin
    return bool(depth[0] > 0 and inside.all())


def horizontal_distance(camera: CameraSpec, position: Position) -> float:
    """Return the distance between camera and point on the floor, metres."""
    return float(np.hypot(position[0] - camera.position[0], position[1] - camera.position[1]))


def draw_point_in_view(camera: CameraSpec, distance: float, rng: np.random.Generator) -> Position:
    """Draw a point on the floor at a distance from the camera, in the picture or just beside it."""
    angle = camera.yaw + rng.uniform(-VIEW_SPREAD, VIEW_SPREAD) * camera.fov
    x, y, _ = camera.position
    return (x + distance * float(np.cos(angle)), y + distance * float(np.sin(angle)), 0.0)


def view_area(camera: CameraSpec, corners: np.ndarray) -> Corners:
    """Return the floor area, (4, 2), between a camera and what covers the points ``corners`` (N, 2)."""
    eye = np.array(camera.position[:2])
    ahead = np.array([np.cos(camera.yaw), np.sin(camera.yaw)])
    rays = corners - eye
    angles = np.arctan2(ahead[0] * rays[:, 1] - ahead[1] * rays[:, 0], rays @ ahead)
    far = corners[[angles.argmin(), angles.argmax()]]
    near = eye + VIEW_START * (far - eye) / np.linalg.norm(far - eye, axis=1, keepdims=True)
    return np.array([near[0], far[0], far[1], near[1]])
