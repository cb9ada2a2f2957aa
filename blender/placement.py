"""Putting objects on the floor by rules: inside the hall, in view, through nothing. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender.config import Config, ObjectConfig
from blender.lenses import project
from blender.objects import Assets, kind, pallet, pallet_truck, pedestrian
from blender.ranges import chance, integer
from blender.scene import CameraSpec, ObjectSpec
from blender.trucks.chassis import fork_top

GAP = 0.03
"""Least space between two footprints, metres."""
WAIST = 0.5
"""Height of the point that must be in view, metres."""


@dataclass(frozen=True)
class Edge:
    """A straight face to park against: along ``axis`` (0 = x, 1 = y), at ``at`` on the other axis."""

    axis: int
    at: float
    inward: int
    """+1 or -1: which side of the face is free."""
    span: tuple[float, float]


@dataclass
class Plan:
    """What is placed so far, while a scene is drawn."""

    objects: list[ObjectSpec]
    taken: list[np.ndarray]
    """Corners on the floor, (4, 2) each."""
    edges: list[Edge]
    room: tuple[float, float, float, float]
    camera: CameraSpec


def corners_of(footprint: tuple[float, float, float, float], position: Any, yaw: float) -> np.ndarray:
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


def is_free(plan: Plan, corners: np.ndarray) -> bool:
    """Does a footprint, (4, 2) metres, lie in the hall and apart from all others?"""
    x0, x1, y0, y1 = plan.room
    inside = (corners >= [x0 + GAP, y0 + GAP]).all() and (corners <= [x1 - GAP, y1 - GAP]).all()
    return bool(inside) and all(overlap(corners, other) < -GAP for other in plan.taken)


def try_to_place(plan: Plan, spec: ObjectSpec, footprint: tuple[float, float, float, float]) -> bool:
    """Add the object if its place is free; says whether it was."""
    corners = corners_of(footprint, spec.position, spec.yaw)
    if not is_free(plan, corners):
        return False
    plan.objects.append(spec)
    plan.taken.append(corners)
    return True


def _bearing(plan: Plan, distance: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """A point on the floor in (or just out of) the camera's view."""
    camera = plan.camera
    angle = camera.yaw + rng.uniform(-0.54, 0.54) * camera.fov
    x, y, _ = camera.position
    return (x + distance * float(np.cos(angle)), y + distance * float(np.sin(angle)), 0.0)


def _spots(
    plan: Plan,
    table: ObjectConfig,
    footprint: tuple[float, float, float, float],
    parked: bool,
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float], float]:
    """Draw a position and a heading."""
    near, far = np.log(table.distance[0]), np.log(table.distance[1])
    position = _bearing(plan, float(np.exp(rng.uniform(near, far))), rng)
    if not parked:
        return position, float(rng.uniform(-np.pi, np.pi))
    edge = plan.edges[int(rng.integers(len(plan.edges)))]
    # Headings by rule: square to the face, or along it; a little careless.
    along = 0.0 if edge.axis == 0 else np.pi / 2
    yaw = along + int(rng.integers(4)) * np.pi / 2 + rng.normal(0, 0.12)
    corners = corners_of(footprint, (0, 0, 0), yaw)
    across = 1 - edge.axis
    reach = corners[:, across].min() if edge.inward > 0 else corners[:, across].max()
    where = list(position)
    where[across] = edge.at - float(reach) + edge.inward * (GAP + 0.01 + rng.exponential(0.12))
    where[edge.axis] = float(np.clip(where[edge.axis], *edge.span))
    return (where[0], where[1], 0.0), float(yaw)


