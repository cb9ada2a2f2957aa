"""Draw the groups of objects in layouts: rows of pallets, lanes at a dock, packing tables. No bpy."""

from __future__ import annotations

import numpy as np

from blender.config.layouts import PackingConfig
from blender.objects.furniture import SEATED_AT
from blender.parts.openings import dock_door_positions
from blender.scene.plan import Plan
from blender.scene.sampler import SceneSampler
from blender.spec import ObjectSpec

HEADING_DEVIATION = 0.03
"""Standard deviation of a pallet's heading in rows and lanes, radians: pallets stand nearly square."""
POSITION_DEVIATION = 0.03
"""Standard deviation of a pallet's position in a row, metres."""

STAGING_ROW_STEP, STAGING_COLUMN_STEP = 1.55, 1.35
"""Distance between pallet places of a staging area along x and y, metres. Pallets fit in both directions."""

DOCK_CLEARANCE = 3.1
"""Distance from the doors to the middle of a lane's first pallet, metres: the leveller and room to turn."""
LENGTHWISE_STEP, CROSSWISE_STEP = 1.28, 0.9
"""Distance between two pallets of a lane, metres: a pallet's length or width plus a gap."""
PAIR_OFFSET, CROSSWISE_PAIR_FACTOR = 0.55, 1.2
"""Half of the distance between two pallets side by side, metres, and its factor for crosswise pallets."""

CORNER_GAP = 0.25
"""Distance from the side wall to the first piece of furniture, metres."""
WALL_GAP = 0.08
"""Gap between the furniture and the end wall, metres."""
CHAIR_DISTANCE = (0.35, 0.8)
"""Range of the distance between the middle of a chair and the table's front, metres."""
CHAIR_DEVIATION = 0.2
"""Standard deviation of a chair's position along the table, metres."""


def add_staged_pallets(sampler: SceneSampler, plan: Plan) -> None:
    """Add rows of pallets on the open floor; some places stay empty."""
    ranges, rng = sampler.scene.staging, sampler.rng
    half_width = plan.room[3]
    yaw = 0.0 if sampler.chance(0.5) else np.pi / 2
    x0, y0 = rng.uniform(*ranges.first), rng.uniform(*ranges.aside) * half_width
    for row in range(sampler.integer(ranges.rows)):
        for column in range(sampler.integer(ranges.places)):
            if sampler.chance(ranges.empty):
                continue
            params = sampler.params("pallet")
            x = x0 + STAGING_ROW_STEP * row + rng.normal(0, POSITION_DEVIATION)
            y = y0 + STAGING_COLUMN_STEP * column + rng.normal(0, POSITION_DEVIATION)
            item = ObjectSpec("pallet", params, (x, y, 0.0), yaw + rng.normal(0, HEADING_DEVIATION))
            plan.add_if_free(item, sampler.footprint(item))


def add_dock_lanes(sampler: SceneSampler, plan: Plan) -> None:
    """Add lanes of pallets in front of some of a dock's doors."""
    hall, ranges = plan.hall.params, sampler.scene.dock
    for door in dock_door_positions(hall):
        if sampler.chance(ranges.idle):
            continue
        lengthwise = sampler.chance(ranges.turned)
        step, yaw = (LENGTHWISE_STEP, 0.0) if lengthwise else (CROSSWISE_STEP, np.pi / 2)
        for number in range(sampler.integer(ranges.places)):
            params = sampler.params("pallet")
            x = hall["length"] - DOCK_CLEARANCE - step * number
            for side in (-PAIR_OFFSET, PAIR_OFFSET) if sampler.chance(ranges.double) else (0.0,):
                y = door + side * (1 if lengthwise else CROSSWISE_PAIR_FACTOR)
                turn = yaw + float(sampler.rng.normal(0, HEADING_DEVIATION))
                item = ObjectSpec("pallet", params, (x, y, 0.0), turn)
                plan.add_if_free(item, sampler.footprint(item))


def add_packing_line(sampler: SceneSampler, plan: Plan, ranges: PackingConfig) -> None:
    """Add furniture side by side along the end wall, from a corner on, and chairs in front of the tables."""
    rng = sampler.rng
    _, length, low, high = plan.room
    side = int(rng.choice([-1, 1]))
    along, end = CORNER_GAP, rng.uniform(*ranges.filled) * (high - low)
    while along < end:
        variant = sampler.pick(ranges.furniture)
        item = ObjectSpec("furniture", {"variant": variant, "seed": sampler.seed()}, yaw=np.pi)
        x0, x1, y0, y1 = footprint = sampler.footprint(item)
        y = side * (high - along) - side * (y1 if side > 0 else -y0)
        x = length + x0 - WALL_GAP
        item = ObjectSpec(item.builder, item.params, (x, y, 0.0), item.yaw)
        if plan.add_if_free(item, footprint) and variant in SEATED_AT and sampler.chance(ranges.seats):
            chair = {"variant": "chair", "seed": sampler.seed()}
            at = (x - x1 - rng.uniform(*CHAIR_DISTANCE), y + rng.normal(0, CHAIR_DEVIATION), 0.0)
            seat = ObjectSpec("furniture", chair, at)
            plan.add_if_free(seat, sampler.footprint(seat))
        along += y1 - y0 + rng.uniform(*ranges.gap)
