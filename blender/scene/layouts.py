"""Draw layouts: each is one type of place in a warehouse with a hall, a camera, racks and pallets. No bpy.

A layout is registered by name (``@layout``) and listed in ``blender.config.layouts.LAYOUTS``, where profiles
are checked. Axes: x runs from the wall behind the camera to the end wall, y = 0 is the hall's middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from blender.objects import hall, rack
from blender.scene.camera import HEADROOM, sample_camera, sample_mount
from blender.scene.free_space import corners_of
from blender.scene.groups import add_dock_lanes, add_packing_line, add_staged_pallets
from blender.scene.plan import Face, Plan
from blender.scene.racks import add_rack_end_guard, add_rack_row, draw_rack_style
from blender.scene.sampler import SceneSampler
from blender.scene.stores import add_block
from blender.spec import ObjectSpec

RACK_SPACE = 1.65
"""Distance from a wall to the front of racks along it, metres: the racks, and columns and pipes behind."""
RACK_END_GAP = 0.4
"""Distance from a side wall to the end of a row of racks along the end wall, metres."""
CAMERA_TO_RACK = 0.6
"""Minimum distance between the camera and the front of an aisle's racks, metres."""
SIDE_RACKS_START = 2.5
"""Distance from the wall behind the camera to the start of racks along a side wall, metres."""
STAGING_RACKS_START, DOCK_RACKS_START = (SIDE_RACKS_START, 5), (SIDE_RACKS_START, 4)
"""Ranges of that distance in staging areas and docks, metres."""
SIDE_RACKS_END, DOCK_RACKS_END = 2.0, 4.0
"""Distance from the end of these racks to the end wall, metres. At a dock, trucks turn there."""

BACK_TO_BACK_GAP = 0.25
"""Gap between two rows of racks that stand back to back, metres."""
CROSSING_LEAST_SPACE = 0.3
"""Space that a pair of rows needs in addition to the depth of both racks, metres."""
CROSSING_END_GAP = 1.0
"""Minimum distance of the last pair of rows from the end wall, metres."""
CROSSING_SIDE_GAP = 0.5
"""Distance from a side wall to the far ends of the rows, metres."""
GUARD_OFFSET = 0.1
"""Distance from the near ends of the rows to the guards in front of them, metres."""

Layout = Callable[[SceneSampler], Plan]
LAYOUTS: dict[str, Layout] = {}
"""Layout name -> function that draws it."""


def layout(name: str) -> Callable[[Layout], Layout]:
    """Register a function as the layout ``name``."""

    def register(function: Layout) -> Layout:
        LAYOUTS[name] = function
        return function

    return register


def draw_empty_hall(sampler: SceneSampler, camera_range: float = np.inf, **fixed: Any) -> Plan:
    """Draw a hall with a camera in it.

    Args:
        sampler: draws the hall and the camera.
        camera_range: maximum distance of the camera from the hall's middle plane y = 0, metres.
        fixed: parameters of the hall that the layout sets.
    """
    settings, rng = sampler.scene.camera, sampler.rng
    mount, camera_height = sample_mount(settings, rng)
    params = {**sampler.params("hall"), **fixed}
    params["height"] = max(params["height"], round(camera_height + HEADROOM, 4))
    x0, x1, y0, y1 = room = hall.footprint(params, sampler.assets)
    camera = sample_camera(settings, mount, camera_height, room, rng)
    x, y, z = camera.position
    camera = replace(camera, position=(x, float(np.clip(y, -camera_range, camera_range)), z))
    walls = [Face(1, x1, -1, (y0, y1)), Face(0, y0, 1, (x0, x1)), Face(0, y1, -1, (x0, x1))]
    occupied = [corners_of(area) for area in hall.obstacles(params)]
    return Plan(ObjectSpec("hall", params), room, camera, walls, occupied=occupied)


def _add_end_racks(sampler: SceneSampler, plan: Plan, style: dict[str, Any], start: float) -> None:
    """Add a row of racks along the end wall, from y = ``start`` to the far corner."""
    _, length, _, high = plan.room
    front = Face(1, length - RACK_SPACE, -1, (start, high - RACK_END_GAP))
    add_rack_row(sampler, plan, style, front)


def _add_side_racks(
    sampler: SceneSampler, plan: Plan, style: dict[str, Any], side: int, span: tuple[float, float]
) -> None:
    """Add a row of racks along a side wall.

    Args:
        sampler: draws the racks.
        plan: the scene so far.
        style: see ``draw_rack_style``.
        side: +1: the wall at positive y, -1: the wall at negative y.
        span: start and end of the row along x, metres.
    """
    half_width = plan.room[3]
    add_rack_row(sampler, plan, style, Face(0, side * (half_width - RACK_SPACE), -side, span))


def _style(sampler: SceneSampler, plan: Plan) -> dict[str, Any]:
    """Draw the style of the racks below the plan's roof."""
    return draw_rack_style(sampler, plan.hall.params["height"])


