"""A frame as a pure description: what ``layout`` draws and ``stage`` builds. No bpy.

Metres and radians; the hall spans x from 0, the camera looks to +x, z is up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ObjectSpec:
    """One object of a scene."""

    builder: str
    params: dict[str, Any]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    category: str = ""
    """Empty for what is never labelled."""


@dataclass(frozen=True)
class CameraSpec:
    """A camera; yaw from +x to +y, pitch up, roll about the view."""

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    fov: float
    """Horizontal, radians."""
    lens: str = "perspective"
    """A key of ``blender.geometry.lens.LENSES``."""
    mount: str = "vehicle"
    """A key of the profile's mounts."""


@dataclass(frozen=True)
class LampSpec:
    """A rectangular lamp under the roof, shining down."""

    position: tuple[float, float, float]
    size: tuple[float, float]
    power: float
    """Watts; 0: it is off."""
    temperature: float
    """Kelvin."""


@dataclass(frozen=True)
class SceneSpec:
    """One frame: everything that decides its pixels apart from [render]."""

    layout: str
    objects: tuple[ObjectSpec, ...]
    camera: CameraSpec
    lamps: tuple[LampSpec, ...]
    temperature: float
    """Kelvin, of all the lamps on average."""
    ambient: float
    """W/m2/sr."""
    environment: str
    """What colours the ambient light: a member of ``blender.config.capture.ENVIRONMENTS``."""
    sensor: dict[str, Any] = field(default_factory=dict)
