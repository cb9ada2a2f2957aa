"""Where everything stands: ``sample_scene`` draws a pure description of one frame. No bpy.

Structure first: a layout puts up the racks of a real kind of place; objects are then placed by rules (on the
floor, inside the hall, in view, through nothing). Metres and radians; the camera looks to +x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from blender.config import Config, ObjectConfig
from blender.objects import Assets, hall, kind, pallet, pallet_truck, pedestrian
from blender.ranges import chance, integer, pick, uniform

GAP = 0.03
"""Least space between two footprints, metres."""


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
    """A perspective camera; yaw from +x to +y, pitch up, roll about the view."""

    position: tuple[float, float, float]
    yaw: float
    pitch: float
    roll: float
    fov: float
    """Horizontal, radians."""


@dataclass(frozen=True)
class LampSpec:
    """A rectangular lamp under the roof, shining down."""

    position: tuple[float, float, float]
    size: tuple[float, float]
    power: float
    """Watts."""


@dataclass(frozen=True)
class SceneSpec:
    """One frame: everything that decides its pixels apart from [render]."""

    layout: str
    objects: tuple[ObjectSpec, ...]
    camera: CameraSpec
    lamps: tuple[LampSpec, ...]
    temperature: float
    """Kelvin."""
    ambient: float
    """W/m2/sr."""
    sensor: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """A straight face to park against: along ``axis`` (0 = x, 1 = y), at ``at`` on the other axis."""

    axis: int
    at: float
    inward: int
    """+1 or -1: which side of the face is free."""
    span: tuple[float, float]


@dataclass
class _Plan:
    """What is placed so far, while a scene is drawn."""

    objects: list[ObjectSpec]
    taken: list[np.ndarray]
    """Corners on the floor, (4, 2) each."""
    edges: list[Edge]
    room: tuple[float, float, float, float]
    camera: CameraSpec


def sample_scene(config: Config, rng: np.random.Generator, assets: Assets) -> SceneSpec:
    """Draw one frame's scene."""
    scene = config.scene
    name = pick(scene.layouts, rng)
    plan = LAYOUTS[name](config, rng, assets)
    negative = chance(scene.negatives, rng)
    for key, table in scene.objects.items():
        if not (negative and table.category):
            for _ in range(integer(table.count, rng)):
                _place(plan, config, key, table, rng, assets)
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


def _start(config: Config, rng: np.random.Generator, assets: Assets, **fixed: float) -> _Plan:
    """An empty hall with the camera in it."""
    building = {**hall.sample(config.ranges["hall"], rng, assets), **fixed}
    x0, x1, y0, y1 = hall.footprint(building, assets)
    camera = config.scene.camera
    spot = CameraSpec(
        position=(uniform((0.4, 1.6), rng), uniform((0.25 * y0, 0.25 * y1), rng), uniform(camera.height, rng)),
        yaw=float(np.radians(uniform(camera.yaw, rng))),
        pitch=float(np.radians(uniform(camera.pitch, rng))),
        roll=float(np.radians(uniform(camera.roll, rng))),
        fov=float(np.radians(uniform(camera.fov, rng))),
    )
    edges = [Edge(1, x1, -1, (y0, y1)), Edge(0, y0, 1, (x0, x1)), Edge(0, y1, -1, (x0, x1))]
    plan = _Plan([ObjectSpec("hall", building)], [], edges, (x0, x1, y0, y1), spot)
    plan.taken.append(_corners((-0.5, 0.6, -0.4, 0.4), spot.position, spot.yaw))
    if building["columns"]:
        plan.taken += [_corners((-0.2, 0.2, -0.2, 0.2), (x, y, 0.0), 0.0) for x, y, _ in hall.columns(building)]
    return plan