@layout("aisle")
def aisle(sampler: SceneSampler) -> Plan:
    """Draw an aisle between two rows of racks, or of goods on the floor."""
    ranges, rng = sampler.scene.aisle, sampler.rng
    half = rng.uniform(ranges.width[0] / 2, ranges.width[1] / 2)
    fixed = {"width": round(2 * (half + RACK_SPACE), 3)}
    if ranges.length is not None:
        fixed["length"] = sampler.uniform(ranges.length)
    plan = draw_empty_hall(sampler, half - CAMERA_TO_RACK, **fixed)
    style = _style(sampler, plan)
    _, length, _, _ = plan.room
    for side in (-1, 1):
        span = (rng.uniform(*ranges.start), length - rng.uniform(*ranges.end))
        if ranges.blocks > 0 and sampler.chance(ranges.blocks):
            add_block(sampler, plan, Face(0, side * (half + RACK_SPACE), -side, span))
        else:
            add_rack_row(sampler, plan, style, Face(0, side * half, -side, span))
    return plan


@layout("staging")
def staging(sampler: SceneSampler) -> Plan:
    """Draw an open floor with rows of pallets, and racks along the end wall or a side wall."""
    ranges = sampler.scene.staging
    plan = draw_empty_hall(sampler)
    _, length, low, _ = plan.room
    style = _style(sampler, plan)
    if sampler.chance(ranges.far_racks):
        _add_end_racks(sampler, plan, style, low + RACK_END_GAP)
    if sampler.chance(ranges.side_racks):
        side = int(sampler.rng.choice([-1, 1]))
        span = (sampler.rng.uniform(*STAGING_RACKS_START), length - SIDE_RACKS_END)
        _add_side_racks(sampler, plan, style, side, span)
    add_staged_pallets(sampler, plan)
    return plan


@layout("wall")
def wall(sampler: SceneSampler) -> Plan:
    """Draw a short hall: the camera faces a wall or racks a few metres away, where trucks are parked."""
    ranges = sampler.scene.wall
    plan = draw_empty_hall(sampler, length=sampler.uniform(ranges.length))
    _, _, low, high = plan.room
    if sampler.chance(ranges.racks):
        style = _style(sampler, plan)
        start = low + RACK_END_GAP
        if sampler.chance(ranges.partial):
            start = low + sampler.rng.uniform(*ranges.free) * (high - low)
        _add_end_racks(sampler, plan, style, start)
    return plan


@layout("dock")
def dock(sampler: SceneSampler) -> Plan:
    """Draw a row of dock doors with pallets waiting in front of them."""
    ranges = sampler.scene.dock
    plan = draw_empty_hall(sampler, dock=True, columns=False, length=sampler.uniform(ranges.length))
    _, length, _, _ = plan.room
    if sampler.chance(ranges.racks):
        style = _style(sampler, plan)
        side = int(sampler.rng.choice([-1, 1]))
        span = (sampler.rng.uniform(*DOCK_RACKS_START), length - DOCK_RACKS_END)
        _add_side_racks(sampler, plan, style, side, span)
    add_dock_lanes(sampler, plan)
    return plan


@layout("packing")
def packing(sampler: SceneSampler) -> Plan:
    """Draw a packing area: tables, chairs and shelves along the end wall."""
    ranges = sampler.scene.packing
    plan = draw_empty_hall(sampler, length=sampler.uniform(ranges.length))
    add_packing_line(sampler, plan, ranges)
    _, length, _, _ = plan.room
    if sampler.chance(ranges.racks):
        style = _style(sampler, plan)
        _add_side_racks(sampler, plan, style, 1, (SIDE_RACKS_START, length - SIDE_RACKS_END))
    return plan


@layout("crossing")
def crossing(sampler: SceneSampler) -> Plan:
    """Draw a main aisle with side aisles between rows of racks that stand back to back."""
    ranges, rng = sampler.scene.crossing, sampler.rng
    half = rng.uniform(ranges.width[0] / 2, ranges.width[1] / 2)
    width = round(2 * half + sampler.uniform(ranges.beside), 3)
    plan = draw_empty_hall(sampler, half - CAMERA_TO_RACK, width=width, columns=False)
    style = _style(sampler, plan)
    _, length, low, high = plan.room
    x, side_aisle = rng.uniform(*ranges.first), rng.uniform(*ranges.side_aisle)
    while x + 2 * rack.DEPTH + CROSSING_LEAST_SPACE < length - CROSSING_END_GAP:
        for side in (-1, 1):
            span = (half, high - CROSSING_SIDE_GAP) if side > 0 else (low + CROSSING_SIDE_GAP, -half)
            for back, inward in ((x + rack.DEPTH, -1), (x + rack.DEPTH + BACK_TO_BACK_GAP, 1)):
                front = Face(1, back + inward * rack.DEPTH, inward, span)
                add_rack_row(sampler, plan, style, front)
            add_rack_end_guard(sampler, plan, ranges, (x + rack.DEPTH, side * (half - GUARD_OFFSET)))
        x += 2 * rack.DEPTH + BACK_TO_BACK_GAP + side_aisle
    return plan
