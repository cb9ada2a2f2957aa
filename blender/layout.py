"""Where everything stands: ``sample_scene`` draws a pure description of one frame. No bpy.

Structure first: a layout puts up the racks of a real kind of place; objects are then placed by rules (on the
floor, inside the hall, in view, through nothing). Metres and radians; the camera looks to +x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from blender.config import Config
from blender.objects import Assets, hall, pallet, rack
from blender.placement import Edge, Plan, corners_of, is_free, place, try_to_place
from blender.ranges import chance, integer, pick, uniform
from blender.scene import CameraSpec, LampSpec, ObjectSpec, SceneSpec

UNDER_ROOF = 0.9
"""A camera keeps at least so far below the roof, clear of lamps and beams, metres."""


def sample_scene(config: Config, rng: np.random.Generator, assets: Assets) -> SceneSpec:
    """Draw one frame's scene."""
    scene = config.scene
    name = pick(scene.layouts, rng)
    plan = LAYOUTS[name](config, rng, assets)
    negative = chance(scene.negatives, rng)
    for key, table in scene.objects.items():
        if not (negative and table.category):
            for _ in range(integer(table.count, rng)):
                place(plan, config, key, table, rng, assets)
    lamps = _lamps(plan, config, rng)
    return SceneSpec(
        layout=name,
        objects=tuple(plan.objects),
        camera=plan.camera,
        lamps=lamps,
        temperature=uniform(scene.light.temperature, rng),
        ambient=uniform(scene.light.ambient, rng),
        sensor=_sensor(config, rng),
    )


# ------------------------------------------------------------------------------ layouts


def _start(config: Config, rng: np.random.Generator, assets: Assets, **fixed: float) -> Plan:
    """An empty hall with the camera in it."""
    building = {**hall.sample(config.ranges["hall"], rng, assets), **fixed}
    x0, x1, y0, y1 = hall.footprint(building, assets)
    spot = _camera(config, building["height"], (y0, y1), rng)
    edges = [Edge(1, x1, -1, (y0, y1)), Edge(0, y0, 1, (x0, x1)), Edge(0, y1, -1, (x0, x1))]
    plan = Plan([ObjectSpec("hall", building)], [], edges, (x0, x1, y0, y1), spot)
    plan.taken.append(corners_of((-0.5, 0.6, -0.4, 0.4), spot.position, spot.yaw))
    if building["columns"]:
        plan.taken += [
            corners_of((-0.2, 0.2, -0.2, 0.2), (x, y, 0.0), 0.0) for x, y, _ in hall.columns(building)
        ]
    return plan


def _camera(config: Config, roof: float, across: tuple[float, float], rng: np.random.Generator) -> CameraSpec:
    """At the hall's near end, on a mount and behind a lens of the profile."""
    camera = config.scene.camera
    name = pick({key: mount.weight for key, mount in camera.mounts.items()}, rng)
    mount, lens = camera.mounts[name], pick(camera.lenses, rng)
    fov = camera.fov if lens == "perspective" else camera.fisheye_fov
    return CameraSpec(
        position=(
            uniform((0.4, 1.6), rng),
            uniform((0.25 * across[0], 0.25 * across[1]), rng),
            min(uniform(mount.height, rng), round(roof - UNDER_ROOF, 3)),
        ),
        yaw=float(np.radians(uniform(mount.yaw, rng))),
        pitch=float(np.radians(uniform(mount.pitch, rng))),
        roll=float(np.radians(uniform(mount.roll, rng))),
        fov=float(np.radians(uniform(fov, rng))),
        lens=lens,
        mount=name,
    )


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
            plan.objects.append(spec)
            plan.taken.append(corners)
        position += length + 0.02
    if first is not None:
        plan.edges.append(Edge(axis, at, inward, (first, position)))


