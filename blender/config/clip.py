"""The table [scene.clip] of a profile: frames in a row that show one scene in motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from blender.contract.limits import Ge, Gt, Le, Ordered, Share

Speed = Annotated[tuple[float, float], Gt(0), Le(10), Ordered()]
"""A range of speeds in metres a second."""


@dataclass(frozen=True)
class ClipConfig:
    """[scene.clip]: clips of 8 frames a second."""

    frames: Annotated[int, Ge(0), Le(10_000)] = 0
    """Frames of a clip: the first clip of a split is its first ``frames`` frames. 0: each frame is a scene of
    its own."""
    walking: Speed = (0.7, 1.5)
    """Speed of people who walk."""
    driving: Speed = (0.6, 1.6)
    """Speed of pallet trucks with an operator, and of machines with a driver."""
    moving_camera: Share = 0.5
    """Share of the clips from the mount "vehicle" in which the camera moves along the hall."""
    camera: Speed = (0.3, 1.0)
    """Speed of a moving camera."""
