"""Where everything stands: ``sample_scene`` draws a pure description of one frame. No bpy.

Structure first: a layout puts up the racks of a real kind of place; objects are then placed by rules (on the
floor, inside the hall, in view, through nothing). Metres and radians; the camera looks to +x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.config.run import Config
from blender.imaging.sensor import sample_sensor
from blender.objects import hall, pallet, rack
from blender.sampling import chance, integer, pick, uniform
from blender.scene.camera import HEADROOM, sample_camera, sample_mount
from blender.scene.groups import add_rack, dock_lanes, packing_line, rack_end, stores
from blender.scene.lighting import sample_lamps
from blender.scene.placement import Edge, Plan, corners_of, is_free, place, try_to_place
from blender.spec import ObjectSpec, SceneSpec

WALL_GAP = 1.65
"""From a wall to the front of the rack along it, metres: its depth, columns and pipes behind."""


def sample_scene(config: Config, rng: np.random.Generator, assets: Assets) -> SceneSpec:
    """Draw one frame's scene."""
    scene = config.scene
    name = pick(scene.layouts, rng)
    plan = LAYOUTS[name](config, rng, assets)
    negative = chance(scene.negatives, rng)
    for key, table in scene.objects.items():
        if not (negative and table.category):
            for _ in range(integer(table.count, rng)):
                place(plan, config, key, table, rng, assets, labelled=not negative)
    roof = plan.objects[0].params["height"]
    lamps, temperature, ambient, environment = sample_lamps(scene.light, plan.room, roof, rng)
    plan.objects[0] = replace(plan.objects[0], params=hall.with_lamps(plan.objects[0].params, lamps))
    sensor = sample_sensor(scene.sensor, rng)
    stores(plan, config, rng, assets)  # last: nothing else is drawn otherwise with them
    return SceneSpec(
        layout=name,
        objects=tuple(plan.objects),
        camera=plan.camera,
        lamps=lamps,
        temperature=temperature,
        ambient=ambient,
        environment=environment,
        sensor=sensor,
    )


# ------------------------------------------------------------------------------ layouts


def _start(config: Config, rng: np.random.Generator, assets: Assets, **fixed: Any) -> Plan:
    """An empty hall with the camera in it."""
    mount, at = sample_mount(config.scene.camera, rng)
    building = {**hall.sample(config.ranges["hall"], rng, assets), **fixed}
    building["height"] = max(building["height"], round(at + HEADROOM, 4))
    x0, x1, y0, y1 = hall.footprint(building, assets)
    spot = sample_camera(config.scene.camera, mount, at, (x0, x1, y0, y1), rng)
    edges = [Edge(1, x1, -1, (y0, y1)), Edge(0, y0, 1, (x0, x1)), Edge(0, y1, -1, (x0, x1))]
    plan = Plan([ObjectSpec("hall", building)], [], edges, (x0, x1, y0, y1), spot)
    plan.taken.append(corners_of((-0.5, 0.6, -0.4, 0.4), spot.position, spot.yaw))
    plan.taken += [corners_of(place, (0.0, 0.0, 0.0), 0.0) for place in hall.obstacles(building)]
    return plan


def _rack_row(
    plan: Plan,
    config: Config,
    rng: np.random.Generator,
    assets: Assets,
    at: float,
    inward: int,
    start: float,
    end: float,
    style: dict[str, Any],
    axis: int = 0,
) -> None:
    """Racks end to end along ``axis``, their front face at ``at``, open to ``inward``."""
    position = start
    first = None
    while True:
        params = {**rack.sample(config.ranges["rack"], rng, assets), **style}
        params["bays"] = min(params["bays"], int((end - position - 2 * rack.POST) / rack.BAY))
        if params["bays"] < 1:
            break
        length = rack.footprint(params, assets)[1] * 2
        first = position if first is None else first
        middle = position + length / 2
        if axis == 0:
            spec = ObjectSpec("rack", params, (middle, at, 0.0), 0.0 if inward < 0 else np.pi)
        else:
            spec = ObjectSpec("rack", params, (at, middle, 0.0), -np.pi / 2 if inward < 0 else np.pi / 2)
        corners = corners_of(rack.footprint(params, assets), spec.position, spec.yaw)
        if is_free(plan, corners):
            add_rack(plan, spec, axis, inward)
        position += length + 0.02
    if first is not None:
        plan.edges.append(Edge(axis, at + inward * rack.OVERHANG, inward, (first, position), rack=True))