def _style(config: Config, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Racks of one hall share make and pitch."""
    params = rack.sample(config.ranges["rack"], rng, assets)
    return {k: params[k] for k in ("uprights", "beams", "levels", "pitch")}


def _fit(style: dict[str, Any], height: float) -> dict[str, Any]:
    """Fewer levels where the roof is low."""
    levels = max(1, min(style["levels"], int((height - 0.9) / style["pitch"])))
    return {**style, "levels": levels}


def _aisle(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """Between two rows of racks."""
    half = rng.uniform(1.4, 2.4)
    plan = _start(config, rng, assets, width=round(2 * (half + 1.4), 3))
    x, y, z = plan.camera.position
    plan.camera = replace(plan.camera, position=(x, float(np.clip(y, -half + 0.6, half - 0.6)), z))
    plan.taken[0] = corners_of((-0.5, 0.6, -0.4, 0.4), plan.camera.position, plan.camera.yaw)
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    _, length, _, _ = plan.room
    for side in (-1, 1):
        start = rng.uniform(1.2, 4.0)
        _rack_row(plan, config, rng, assets, side * half, -side, start, length - rng.uniform(0.5, 5.0), style)
    return plan


def _staging(config: Config, rng: np.random.Generator, assets: Assets) -> Plan:
    """An open floor with rows of loaded pallets, racks along the far end or a side."""
    plan = _start(config, rng, assets)
    _, length, low, high = plan.room
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    if chance(0.85, rng):
        _rack_row(plan, config, rng, assets, length - 1.3, -1, low + 0.4, high - 0.4, style, axis=1)
    if chance(0.7, rng):
        side = int(rng.choice([-1, 1]))
        _rack_row(
            plan, config, rng, assets, side * (high - 1.3), -side, rng.uniform(2.5, 5), length - 2.0, style
        )
    yaw = 0.0 if chance(0.5, rng) else np.pi / 2
    x0, y0 = rng.uniform(3.0, 7.0), rng.uniform(-0.7, 0.2) * high
    for row in range(integer((1, 3), rng)):
        for column in range(integer((1, 4), rng)):
            if chance(0.25, rng):
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
    plan = _start(config, rng, assets, length=uniform((6.0, 12.0), rng))
    _, length, low, high = plan.room
    if chance(0.6, rng):
        style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
        start = low + rng.uniform(0.2, 0.5) * (high - low) if chance(0.5, rng) else low + 0.4
        _rack_row(plan, config, rng, assets, length - 1.3, -1, start, high - 0.4, style, axis=1)
    return plan


LAYOUTS: dict[str, Callable[[Config, np.random.Generator, Assets], Plan]] = {
    "aisle": _aisle,
    "staging": _staging,
    "wall": _wall,
}
"""Layout name -> what puts it up."""


# ------------------------------------------------------------------------------ light and sensor


def _lamps(plan: Plan, config: Config, rng: np.random.Generator) -> tuple[LampSpec, ...]:
    light = config.scene.light
    _, length, low, high = plan.room
    step, rows = uniform(light.spacing, rng), max(1, round((high - low) / uniform(light.spacing, rng) / 1.5))
    height = plan.objects[0].params["height"] - 0.45
    power, lit = uniform(light.power, rng), uniform(light.lit, rng)
    size = (1.4, 0.18) if chance(0.7, rng) else (0.5, 0.5)
    lamps: list[LampSpec] = []
    for y in np.linspace(low, high, rows + 2)[1:-1]:
        for x in np.arange(step / 2, length, step):
            if chance(lit, rng) or not lamps:
                lamps.append(
                    LampSpec((round(float(x), 3), round(float(y), 3), height), size, power * height / 5)
                )
    return tuple(lamps)


def _sensor(config: Config, rng: np.random.Generator) -> dict[str, Any]:
    sensor = config.scene.sensor
    moving = chance(sensor.motion_blur, rng)
    return {
        "exposure": uniform(sensor.exposure, rng),
        "white_balance": uniform(sensor.white_balance, rng),
        "contrast": uniform(sensor.contrast, rng),
        "saturation": uniform(sensor.saturation, rng),
        "vignetting": uniform(sensor.vignetting, rng),
        "noise": uniform(sensor.noise, rng),
        "aberration": uniform(sensor.aberration, rng),
        "defocus": uniform(sensor.defocus, rng),
        "glare": uniform(sensor.glare, rng),
        "jpeg": uniform(sensor.jpeg_quality, rng) if chance(sensor.jpeg, rng) else 0.0,
        "motion_length": uniform(sensor.motion_length, rng) if moving else 0.0,
        "motion_angle": uniform((0.0, 0.4), rng),
        "sharpening": uniform(sensor.sharpening, rng),
    }
