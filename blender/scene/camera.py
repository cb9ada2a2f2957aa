"""Where a frame's camera hangs and how it looks: draws of mount, lens and pose. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.capture import CameraConfig
from blender.sampling import pick, uniform
from blender.spec import CameraSpec

HEADROOM = 1.1
"""Least space between camera and roof, metres: lamps, beams and ducts hang there."""


def sample_mount(config: CameraConfig, rng: np.random.Generator) -> tuple[str, float]:
    """The name of a mount, and metres above the floor; drawn before the hall, whose roof must lie above."""
    name = pick({key: mount.weight for key, mount in config.mounts.items()}, rng)
    return name, uniform(config.mounts[name].height, rng)


def sample_camera(
    config: CameraConfig,
    mount: str,
    height: float,
    room: tuple[float, float, float, float],
    rng: np.random.Generator,
) -> CameraSpec:
    """A camera near the wall at the start of a room, (x from, x to, y from, y to) in metres."""
    settings = config.mounts[mount]
    x0, x1, y0, y1 = room
    lens = pick({key: value.weight for key, value in config.lenses.items()}, rng)
    x = x0 + uniform(settings.behind, rng)
    pitch = float(np.radians(uniform(settings.pitch, rng)))
    if settings.floor is not None:
        pitch += _towards(settings.floor, height, x1 - x)
    return CameraSpec(
        position=(round(x, 4), uniform((0.25 * y0, 0.25 * y1), rng), height),
        yaw=float(np.radians(uniform(settings.yaw, rng))),
        pitch=pitch,
        roll=float(np.radians(uniform(settings.roll, rng))),
        fov=float(np.radians(uniform(config.lenses[lens].fov, rng))),
        lens=lens,
        mount=mount,
    )


def _towards(floor: tuple[float, float], height: float, free: float) -> float:
    """The pitch, radians, that centres a stretch of floor; a room with less free floor ends it sooner."""
    near, far = min(floor[0], free), min(floor[1], free)
    return -float(np.arctan2(height, near) + np.arctan2(height, far)) / 2
