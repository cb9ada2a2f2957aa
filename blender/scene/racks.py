"""Draw rows of racks: their style, positions, open bays, and the guards at their ends. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.layouts import CrossingConfig
from blender.objects import rack
from blender.parts.rack_steel import level_height
from blender.scene.camera import HEADROOM
from blender.scene.free_space import corners_of
from blender.scene.plan import LEAST_GAP, Face, OpenBay, Plan
from blender.scene.sampler import SceneSampler
from blender.spec import ObjectSpec, Params

TRUCK_CLEARANCE = 0.95
"""Minimum height of a lowest beam, metres, for a pallet truck's forks and frame to fit below it."""
BEAM_HALF_HEIGHT = 0.12
"""Distance of a beam's underside below its level, metres."""
BAY_MARGIN = 0.35
"""Minimum distance of a pallet truck's middle from the uprights, metres: half of its width plus a gap."""
BAY_DEPTH_MARGIN = 0.05
"""Distance between the forks' tips and the end of an open bay, metres."""
RACK_GAP = LEAST_GAP + 0.01
"""Gap between two racks of a row, metres; with less, the second one would have no free floor."""
END_GUARD_GAP = 0.32
"""Distance of a guard's middle from the end of a row of racks, metres."""
LOAD_CLEARANCE = 0.2
"""Gap between the highest load on a top level and the space below the roof, metres."""


def draw_rack_style(sampler: SceneSampler, roof: float) -> Params:
    """Draw the shared parameters of a hall's racks: colours, levels, their distance, height of the top loads.

    Args:
        sampler: draws a rack.
        roof: height of the roof, metres. Below a low roof, racks have fewer levels and lower loads on top.
    """
    params = sampler.params("rack")
    free = roof - HEADROOM
    pitch, high = params["pitch"], params["rise"] + rack.UPRIGHT_ABOVE
    levels = max(1, min(params["levels"], int((free - high) / pitch)))
    if levels * pitch + high > free:
        params["rise"] = 0.0
    top = round(min(rack.TOP_LOAD, free - levels * pitch - params["rise"] - LOAD_CLEARANCE), 4)
    style = {key: params[key] for key in rack.STYLE}
    return {**style, "levels": levels, "top": top}


def add_rack_row(sampler: SceneSampler, plan: Plan, style: Params, front: Face) -> None:
    """Add racks end to end, where the floor is free, and the front of each run of them as a face to park at.

    Args:
        sampler: draws each rack.
        plan: the scene so far.
        style: shared parameters of the racks: see ``draw_rack_style``.
        front: the row's front; its span limits the row.
    """
    position, end = front.span
    runs: list[tuple[float, float]] = []  # start and end of racks without a gap between them
    follows_rack = False
    while True:
        params = {**sampler.params("rack"), **style}
        params["bays"] = min(params["bays"], int((end - position - 2 * rack.POST) / rack.BAY))
        if params["bays"] < 1:
            break
        _, half, _, _ = footprint = rack.footprint(params, sampler.assets)
        length = half * 2
        middle = position + length / 2
        if front.axis == 0:
            place, yaw = (middle, front.position, 0.0), 0.0 if front.inward < 0 else np.pi
        else:
            place, yaw = (front.position, middle, 0.0), -np.pi / 2 if front.inward < 0 else np.pi / 2
        item = ObjectSpec("rack", params, place, yaw)
        is_free = plan.is_free(corners_of(footprint, item.position, item.yaw))
        if is_free:
            _add_rack(plan, item, front)
            start = runs.pop()[0] if follows_rack else position
            runs.append((start, position + length))
        follows_rack = is_free
        position += length + RACK_GAP
    if runs:
        _add_end_guards(sampler, plan, style["ends"], front, (runs[0][0], runs[-1][1]))
        goods = front.position + front.inward * rack.OVERHANG
        plan.faces += [Face(front.axis, goods, front.inward, run, is_rack=True) for run in runs]


def _add_rack(plan: Plan, item: ObjectSpec, front: Face) -> None:
    """Add a rack and its open bays to the plan, without a check."""
    plan.add(item, *(corners_of(part, item.position, item.yaw) for part in rack.solids(item.params)))
    for bay in rack.open_bays(item.params):
        corners = corners_of(bay, item.position, item.yaw)
        plan.bay_floors.append(corners)
        if level_height(item.params, 1) - BEAM_HALF_HEIGHT > TRUCK_CLEARANCE:
            low, high = float(corners[:, front.axis].min()), float(corners[:, front.axis].max())
            entry = Face(front.axis, front.position, front.inward, (low + BAY_MARGIN, high - BAY_MARGIN))
            plan.open_bays.append(OpenBay(entry, bay[3] - BAY_DEPTH_MARGIN))


def _add_end_guards(
    sampler: SceneSampler, plan: Plan, variant: str, front: Face, span: tuple[float, float]
) -> None:
    """Add guards at both ends of a row of racks, where the floor is free.

    Args:
        sampler: draws the guards.
        plan: the scene so far.
        variant: a key of ``blender.objects.guard.VARIANTS``, or "none".
        front: the row's front.
        span: where the row starts and ends along its front, metres.
    """
    if variant == "none":
        return
    params = {"variant": variant, "seed": sampler.seed()}
    middle = front.position - front.inward * rack.DEPTH / 2
    for end, outward in zip(span, (-1, 1), strict=True):
        along = end + outward * END_GUARD_GAP
        place = (along, middle, 0.0) if front.axis == 0 else (middle, along, 0.0)
        turn = 0.0 if outward > 0 else np.pi  # guards run along y and face -x
        item = ObjectSpec("guard", params, place, turn + np.pi + (0.0 if front.axis == 0 else np.pi / 2))
        plan.add_if_free(item, sampler.footprint(item))


def add_rack_end_guard(
    sampler: SceneSampler, plan: Plan, ranges: CrossingConfig, position: tuple[float, float]
) -> None:
    """Add a guard at the end of two racks that stand back to back along y, or a bollard at each corner.

    Args:
        sampler: draws the guard.
        plan: the scene so far.
        ranges: [scene.crossing].
        position: middle (x, y) of the ends of both racks, metres.
    """
    places, yaw = [position], np.pi / 2
    variant = sampler.pick(ranges.guards)
    if variant == "bollard":
        places, yaw = [(position[0] + side * rack.DEPTH, position[1]) for side in (-1, 1)], 0.0
    elif variant == "rail":  # rails run along x, guards along y
        yaw = 0.0
    params = {"variant": variant, "seed": sampler.seed()}
    for x, y in places:
        item = ObjectSpec("guard", params, (x, y, 0.0), yaw)
        plan.add_if_free(item, sampler.footprint(item))
