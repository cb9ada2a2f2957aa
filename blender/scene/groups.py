"""Groups of things that halls hold: racks with open bays, lanes at a dock, packing lines, stores. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.assets import Assets
from blender.config.layouts import CrossingConfig, PackingConfig
from blender.config.run import Config
from blender.geometry.mesh import bounds
from blender.kinds import kind
from blender.objects import hall, pallet, rack
from blender.parts.openings import dock_spots
from blender.sampling import chance, integer, pick, uniform
from blender.scene.placement import Edge, Plan, apart, corners_of, in_picture, try_to_place
from blender.spec import ObjectSpec

CLEAR = 0.95
"""A lowest beam this high, metres, lets a pallet truck's forks and apron under it."""
ROOF = 0.6
"""Metres below the roof that beams, pipes and lamps hang in."""


def add_rack(plan: Plan, spec: ObjectSpec, axis: int, inward: int) -> None:
    """Add a rack whose place is known to be free; its open bays become edges that forks may pass."""
    plan.objects.append(spec)
    plan.taken += [corners_of(part, spec.position, spec.yaw) for part in rack.solids(spec.params)]
    at = spec.position[1 - axis]
    for bay in rack.open_bays(spec.params):
        corners = corners_of(bay, spec.position, spec.yaw)
        plan.low.append(corners)
        if spec.params["pitch"] - 0.12 > CLEAR:
            low, high = float(corners[:, axis].min()), float(corners[:, axis].max())
            plan.edges.append(Edge(axis, at, inward, (low + 0.35, high - 0.35), under=bay[3] - 0.05))


def dock_lanes(plan: Plan, config: Config, rng: np.random.Generator, assets: Assets) -> None:
    """Rows of pallets in front of some of a dock's doors, clear of the leveller."""
    building, ranges = plan.objects[0].params, config.scene.dock
    for y in dock_spots(building):
        if chance(ranges.idle, rng):
            continue
        turned = chance(ranges.turned, rng)
        step, yaw = (1.28, 0.0) if turned else (0.9, np.pi / 2)
        for number in range(integer(ranges.places, rng)):
            params = pallet.sample(config.ranges["pallet"], rng, assets)
            for side in (-0.55, 0.55) if chance(ranges.double, rng) else (0.0,):
                at = (building["length"] - 3.1 - step * number, y + side * (1 if turned else 1.2), 0.0)
                spec = ObjectSpec("pallet", params, at, yaw + float(rng.normal(0, 0.03)))
                try_to_place(plan, spec, pallet.footprint(params, assets))


def packing_line(plan: Plan, ranges: PackingConfig, rng: np.random.Generator, assets: Assets) -> None:
    """Furniture side by side along the end wall, from one corner; seats in front of the tables."""
    furniture = kind("furniture")
    _, length, low, high = plan.room
    side = int(rng.choice([-1, 1]))
    along, end = 0.25, rng.uniform(*ranges.filled) * (high - low)
    while along < end:
        variant = pick(ranges.furniture, rng)
        params = {"variant": variant, "seed": integer((0, 2**31 - 1), rng)}
        shape = furniture.footprint(params, assets)
        y = side * (high - along) - side * (shape[3] if side > 0 else -shape[2])
        spec = ObjectSpec("furniture", params, (length + shape[0] - 0.08, y, 0.0), np.pi)
        if (
            try_to_place(plan, spec, shape)
            and variant in ("desk", "packing_table")
            and chance(ranges.seats, rng)
        ):
            chair = {"variant": "chair", "seed": integer((0, 2**31 - 1), rng)}
            at = (spec.position[0] - shape[1] - rng.uniform(0.35, 0.8), y + rng.normal(0, 0.2), 0.0)
            try_to_place(plan, ObjectSpec("furniture", chair, at), furniture.footprint(chair, assets))
        along += shape[3] - shape[2] + rng.uniform(*ranges.gap)