def _style(config: Config, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Racks of one hall share make and pitch."""
    params = rack.sample(config.ranges["rack"], rng, assets)
    return {k: params[k] for k in ("uprights", "beams", "levels", "pitch")}


def _fit(style: dict[str, Any], height: float) -> dict[str, Any]:
    """Fewer levels, and lower loads on the top one, where the roof is low."""
    clear = height - HEADROOM
    levels = max(1, min(style["levels"], int((clear - 0.6) / style["pitch"])))
    top = round(min(1.3, clear - levels * style["pitch"] - 0.2), 4)
    return {**style, "levels": levels, "top": top}


def _aisle(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """Between two rows of racks."""
    ranges = config.scene.aisle
    half = rng.uniform(ranges.width[0] / 2, ranges.width[1] / 2)
    plan = _start(config, rng, assets, width=round(2 * (half + WALL_GAP), 3))
    x, y, z = plan.camera.position
    plan.camera = replace(plan.camera, position=(x, float(np.clip(y, -half + 0.6, half - 0.6)), z))
    plan.taken[0] = corners_of((-0.5, 0.6, -0.4, 0.4), plan.camera.position, plan.camera.yaw)
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    _, length, _, _ = plan.room
    for side in (-1, 1):
        start, end = rng.uniform(*ranges.start), length - rng.uniform(*ranges.end)
        _rack_row(plan, config, rng, assets, side * half, -side, start, end, style)
    return plan


def _staging(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """An open floor with rows of loaded pallets, racks along the far end or a side."""
    ranges = config.scene.staging
    plan = _start(config, rng, assets)
    _, length, low, high = plan.room
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    if chance(ranges.far_racks, rng):
        _rack_row(plan, config, rng, assets, length - WALL_GAP, -1, low + 0.4, high - 0.4, style, axis=1)
    if chance(ranges.side_racks, rng):
        side = int(rng.choice([-1, 1]))
        _rack_row(
            plan,
            config,
            rng,
            assets,
            side * (high - WALL_GAP),
            -side,
            rng.uniform(2.5, 5),
            length - 2.0,
            style,
        )
    yaw = 0.0 if chance(0.5, rng) else np.pi / 2
    x0, y0 = rng.uniform(*ranges.first), rng.uniform(*ranges.aside) * high
    for row in range(integer(ranges.rows, rng)):
        for column in range(integer(ranges.places, rng)):
            if chance(ranges.empty, rng):
                continue
            params = pallet.sample(config.ranges["pallet"], rng, assets)
            at = (x0 + 1.55 * row + rng.normal(0, 0.03), y0 + 1.35 * column + rng.normal(0, 0.03), 0.0)
            try_to_place(
                plan,
                ObjectSpec("pallet", params, at, yaw + rng.normal(0, 0.03)),
                pallet.footprint(params, assets),
            )
    return plan


def _wall(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """Facing a wall or a rack a few metres away, where trucks are parked."""
    ranges = config.scene.wall
    plan = _start(config, rng, assets, length=uniform(ranges.length, rng))
    _, length, low, high = plan.room
    if chance(ranges.racks, rng):
        style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
        start = low + 0.4
        if chance(ranges.partial, rng):
            start = low + rng.uniform(*ranges.free) * (high - low)
        _rack_row(plan, config, rng, assets, length - WALL_GAP, -1, start, high - 0.4, style, axis=1)
    return plan


def _dock(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """Doors in a row, pallets waiting in front of them."""
    ranges = config.scene.dock
    plan = _start(config, rng, assets, dock=True, columns=False, length=uniform(ranges.length, rng))
    _, length, _, high = plan.room
    if chance(ranges.racks, rng):
        style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
        side = int(rng.choice([-1, 1]))
        at = side * (high - WALL_GAP)
        _rack_row(plan, config, rng, assets, at, -side, rng.uniform(2.5, 4), length - 4.0, style)
    dock_lanes(plan, config, rng, assets)
    return plan


def _packing(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """A corner with benches, chairs and shelves, cartons and a trolley about."""
    ranges = config.scene.packing
    plan = _start(config, rng, assets, length=uniform(ranges.length, rng))
    packing_line(plan, ranges, rng, assets)
    _, length, _, high = plan.room
    if chance(ranges.racks, rng):
        style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
        _rack_row(plan, config, rng, assets, high - WALL_GAP, -1, 2.5, length - 2.0, style)
    return plan


def _crossing(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """Along the ends of rack rows: a main aisle with side aisles between racks, back to back."""
    ranges = config.scene.crossing
    half = rng.uniform(ranges.width[0] / 2, ranges.width[1] / 2)
    width = round(2 * half + uniform(ranges.beside, rng), 3)
    plan = _start(config, rng, assets, width=width, columns=False)
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    _, length, low, high = plan.room
    x, aisle = rng.uniform(*ranges.first), rng.uniform(*ranges.side_aisle)
    while x + 2 * rack.DEPTH + 0.3 < length - 1.0:
        for side in (-1, 1):
            start, end = (half, high - 0.5) if side > 0 else (low + 0.5, -half)
            for at, inward in ((x + rack.DEPTH, -1), (x + rack.DEPTH + 0.25, 1)):
                front = at + inward * rack.DEPTH
                _rack_row(plan, config, rng, assets, front, inward, start, end, style, axis=1)
            rack_end(plan, ranges, (x + rack.DEPTH, side * (half - 0.1)), rng, assets)
        x += 2 * rack.DEPTH + 0.25 + aisle
    return plan


LAYOUTS: dict[str, Callable[[Config, np.random.Generator, Assets], Plan]] = {
    "aisle": _aisle,
    "staging": _staging,
    "wall": _wall,
    "dock": _dock,
    "packing": _packing,
    "crossing": _crossing,
}
"""Layout name -> what puts it up."""
