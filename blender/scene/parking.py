"""Draw positions of objects at walls and racks, also with the front below a rack's lowest beam. No bpy."""

from __future__ import annotations

import numpy as np

from blender.kinds import Parking
from blender.scene.free_space import corners_of
from blender.scene.plan import LEAST_GAP, Face, OpenBay
from blender.spec import Footprint, Position

ROUNDING_GAP = 0.01
"""Addition to the minimum gap at a face, metres. Without it, a rounded position could violate the
minimum gap."""
LEAST_INSERTION = 0.3
"""Minimum depth to which an object reaches below a rack's lowest beam, metres."""
INSERTION_HEADING_DEVIATION = 0.04
"""Standard deviation of the heading of an object below a beam, radians: forks go in nearly straight."""
BESIDE_MEAN_GAP, BESIDE_SHIFT, BESIDE_HEADING_DEVIATION = 0.12, 0.4, 0.08
"""An object beside another: mean of the exponentially distributed gap between both, metres; standard
deviation of its position along the other, metres, and of its heading, radians."""


def stand_at_face(
    face: Face, near: Position, footprint: Footprint, parking: Parking, rng: np.random.Generator
) -> tuple[Position, float]:
    """Draw the position and the heading of an object at a face.

    Args:
        face: the wall or the front of racks.
        near: a point (x, y, z), metres; the object stands where the face is nearest to this point.
        footprint: footprint of the object with its attached objects, metres.
        parking: the rules of the object's kind.
        rng: the frame's generator.

    Returns:
        The position (x, y, z) in metres and the yaw in radians.
    """
    # People park inexactly, so no heading is exactly square to the face.
    if parking.facing:
        yaw = face.heading_to + rng.normal(0, parking.heading_deviation)
    else:
        along = 0.0 if face.axis == 0 else np.pi / 2
        yaw = along + int(rng.integers(4)) * np.pi / 2 + rng.normal(0, parking.heading_deviation)
    reach = corners_of(footprint, yaw=yaw)[:, face.across]
    to_face = reach.min() if face.inward > 0 else reach.max()
    gap = LEAST_GAP + ROUNDING_GAP + rng.exponential(parking.mean_gap)
    position = list(near)
    position[face.across] = face.position - float(to_face) + face.inward * gap
    position[face.axis] = float(np.clip(position[face.axis], *face.span))
    return (position[0], position[1], 0.0), float(yaw)


def stand_under_rack(
    bays: list[OpenBay], footprint: Footprint, low_from: float, rng: np.random.Generator
) -> tuple[Position, float]:
    """Draw a bay, and the position and the heading of an object whose front is below the bay's lowest beam.

    Args:
        bays: the open bays to choose from.
        footprint: footprint of the object, metres.
        low_from: the x in the object's frame from which the object is low enough, metres.
        rng: the frame's generator.

    Returns:
        The position (x, y, z) in metres and the yaw in radians.
    """
    bay = bays[int(rng.integers(len(bays)))]
    face, tip = bay.face, footprint[1]
    outside = rng.uniform(max(low_from, tip - bay.depth), tip - LEAST_INSERTION)
    position = [0.0, 0.0, 0.0]
    position[face.axis] = rng.uniform(*face.span)
    position[face.across] = face.position + face.inward * outside
    yaw = face.heading_to + rng.normal(0, INSERTION_HEADING_DEVIATION)
    return (position[0], position[1], 0.0), float(yaw)


def stand_beside(
    other: Footprint, position: Position, yaw: float, footprint: Footprint, rng: np.random.Generator
) -> tuple[Position, float]:
    """Draw the position and the heading of an object close beside another one, to its left or right.

    Args:
        other: footprint of the other object in its own frame, metres.
        position: the other object's position (x, y, z), metres.
        yaw: the other object's heading, radians.
        footprint: footprint of the object with its attached objects, metres.
        rng: the frame's generator.

    Returns:
        The position (x, y, z) in metres and the yaw in radians.
    """
    turn = int(rng.integers(4)) * np.pi / 2 + rng.normal(0, BESIDE_HEADING_DEVIATION)
    corners, side = corners_of(footprint, yaw=turn), int(rng.choice([-1, 1]))
    gap = LEAST_GAP + ROUNDING_GAP + rng.exponential(BESIDE_MEAN_GAP)
    y = other[3] + gap - corners[:, 1].min() if side > 0 else other[2] - gap - corners[:, 1].max()
    x = (other[0] + other[1]) / 2 - corners[:, 0].mean() + rng.normal(0, BESIDE_SHIFT)
    c, s = np.cos(yaw), np.sin(yaw)
    at = (float(position[0] + c * x - s * y), float(position[1] + s * x + c * y), 0.0)
    return at, float(yaw + turn)
