"""Draw stored goods along free walls: runs of equal stacks of pallets or containers. No bpy.

``add_stores`` draws them after all other objects. So they never take the place of a labelled object, and a
profile without them gives otherwise equal scenes. A block store is a part of a layout.
"""

from __future__ import annotations

import numpy as np

from blender.config.layouts import StoresConfig
from blender.objects import cage, hall
from blender.scene.free_space import Corners, corners_of, is_apart
from blender.scene.plan import Face, Plan
from blender.scene.sampler import SceneSampler
from blender.scene.visibility import horizontal_distance, in_image
from blender.spec import Footprint, ObjectSpec

BLOCK_FILL = 0.9
"""Share of a block store's length that has goods."""
BLOCK_NEAR = 1.0
"""Minimum distance of a block store's goods from the camera, metres."""
ROOF_SPACE = 0.6
"""Space below the roof for beams, pipes and lamps, metres."""
DEVIATION = 0.012
"""Standard deviation of a stack's position, metres, and heading, radians: stacks stand nearly square."""
VIEW_HEIGHT = 0.7
"""Height of the point, metres, that must be in the image or near its border."""
VIEW_MARGIN = 0.3
"""Maximum distance of that point from the image, as a share of the image's size. Within it the stack's
shadow or top can be visible."""


def add_stores(sampler: SceneSampler, plan: Plan) -> None:
    """Fill the free walls of some halls with goods."""
    ranges = sampler.scene.stores
    if not sampler.chance(ranges.halls):
        return
    doorways = _doorways(plan)
    for face in plan.faces:
        if face.is_rack:
            continue
        filled, (position, end) = sampler.uniform(ranges.filled), face.span
        while position < end:
            stacked = sampler.chance(filled)
            position = _add_run(sampler, plan, face, position, stacked, doorways, ranges.near)


def _doorways(plan: Plan) -> list[Corners]:
    """Return the floor in front of the hall's doors."""
    return [corners_of(area) for area in hall.entrances(plan.hall.params)]


def add_block(sampler: SceneSampler, plan: Plan, face: Face) -> None:
    """Fill a wall with goods from end to end, with small gaps: a block store in place of a row of racks."""
    doorways = _doorways(plan)
    position, end = face.span
    while position < end:
        position = _add_run(sampler, plan, face, position, sampler.chance(BLOCK_FILL), doorways, BLOCK_NEAR)


def _add_run(
    sampler: SceneSampler,
    plan: Plan,
    face: Face,
    start: float,
    filled: bool,
    doorways: list[Corners],
    near: float,
) -> float:
    """Add a run of equal stacks at a wall, or leave an equal length of the wall free.

    Args:
        sampler: draws the stacks.
        plan: the scene so far.
        face: the wall.
        start: where the run starts along the wall, metres.
        filled: False: leave this part of the wall free.
        doorways: floor that stays free.
        near: minimum distance from the camera, metres.

    Returns:
        The end of the run along the wall, metres.
    """
    ranges, rng, across = sampler.scene.stores, sampler.rng, face.across
    stack = _draw_stack(sampler, ranges)
    footprint = sampler.footprint(stack)
    yaw = (0.0 if face.axis == 0 else np.pi / 2) + int(rng.integers(4)) * np.pi / 2
    corners = corners_of(footprint, yaw=yaw)
    low, high = corners.min(0), corners.max(0)
    size = high - low
    gap, from_wall = sampler.uniform(ranges.apart), sampler.uniform(ranges.away)
    count, deep = sampler.integer(ranges.run), sampler.integer(ranges.deep)
    filled = filled and sampler.height(stack) < plan.hall.params["height"] - ROOF_SPACE
    for _ in range(count):
        if start > face.span[1]:
            break
        for row in range(deep if filled else 0):
            at = np.zeros(3)
            at[face.axis] = start + gap - low[face.axis]
            out = from_wall + row * (size[across] + gap)
            at[across] = face.position + face.inward * out - (low if face.inward > 0 else high)[across]
            at[:2] += rng.normal(0, DEVIATION, 2)
            turn = yaw + float(rng.normal(0, DEVIATION))
            item = ObjectSpec(stack.builder, stack.params, tuple(at.tolist()), turn)
            if horizontal_distance(plan.camera, item.position) < near:
                continue
            if _may_stand(sampler, plan, item, footprint, doorways):
                plan.add_if_free(item, footprint)
        start += float(size[face.axis]) + gap
    return start + sampler.uniform(ranges.apart)


def _draw_stack(sampler: SceneSampler, ranges: StoresConfig) -> ObjectSpec:
    """Draw a pallet by the ranges of [scene.pallet], or a variant of ``cage`` or ``clutter``."""
    name = sampler.pick(ranges.things)
    if name == "pallet":
        return ObjectSpec("pallet", sampler.params("pallet"))
    kind = "cage" if name in cage.VARIANTS else "clutter"
    return ObjectSpec(kind, {"variant": name, "seed": sampler.seed()})


def _may_stand(
    sampler: SceneSampler, plan: Plan, item: ObjectSpec, footprint: Footprint, doorways: list[Corners]
) -> bool:
    """Return whether a stack is in or near the image, and in no doorway."""
    x, y, _ = item.position
    if not in_image(plan.camera, sampler.config.render, (x, y, VIEW_HEIGHT), VIEW_MARGIN):
        return False
    return is_apart(corners_of(footprint, item.position, item.yaw), doorways, 0.0)
