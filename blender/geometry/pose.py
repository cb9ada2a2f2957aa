"""Objects in the hall: from an object's own coordinates to world coordinates. No bpy."""

from __future__ import annotations

import numpy as np

from blender.geometry.mesh import Floats
from blender.spec import ObjectSpec


def to_world(points: Floats, item: ObjectSpec) -> Floats:
    """Transform points (N, 3) from an object's own coordinates to world coordinates."""
    c, s = np.cos(item.yaw), np.sin(item.yaw)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return points @ rotation.T + np.asarray(item.position)
