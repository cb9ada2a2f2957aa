"""Test which points are in the image, draw such points, and compute the floor between camera and object."""

from __future__ import annotations

import numpy as np

from blender.config.profile import RenderConfig
from blender.geometry.lens import project
from blender.scene.free_space import Corners, corners_of
from blender.spec import CameraSpec, Footprint, Position

VIEW_START = 0.62
"""Distance from the camera at which a view area starts, metres: the camera's own footprint is free anyway."""
VIEW_SPREAD = 0.54
"""Maximum angle between drawn directions and the view's middle, as a share of the field of view. Above 0.5,
so that some points lie just outside the image."""
CUT_SPREAD = 0.75
"""The same share for objects that the edge of the image cuts off."""
LOW_POINT = 0.1
"""Height of an object's lowest point that counts as a part of it in the image, metres."""
COLUMN_STEPS = 5
"""Number of points above an object's origin that are tested for being in the image."""
LEAST_PARTS = 2
"""Number of an object's points that must be in the image, so that more than a corner is there."""


def in_image(camera: CameraSpec, render: RenderConfig, point: Position, margin: float = 0.04) -> bool:
    """Return whether a point lies in the image, or outside it by at most ``margin`` of the image's size."""
    size = [render.width, render.height]
    pixels, depth = project(np.array([point]), camera, render.width, render.height)
    inside = np.abs(pixels[0] / size - 0.5) < 0.5 + margin
    return bool(depth[0] > 0 and inside.all())


def is_cut(
    camera: CameraSpec,
    render: RenderConfig,
    footprint: Footprint,
    height: float,
    position: Position,
    yaw: float,
) -> bool:
    """Return whether a part of an object is in the image and a part is outside.

    The object is represented by points over its footprint near the floor, and by points above its origin.

    Args:
        camera: the camera.
        render: the image's size.
        footprint: of the object in its own frame, metres.
        height: of the object, metres.
        position: of the object (x, y, z), metres.
        yaw: heading of the object, radians.
    """
    corners = corners_of(footprint, position, yaw)
    floor = np.concatenate([corners, (corners + np.roll(corners, 1, 0)) / 2])
    low = np.column_stack([floor, np.full(len(floor), LOW_POINT)])
    column = np.column_stack(
        [np.tile(position[:2], (COLUMN_STEPS, 1)), np.linspace(LOW_POINT, height, COLUMN_STEPS)]
    )
    points = np.concatenate([low, column])
    pixels, depth = project(points, camera, render.width, render.height)
    inside = (depth > 0) & (pixels >= 0).all(1) & (pixels <= [render.width, render.height]).all(1)
    return LEAST_PARTS <= int(inside.sum()) < len(points)


def horizontal_distance(camera: CameraSpec, position: Position) -> float:
    """Return the distance between camera and point on the floor, metres."""
    return float(np.hypot(position[0] - camera.position[0], position[1] - camera.position[1]))


def draw_point_in_view(
    camera: CameraSpec, distance: float, rng: np.random.Generator, spread: float = VIEW_SPREAD
) -> Position:
    """Draw a point on the floor at ``distance`` metres from the camera, in the image or just outside.

    ``spread``: maximum angle from the view's middle, as a share of the field of view.
    """
    angle = camera.yaw + rng.uniform(-spread, spread) * camera.fov
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
