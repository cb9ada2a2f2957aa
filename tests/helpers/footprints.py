"""The floor that objects of a scene cover."""

from __future__ import annotations

from blender.assets import Assets
from blender.kinds import find_kind
from blender.objects import rack
from blender.scene.free_space import Corners, corners_of
from blender.spec import ObjectSpec


def floor_of(item: ObjectSpec, assets: Assets) -> list[Corners]:
    """Return the corners of the floor that an object covers; a rack's open bays are free."""
    if item.builder == "rack":
        shapes = rack.solids(item.params)
    else:
        shapes = [find_kind(item.builder).footprint(item.params, assets)]
    return [corners_of(shape, item.position, item.yaw) for shape in shapes]
