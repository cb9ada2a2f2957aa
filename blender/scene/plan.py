"""The plan of a scene while it is drawn: hall, camera, placed objects, occupied floor. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from blender.scene.free_space import Corners, corners_of, is_apart
from blender.spec import CameraSpec, Footprint, ObjectSpec

LEAST_GAP = 0.03
"""Minimum distance between two footprints, and to the walls, metres."""
CAMERA_FOOTPRINT: Footprint = (-0.5, 0.6, -0.4, 0.4)
"""Floor around the camera that stays free, in the camera's frame: its carrier, and space before the lens."""


@dataclass(frozen=True)
class Face:
    """A straight face that objects are parked at: a wall, or the front of a row of racks."""

    axis: int
    """The axis along which the face runs: 0 = x, 1 = y."""
    position: float
    """Coordinate of the face on the other axis, metres."""
    inward: int
    """Direction of the free side on that other axis: +1 or -1."""
    span: tuple[float, float]
    """Start and end of the face along ``axis``, metres."""
    is_rack: bool = False
    """Whether the face is the front of racks."""

    @property
    def across(self) -> int:
        """Return the axis that crosses the face: 0 = x, 1 = y."""
        return 1 - self.axis

    @property
    def heading_to(self) -> float:
        """Return the heading of an object that stands in front of the face and points to it, radians."""
        if self.axis == 0:
            return -self.inward * np.pi / 2
        return np.pi if self.inward > 0 else 0.0


@dataclass(frozen=True)
class OpenBay:
    """A rack's bay with nothing on the floor: low objects may stand partly below its lowest beam."""

    face: Face
    """The bay's front; its span limits the middle of an object."""
    depth: float
    """Maximum depth to which an object may reach into the bay, metres."""


@dataclass(frozen=True)
class PlacedGroup:
    """Where the objects of a profile that were placed together are in a plan."""

    first: int
    """Index of the first of them in ``Plan.objects``; the others follow."""
    count: int
    floor: int
    """Index of the first one's floor in ``Plan.occupied``; the others follow."""
    parked: bool
    """Whether they stand at a wall, at a rack, or beside an object."""
    in_use: bool
    backwards: bool
    """See ``blender.kinds.ObjectGroup``."""


@dataclass
class Plan:
    """The scene drawn so far. Each quadrilateral is ``Corners``, (4, 2) metres in the hall's frame."""

    hall: ObjectSpec
    room: Footprint
    """The hall's floor."""
    camera: CameraSpec
    faces: list[Face]
    """Walls and rack fronts to park at."""
    open_bays: list[OpenBay] = field(default_factory=list)
    objects: list[ObjectSpec] = field(default_factory=list)
    """All objects but the hall, in the order of the frame's record."""
    groups: list[PlacedGroup] = field(default_factory=list)
    """The objects of the profile's tables."""
    occupied: list[Corners] = field(default_factory=list)
    """Floor below objects, columns and fixtures of the walls."""
    bay_floors: list[Corners] = field(default_factory=list)
    """Floor of the open bays of racks: free for low objects only."""
    clear_views: list[Corners] = field(default_factory=list)
    """Floor between the camera and objects that must stay visible."""
    camera_footprint: Corners = field(init=False)
    """Floor around the camera."""

    def __post_init__(self) -> None:
        self.camera_footprint = corners_of(CAMERA_FOOTPRINT, self.camera.position, self.camera.yaw)

    def is_free(self, corners: Corners, under_rack: bool = False) -> bool:
        """Return whether a footprint lies in the room and apart from all placed objects.

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