def rack_end(
    plan: Plan, ranges: CrossingConfig, at: tuple[float, float], rng: np.random.Generator, assets: Assets
) -> None:
    """A protector before the end of two racks, back to back, or a bollard at each corner."""
    guard = kind("guard")
    spots, yaw = [at], np.pi / 2
    variant = pick(ranges.guards, rng)
    if variant == "bollard":
        spots, yaw = [(at[0] + s * rack.DEPTH, at[1]) for s in (-1, 1)], 0.0
    params = {"variant": variant, "seed": integer((0, 2**31 - 1), rng)}
    shape = guard.footprint(params, assets)
    for x, y in spots:
        turn = 0.0 if variant == "rail" else yaw
        try_to_place(plan, ObjectSpec("guard", params, (x, y, 0.0), turn), shape)


def stores(plan: Plan, config: Config, rng: np.random.Generator, assets: Assets) -> None:
    """Goods along the walls, where these are still free: they fill a hall to its end.

    They come last, so that they never take a labelled object's place, and stand between parked trucks.
    """
    ranges = config.scene.stores
    if not chance(ranges.halls, rng):
        return
    ways = [corners_of(way, (0.0, 0.0, 0.0), 0.0) for way in hall.entrances(plan.objects[0].params)]
    for edge in plan.edges:
        if edge.rack or edge.under:
            continue
        filled, (along, end) = uniform(ranges.filled, rng), edge.span
        while along < end:
            along = _run(plan, edge, along, chance(filled, rng), ways, config, rng, assets)


def _run(
    plan: Plan,
    edge: Edge,
    along: float,
    there: bool,
    ways: list[np.ndarray],
    config: Config,
    rng: np.random.Generator,
    assets: Assets,
) -> float:
    """Equal stacks side by side at a wall from ``along`` on, or as much free wall; gives where they end."""
    ranges = config.scene.stores
    builder, params = _stored(config, rng, assets)
    shape = kind(builder).footprint(params, assets)
    yaw = (0.0 if edge.axis == 0 else np.pi / 2) + int(rng.integers(4)) * np.pi / 2
    corners = corners_of(shape, (0.0, 0.0, 0.0), yaw)
    low, high = corners.min(0), corners.max(0)
    size, across = high - low, 1 - edge.axis
    space, first = uniform(ranges.apart, rng), uniform(ranges.away, rng)
    count, deep = integer(ranges.run, rng), integer(ranges.deep, rng)
    room = plan.objects[0].params["height"] - ROOF
    there = there and _height(builder, params, assets) < room
    for _ in range(count):
        if along > edge.span[1]:
            break
        for row in range(deep if there else 0):
            at = np.zeros(3)
            at[edge.axis] = along + space - low[edge.axis]
            out = first + row * (size[across] + space)
            at[across] = edge.at + edge.inward * out - (low if edge.inward > 0 else high)[across]
            at[:2] += rng.normal(0, 0.012, 2)
            turn = yaw + float(rng.normal(0, 0.012))
            _store(plan, ObjectSpec(builder, params, tuple(at.tolist()), turn), shape, ways, config)
        along += float(size[edge.axis]) + space
    return along + uniform(ranges.apart, rng)


def _height(builder: str, params: dict[str, Any], assets: Assets) -> float:
    """Metres above the floor that a stack doesn't exceed; a pallet need not be built to know."""
    if builder == "pallet":
        return pallet.height_bound(params)
    return float(bounds(kind(builder).build(params, assets))[1][2])


def _stored(config: Config, rng: np.random.Generator, assets: Assets) -> tuple[str, dict[str, Any]]:
    """A kind of object and its parameters."""
    thing = pick(config.scene.stores.things, rng)
    if thing == "pallet":
        return thing, pallet.sample(config.ranges["pallet"], rng, assets)
    return "cage", {"variant": thing, "seed": integer((0, 2**31 - 1), rng)}


def _store(
    plan: Plan,
    spec: ObjectSpec,
    shape: tuple[float, float, float, float],
    ways: list[np.ndarray],
    config: Config,
) -> None:
    """Add a stack if its place is free, leaves doors and the camera alone, and is near the picture."""
    x, y, _ = spec.position
    aside = np.hypot(x - plan.camera.position[0], y - plan.camera.position[1])
    if aside < config.scene.stores.near or not in_picture(plan, config, (x, y, 0.7), rim=0.3):
        return
    if apart(corners_of(shape, spec.position, spec.yaw), ways, 0.0):
        try_to_place(plan, spec, shape)