def _rack_row(
    plan: _Plan, config: Config, rng: np.random.Generator, assets: Assets, at: float, inward: int,
    start: float, end: float, style: dict[str, Any], axis: int = 0,
) -> None:  # fmt: skip
    """Racks end to end along ``axis``, their front face at ``at``, open to ``inward``."""
    module = kind("rack")
    position = start
    first = None
    while True:
        params = {**module.sample(config.ranges["rack"], rng, assets), **style}
        length = module.footprint(params, assets)[1] * 2
        if position + length > end:
            break
        first = position if first is None else first
        middle = position + length / 2
        if axis == 0:
            spec = ObjectSpec("rack", params, (middle, at, 0.0), 0.0 if inward < 0 else np.pi)
        else:
            spec = ObjectSpec("rack", params, (at, middle, 0.0), -np.pi / 2 if inward < 0 else np.pi / 2)
        corners = _corners(module.footprint(params, assets), spec.position, spec.yaw)
        if _free(plan, corners):
            plan.objects.append(spec)
            plan.taken.append(corners)
        position += length + 0.02
    if first is not None:
        plan.edges.append(Edge(axis, at, inward, (first, position)))


def _style(config: Config, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Racks of one hall share make and pitch."""
    params = kind("rack").sample(config.ranges["rack"], rng, assets)
    return {k: params[k] for k in ("uprights", "beams", "levels", "pitch")}


def _fit(style: dict[str, Any], height: float) -> dict[str, Any]:
    """Fewer levels where the roof is low."""
    levels = max(1, min(style["levels"], int((height - 0.9) / style["pitch"])))
    return {**style, "levels": levels}


def _aisle(config: Config, rng: np.random.Generator, assets: Assets) -> _Plan:
    """Between two rows of racks."""
    half = rng.uniform(1.4, 2.4)
    plan = _start(config, rng, assets, width=round(2 * (half + 1.4), 3))
    x, y, z = plan.camera.position
    plan.camera = replace(plan.camera, position=(x, float(np.clip(y, -half + 0.6, half - 0.6)), z))
    plan.taken[0] = _corners((-0.5, 0.6, -0.4, 0.4), plan.camera.position, plan.camera.yaw)
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    _, length, _, _ = plan.room
    for side in (-1, 1):
        start = rng.uniform(1.2, 4.0)
        _rack_row(plan, config, rng, assets, side * half, -side, start, length - rng.uniform(0.5, 5.0), style)
    return plan


def _staging(config: Config, rng: np.random.Generator, assets: Assets) -> _Plan:
    """An open floor with rows of loaded pallets, racks along the far end or a side."""
    plan = _start(config, rng, assets)
    _, length, low, high = plan.room
    style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
    if chance(0.7, rng):
        _rack_row(plan, config, rng, assets, length - 1.3, -1, low + 0.4, high - 0.4, style, axis=1)
    if chance(0.5, rng):
        side = int(rng.choice([-1, 1]))
        _rack_row(plan, config, rng, assets, side * (high - 1.3), -side, rng.uniform(2.5, 5), length - 2.0, style)
    yaw = 0.0 if chance(0.5, rng) else np.pi / 2
    x0, y0 = rng.uniform(3.0, 7.0), rng.uniform(-0.7, 0.2) * high
    for row in range(integer((1, 3), rng)):
        for column in range(integer((1, 4), rng)):
            if chance(0.25, rng):
                continue
            params = pallet.sample(config.ranges["pallet"], rng, assets)
            at = (x0 + 1.55 * row + rng.normal(0, 0.03), y0 + 1.35 * column + rng.normal(0, 0.03), 0.0)
            _try(plan, ObjectSpec("pallet", params, at, yaw + rng.normal(0, 0.03)), pallet.footprint(params, assets))
    return plan


def _wall(config: Config, rng: np.random.Generator, assets: Assets) -> _Plan:
    """Facing a wall or a rack a few metres away, where trucks are parked."""
    plan = _start(config, rng, assets, length=uniform((6.0, 12.0), rng))
    _, length, low, high = plan.room
    if chance(0.6, rng):
        style = _fit(_style(config, rng, assets), plan.objects[0].params["height"])
        start = low + rng.uniform(0.2, 0.5) * (high - low) if chance(0.5, rng) else low + 0.4
        _rack_row(plan, config, rng, assets, length - 1.3, -1, start, high - 0.4, style, axis=1)
    return plan


LAYOUTS: dict[str, Callable[[Config, np.random.Generator, Assets], _Plan]] = {
    "aisle": _aisle,
    "staging": _staging,
    "wall": _wall,
}
"""Layout name -> what puts it up."""


# ------------------------------------------------------------------------------ placement


def _corners(footprint: tuple[float, float, float, float], position: Any, yaw: float) -> np.ndarray:
    """A footprint's corners on the floor, (4, 2) metres."""
    x0, x1, y0, y1 = footprint
    c, s = np.cos(yaw), np.sin(yaw)
    local = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return local @ np.array([[c, s], [-s, c]]) + np.asarray(position, float)[:2]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """How far two convex quadrilaterals (4, 2) reach into each other; negative: their distance.

    Separating axis theorem over the edges' normals; the distance is exact for parallel edges and
    a lower bound elsewhere.
    """
    best = np.inf
    for shape in (a, b):
        edges = np.roll(shape, -1, 0) - shape
        normals = np.stack([-edges[:, 1], edges[:, 0]], 1)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        pa, pb = a @ normals.T, b @ normals.T
        depth = np.minimum(pa.max(0) - pb.min(0), pb.max(0) - pa.min(0))
        best = min(best, float(depth.min()))
    return best


def _free(plan: _Plan, corners: np.ndarray) -> bool:
    x0, x1, y0, y1 = plan.room
    inside = (corners >= [x0 + GAP, y0 + GAP]).all() and (corners <= [x1 - GAP, y1 - GAP]).all()
    return bool(inside) and all(overlap(corners, other) < -GAP for other in plan.taken)


def _try(plan: _Plan, spec: ObjectSpec, footprint: tuple[float, float, float, float]) -> bool:
    corners = _corners(footprint, spec.position, spec.yaw)
    if not _free(plan, corners):
        return False
    plan.objects.append(spec)
    plan.taken.append(corners)
    return True


def _bearing(plan: _Plan, distance: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """A point on the floor in (or just out of) the camera's view."""
    camera = plan.camera
    angle = camera.yaw + rng.uniform(-0.54, 0.54) * camera.fov
    x, y, _ = camera.position
    return (x + distance * float(np.cos(angle)), y + distance * float(np.sin(angle)), 0.0)


def _spots(
    plan: _Plan, table: ObjectConfig, footprint: tuple[float, float, float, float], parked: bool,
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float], float]:  # fmt: skip
    """Draw a position and a heading."""
    near, far = np.log(table.distance[0]), np.log(table.distance[1])
    position = _bearing(plan, float(np.exp(rng.uniform(near, far))), rng)
    if not parked:
        return position, float(rng.uniform(-np.pi, np.pi))
    edge = plan.edges[int(rng.integers(len(plan.edges)))]
    # Headings by rule: square to the face, or along it; a little careless.
    along = 0.0 if edge.axis == 0 else np.pi / 2
    yaw = along + int(rng.integers(4)) * np.pi / 2 + rng.normal(0, 0.12)
    corners = _corners(footprint, (0, 0, 0), yaw)
    across = 1 - edge.axis
    reach = corners[:, across].min() if edge.inward > 0 else corners[:, across].max()
    where = list(position)
    where[across] = edge.at - float(reach) + edge.inward * (GAP + 0.01 + rng.exponential(0.12))
    where[edge.axis] = float(np.clip(where[edge.axis], *edge.span))
    return (where[0], where[1], 0.0), float(yaw)


def _place(
    plan: _Plan, config: Config, key: str, table: ObjectConfig, rng: np.random.Generator, assets: Assets
) -> None:
    """Put one object of a table into the scene, with what belongs to it; gives up if it finds no room."""
    module = kind(table.builder)
    params = module.sample(config.ranges[key], rng, assets)
    group = [ObjectSpec(table.builder, params, category=table.category)]
    if table.builder == "pallet_truck":
        group = _equip_truck(group[0], config, rng, assets)
    shapes = [kind(s.builder).footprint(s.params, assets) for s in group]
    parked = chance(table.parked, rng) and len(group) < 3 and group[-1].builder != "pedestrian"
    for _ in range(40):
        position, yaw = _spots(plan, table, _hull(group, shapes), parked, rng)
        placed = [_attached(s, position, yaw) for s in group]
        corners = [_corners(f, s.position, s.yaw) for f, s in zip(shapes, placed, strict=True)]
        if all(_free(plan, c) for c in corners):
            plan.objects += placed
            plan.taken += corners
            return


def _attached(spec: ObjectSpec, position: tuple[float, float, float], yaw: float) -> ObjectSpec:
    """Carry a spec, given in its group's frame, into the hall."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = spec.position
    at = (position[0] + c * x - s * y, position[1] + s * x + c * y, z)
    return replace(spec, position=tuple(round(float(v), 4) for v in at), yaw=round(float(spec.yaw + yaw), 5))


def _hull(group: list[ObjectSpec], shapes: list[Any]) -> tuple[float, float, float, float]:
    """The axis-parallel footprint of a group in its own frame."""
    points = np.concatenate([_corners(f, s.position, s.yaw) for f, s in zip(shapes, group, strict=True)])
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(x1), float(y0), float(y1)


def _equip_truck(
    truck: ObjectSpec, config: Config, rng: np.random.Generator, assets: Assets
) -> list[ObjectSpec]:
    """A load on its forks, and somebody at its tiller."""
    group = [truck]
    params = dict(truck.params)
    if chance(config.scene.loaded, rng) and params["fork_length"] > 1.0 and params["overall_width"] < 0.58:
        load = pallet.sample(config.ranges["pallet"], rng, assets)
        # The forks' top (0.085 m lowered) meets the boards under the pallet's deck (0.100 m).
        lift = max(0.0, 0.085 + params["lift"] - 0.100)
        group.append(ObjectSpec("pallet", load, (0.19 + pallet.LENGTH / 2, 0.0, round(lift, 4))))
    operator = _operator(config, rng, assets) if chance(config.scene.operated, rng) else None
    if operator is not None:
        hands = pedestrian.grip(operator.params, assets)
        height = float(np.clip(hands[2] - pallet_truck.PIVOT[2], 0.2, params["tiller_length"] - 0.05))
        params["tiller_angle"] = round(float(np.arccos(height / (params["tiller_length"] - 0.03))), 4)
        params["tiller_turn"] = 0.0
        handle = pallet_truck.handle_point(params)
        # Pushing, one faces the truck; pulling, one walks away with a hand behind.
        yaw = 0.0 if operator.params["pose"] == "pushing" else np.pi
        c, s = np.cos(yaw), np.sin(yaw)
        at = (handle[0] - c * hands[0] + s * hands[1], handle[1] - s * hands[0] - c * hands[1], 0.0)
        group.append(replace(operator, position=(float(at[0]), float(at[1]), 0.0), yaw=yaw))
    group[0] = replace(truck, params={**params, "loaded": len(group) > 1 and group[1].builder == "pallet"})
    return group


def _operator(config: Config, rng: np.random.Generator, assets: Assets) -> ObjectSpec | None:
    """Somebody whose baked pose can hold a tiller, if there is one."""
    if not any(p["pose"] in ("pushing", "pulling") for p in assets.people):
        return None
    for key, table in config.scene.objects.items():
        if table.builder == "pedestrian":
            ranges = replace(config.ranges[key], poses=("pushing", "pulling"))
            return ObjectSpec("pedestrian", pedestrian.sample(ranges, rng, assets), category=table.category)
    return None


# ------------------------------------------------------------------------------ light and sensor


def _lamps(plan: _Plan, config: Config, rng: np.random.Generator) -> tuple[LampSpec, ...]:
    light = config.scene.light
    _, length, low, high = plan.room
    step, rows = uniform(light.spacing, rng), max(1, round((high - low) / uniform(light.spacing, rng) / 1.5))
    height = plan.objects[0].params["height"] - 0.45
    power, lit = uniform(light.power, rng), uniform(light.lit, rng)
    size = (1.4, 0.18) if chance(0.7, rng) else (0.5, 0.5)
    lamps = []
    for y in np.linspace(low, high, rows + 2)[1:-1]:
        for x in np.arange(step / 2, length, step):
            if chance(lit, rng) or not lamps:
                lamps.append(LampSpec((round(float(x), 3), round(float(y), 3), height), size, power * height / 5))
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
        "motion_length": uniform(sensor.motion_length, rng) if moving else 0.0,
        "motion_angle": uniform((0.0, 0.4), rng),
        "sharpening": uniform(sensor.sharpening, rng),
    }
