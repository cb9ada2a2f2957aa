"""Where objects stand at walls and racks: at a face, or with the front below a rack's lowest beam. No bpy."""

from __future__ import annotations

import numpy as np

from blender.kinds import Parking
from blender.scene.free_space import corners_of
from blender.scene.plan import LEAST_GAP, Face, OpenBay
from blender.spec import Footprint, Position

ROUNDING_GAP = 0.01
"""Added to the least gap at a face, metres: a heading off by a little must not make every draw fail."""
LEAST_INSERTION = 0.3
"""An object below a rack's lowest beam reaches in at least this far, metres."""
INSERTION_HEADING_DEVIATION = 0.04
"""Standard deviation of its heading, radians: forks go in nearly straight."""


def stand_at_face(
    face: Face, near: Position, footprint: Footprint, parking: Parking, rng: np.random.Generator
) -> tuple[Position, float]:
    """Draw how an object stands at a face: its position and its heading.

    Args:
        face: the wall or the front of racks.
        near: a point; the object stands where the face is nearest to it.
        footprint: of the object and what is attached to it.
        parking: how its kind stands at faces.
    """
    # Drivers and walkers are a little careless: nothing is exactly square.
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
    """Draw a bay, and how an object stands with its front below the bay's lowest beam.

    Args:
        bays: the open bays to choose from.
        footprint: of the object.
        low_from: the x in the object's frame from which on it is low enough, metres.
    """
    bay = bays[int(rng.integers(len(bays)))]
    face, tip = bay.face, footprint[1]
    outside = rng.uniform(max(low_from, tip - bay.depth), tip - LEAST_INSERTION)
    position = [0.0, 0.0, 0.0]
    position[face.axis] = rng.uniform(*face.span)
    position[face.across] = face.position + face.inward * outside
    yaw = face.heading_to + rng.normal(0, INSERTION_HEADING_DEVIATION)
    return (position[0], position[1], 0.0), float(yaw)
