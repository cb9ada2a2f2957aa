"""The plan of a scene while it is drawn: the hall, the camera, what stands where, what stays free. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from blender.scene.free_space import Corners, corners_of, is_apart
from blender.spec import CameraSpec, Footprint, ObjectSpec

LEAST_GAP = 0.03
"""Least distance between two footprints, and to the walls, metres."""
CAMERA_FOOTPRINT: Footprint = (-0.5, 0.6, -0.4, 0.4)
"""Floor that stays free around the camera, in its frame: its carrier, and nothing right before the lens."""


@dataclass(frozen=True)
class Face:
    """A straight face that objects are parked at: a wall, or the front of a row of racks."""

    axis: int
    """The axis that it runs along: 0 = x, 1 = y."""
    position: float
    """Its coordinate on the other axis, metres."""
    inward: int
    """+1 or -1: the free side on that other axis."""
    span: tuple[float, float]
    """From where to where it runs along ``axis``, metres."""
    is_rack: bool = False
    """The front of racks."""

    @property
    def across(self) -> int:
        """The axis that crosses the face."""
        return 1 - self.axis

    @property
    def heading_to(self) -> float:
        """The heading of an object that stands in front of the face and points to it, radians."""
        if self.axis == 0:
            return -self.inward * np.pi / 2
        return np.pi if self.inward > 0 else 0.0


@dataclass(frozen=True)
class OpenBay:
    """A rack's bay with nothing on the floor: low objects may stand partly below its lowest beam."""

    face: Face
    """The bay's front; its span is where the middle of an object may be."""
    depth: float
    """How far an object may reach in, metres."""


@dataclass
class Plan:
    """What is placed already. Each quadrilateral is ``Corners``, (4, 2) metres in the hall's frame."""

    hall: ObjectSpec
    room: Footprint
    """The hall's floor."""
    camera: CameraSpec
    faces: list[Face]
    """Walls and rack fronts to park at."""
    open_bays: list[OpenBay] = field(default_factory=list)
    objects: list[ObjectSpec] = field(default_factory=list)
    """All objects but the hall, in the order of the frame's record."""
    occupied: list[Corners] = field(default_factory=list)
    """Floor below objects, columns and what stands out of the walls."""
    bay_floors: list[Corners] = field(default_factory=list)
    """Floor of racks' bays that have nothing on it: free for low objects only."""
    clear_views: list[Corners] = field(default_factory=list)
    """Floor between the camera and objects that nothing may hide."""
    camera_footprint: Corners = field(init=False)
    """Floor around the camera."""

    def __post_init__(self) -> None:
        self.camera_footprint = corners_of(CAMERA_FOOTPRINT, self.camera.position, self.camera.yaw)

    def is_free(self, corners: Corners, under_rack: bool = False) -> bool:
        """Return whether a footprint lies in the room and apart from all that is placed.

        Args:
            corners: the footprint's corners, (4, 2) metres.
            under_rack: the object is low enough for the floor of open bays.
        """
        x0, x1, y0, y1 = self.room
        low, high = [x0 + LEAST_GAP, y0 + LEAST_GAP], [x1 - LEAST_GAP, y1 - LEAST_GAP]
        if not ((corners >= low).all() and (corners <= high).all()):
            return False
        others = [self.camera_footprint, *self.occupied, *self.clear_views]
        return is_apart(corners, others if under_rack else others + self.bay_floors, LEAST_GAP)

    def add(self, item: ObjectSpec, *floor: Corners) -> None:
        """Add an object and the floor that it occupies, without a check."""
        self.objects.append(item)
        self.occupied += floor

    def add_if_free(self, item: ObjectSpec, footprint: Footprint) -> bool:
        """Add an object if its place is free; return whether it was."""
        corners = corners_of(footprint, item.position, item.yaw)
        if not self.is_free(corners):
            return False
        self.add(item, corners)
        return True
