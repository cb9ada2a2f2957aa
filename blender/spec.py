"""A frame as a pure description: ``blender.scene`` draws it, ``blender.rendering`` renders it. No bpy.

Lengths are metres, angles radians. The hall starts at x = 0, the camera points to +x, z is up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Params = dict[str, Any]
"""An object's parameters: JSON values, drawn by its kind's ``sample``."""
Footprint = tuple[float, float, float, float]
"""A rectangle on the floor: (x from, x to, y from, y to), metres."""
Position = tuple[float, float, float]
"""A point (x, y, z), metres."""


@dataclass(frozen=True)
class ObjectSpec:
    """One object of a scene."""

    builder: str
    """Name of the object's kind: a module in ``blender/objects``."""
    params: Params
    position: Position = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    category: str = ""
    """Class of the object; empty: it is never labelled."""


@dataclass(frozen=True)
class CameraSpec:
    """A camera: yaw turns from +x to +y, pitch turns up, roll turns about the viewing direction."""

    position: Position
    yaw: float
    pitch: float
    roll: float
    fov: float
    """Horizontal field of view, radians."""
    lens: str = "perspective"
    """A key of ``blender.lenses.LENSES``."""
    mount: str = "vehicle"
    """A key of the profile's [scene.camera.mounts]."""


@dataclass(frozen=True)
class LampSpec:
    """A rectangular lamp below the roof that shines down."""

    position: Position
    size: tuple[float, float]
    """Extent along x and y, metres."""
    power: float
    """Watts; 0: the lamp is off."""
    temperature: float
    """Kelvin."""


@dataclass(frozen=True)
class SceneSpec:
    """The scene of one frame. Together with [render] it determines every pixel."""

    layout: str
    """An element of ``blender.config.layouts.LAYOUTS``."""
    objects: tuple[ObjectSpec, ...]
    """All objects; the first is the hall."""
    camera: CameraSpec
    lamps: tuple[LampSpec, ...]
    temperature: float
    """Mean colour temperature of the lamps, kelvin."""
    ambient: float
    """Radiance of the ambient light, W/m2/sr."""
    environment: str
    """Source of the ambient light's colour: an element of ``blender.config.capture.ENVIRONMENTS``."""
    sensor: dict[str, Any] = field(default_factory=dict)
    """Parameters of the camera's sensor: see ``blender.imaging.sensor``."""