def place(
    plan: Plan, config: Config, key: str, table: ObjectConfig, rng: np.random.Generator, assets: Assets
) -> None:
    """Put one object of a table into the scene, with what belongs to it; gives up if it finds no room."""
    module = kind(table.builder)
    params = module.sample(config.ranges[key], rng, assets)
    group = [ObjectSpec(table.builder, params, category=table.category)]
    if table.builder == "pallet_truck":
        group = _equip_truck(group[0], config, rng, assets)
    shapes = [kind(s.builder).footprint(s.params, assets) for s in group]
    parked = chance(table.parked, rng) and len(group) < 3 and group[-1].builder != "pedestrian"
    if parked and len(group) == 1:
        group = _row(group[0], shapes[0], integer(table.row, rng), config.ranges[key], rng, assets)
        shapes = [module.footprint(s.params, assets) for s in group]
    hull = _hull(group, shapes)
    for _ in range(80):
        position, yaw = _spots(plan, table, hull, parked, rng)
        if not _in_view(plan, config, table, position):
            continue
        placed = [_attached(s, position, yaw) for s in group]
        corners = [corners_of(f, s.position, s.yaw) for f, s in zip(shapes, placed, strict=True)]
        if all(is_free(plan, c) for c in corners):
            plan.objects += placed
            plan.taken += corners
            return


def _row(
    first: ObjectSpec,
    shape: tuple[float, float, float, float],
    count: int,
    ranges: Any,
    rng: np.random.Generator,
    assets: Assets,
) -> list[ObjectSpec]:
    """``count`` of a kind side by side, each a little out of line; parked things come in rows."""
    row, edge = [first], shape[3]
    for _ in range(count - 1):
        params = kind(first.builder).sample(ranges, rng, assets)
        _, _, y0, y1 = kind(first.builder).footprint(params, assets)
        beside = edge - y0 + GAP + 0.05 + rng.exponential(0.08)
        row.append(replace(first, params=params, position=(float(rng.normal(0, 0.06)), float(beside), 0.0)))
        edge = beside + y1
    return row


def _in_view(plan: Plan, config: Config, table: ObjectConfig, position: tuple[float, float, float]) -> bool:
    """Is a point within the table's distances, and in or just out of the camera's view?"""
    x, y = position[0] - plan.camera.position[0], position[1] - plan.camera.position[1]
    near, far = table.distance
    if not near <= np.hypot(x, y) <= far:
        return False
    width, height = config.render.width, config.render.height
    waist = np.array([[position[0], position[1], WAIST]])
    ((u, v),), (depth,) = project(waist, plan.camera, width, height)
    return bool(depth > 0 and abs(u / width - 0.5) < 0.54 and abs(v / height - 0.5) < 0.6)


def _attached(spec: ObjectSpec, position: tuple[float, float, float], yaw: float) -> ObjectSpec:
    """Carry a spec, given in its group's frame, into the hall."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = spec.position
    at = (
        round(float(position[0] + c * x - s * y), 4),
        round(float(position[1] + s * x + c * y), 4),
        round(float(z), 4),
    )
    return replace(spec, position=at, yaw=round(float(spec.yaw + yaw), 5))


def _hull(group: list[ObjectSpec], shapes: list[Any]) -> tuple[float, float, float, float]:
    """The axis-parallel footprint of a group in its own frame."""
    points = np.concatenate([corners_of(f, s.position, s.yaw) for f, s in zip(shapes, group, strict=True)])
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
        # The forks' top meets the boards under the pallet's deck, 0.100 m above its feet.
        lift = max(0.0, fork_top(params) - 0.100)
        group.append(
            ObjectSpec(
                "pallet", load, (pallet_truck.backrest(params) + pallet.LENGTH / 2, 0.0, round(lift, 4))
            )
        )
    steered = params["variant"] in pallet_truck.STEERED_ON_FOOT and chance(config.scene.operated, rng)
    operator = _operator(config, rng, assets) if steered else None
    if operator is not None:
        hands = pedestrian.grip(operator.params, assets)
        height = float(np.clip(hands[2] - pallet_truck.pivot(params)[2], 0.2, params["tiller_length"] - 0.05))
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
