"""Draw a frame's camera: mount, lens and pose. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.capture import CameraConfig
from blender.sampling import pick, uniform
from blender.spec import CameraSpec, Footprint

HEADROOM = 1.1
"""Minimum distance between camera and roof, metres, for lamps, beams and ducts."""
LATERAL_RANGE = 0.25
"""Maximum distance of the camera from the hall's middle plane, as a share of the hall's half width."""
LEAST_AHEAD = 3.0
"""Minimum distance of the camera from the end wall, metres."""


def sample_mount(config: CameraConfig, rng: np.random.Generator) -> tuple[str, float]:
    """Draw a mount and the camera's height.

    The hall is drawn afterwards, since its roof must lie above the camera.

    Returns:
        The mount's name in the profile, and the camera's height above the floor in metres.
    """
    name = pick({key: mount.weight for key, mount in config.mounts.items()}, rng)
    return name, uniform(config.mounts[name].height, rng)


def sample_camera(
    config: CameraConfig, mount: str, height: float, room: Footprint, rng: np.random.Generator
) -> CameraSpec:
    """Draw a camera, at the mount's distance from the wall at the start of a room.

    Args:
        config: [scene.camera].
        mount: name of the mount in the profile.
        height: height of the camera above the floor, metres.
        room: floor of the hall, (x from, x to, y from, y to), metres.
        rng: the frame's generator.
    """
    settings = config.mounts[mount]
    x0, x1, y0, y1 = room
    lens = pick({key: value.weight for key, value in config.lenses.items()}, rng)
    x = min(x0 + uniform(settings.behind, rng), x1 - LEAST_AHEAD)
    pitch = float(np.radians(uniform(settings.pitch, rng)))
    if settings.floor is not None:
        pitch += _pitch_to_floor(settings.floor, height, x1 - x)
    return CameraSpec(
        position=(round(x, 4), uniform((LATERAL_RANGE * y0, LATERAL_RANGE * y1), rng), height),
        yaw=float(np.radians(uniform(settings.yaw, rng))),
        pitch=pitch,
        roll=float(np.radians(uniform(settings.roll, rng))),
        fov=float(np.radians(uniform(config.lenses[lens].fov, rng))),
        lens=lens,
        mount=mount,
    )


def _pitch_to_floor(floor: tuple[float, float], height: float, depth: float) -> float:
    """Return the pitch, radians, that centres the view on a stretch of floor ahead.

    Args:
        floor: start and end of the stretch, metres ahead of the camera.
        height: height of the camera, metres.
        depth: metres of floor ahead of the camera, at which the stretch is cut.
    """
    near, far = min(floor[0], depth), min(floor[1], depth)
    return -float(np.arctan2(height, near) + np.arctan2(height, far)) / 2
