"""Putting objects on the floor by rules: inside the hall, in view, through nothing. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.config.run import Config, ObjectConfig
from blender.geometry.lens import project
from blender.kinds import kind
from blender.sampling import chance, integer
from blender.scene.attachments import equip
from blender.spec import CameraSpec, ObjectSpec

GAP = 0.03
"""Least space between two footprints, metres."""
HEEL = 0.29
"""A pallet on a truck begins here, metres ahead of the truck's origin: before the forks' gussets."""
TALL = 0.26
"""What of a pallet truck is too tall for a rack's lowest beam ends this far ahead of its origin, metres."""
OVER = 2.2
"""A camera higher than this, metres, sees over what stands before an object."""
BEFORE = 0.62
"""What a camera sees begins this far from it, metres: its own place is kept free."""


@dataclass(frozen=True)
class Edge:
    """A straight face to park against: along ``axis`` (0 = x, 1 = y), at ``at`` on the other axis."""

    axis: int
    at: float
    inward: int
    """+1 or -1: which side of the face is free."""
    span: tuple[float, float]
    under: float = 0.0
    """Above 0: an open bay of a rack; forks may reach this far in below its lowest beam, metres."""
    rack: bool = False
    """The front of racks: people reach for what lies there."""


@dataclass
class Plan:
    """What is placed so far, while a scene is drawn."""

    objects: list[ObjectSpec]
    taken: list[np.ndarray]
    """Corners on the floor, (4, 2) each."""
    edges: list[Edge]
    room: tuple[float, float, float, float]
    camera: CameraSpec
    low: list[np.ndarray] = field(default_factory=list)
    """Corners, (4, 2) each, of what only forks may reach into: open bays of racks."""
    sights: list[np.ndarray] = field(default_factory=list)
    """Corners, (4, 2) each, of the floor between the camera and what is to be seen whole."""


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
    return min(_across(a, a, b), _across(b, a, b))


def _parted(a: np.ndarray, b: np.ndarray, gap: float) -> bool:
    """Is ``overlap`` below ``-gap``? Mostly the first shape's edges tell."""
    return _across(a, a, b) < -gap or _across(b, a, b) < -gap


def _across(shape: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """How far a and b overlap at least, seen along the edges of ``shape``, (4, 2) each."""
    edges = shape[_NEXT] - shape
    normals = edges[:, ::-1] * _TURNED
    normals /= np.sqrt((normals * normals).sum(1, keepdims=True))
    pa, pb = a @ normals.T, b @ normals.T
    return float(np.minimum(pa.max(0) - pb.min(0), pb.max(0) - pa.min(0)).min())


_NEXT, _TURNED = [1, 2, 3, 0], (-1.0, 1.0)


def is_free(plan: Plan, corners: np.ndarray, low: bool = False) -> bool:
    """Does a footprint, (4, 2) metres, lie in the hall and apart from all others?

    ``low`` is for forks on their way below a rack's lowest beam.
    """
    x0, x1, y0, y1 = plan.room
    inside = (corners >= [x0 + GAP, y0 + GAP]).all() and (corners <= [x1 - GAP, y1 - GAP]).all()
    if not inside:
        return False
    return apart(corners, plan.taken + plan.sights + ([] if low else plan.low), GAP)


def apart(corners: np.ndarray, others: list[np.ndarray], gap: float) -> bool:
    """Is a footprint, (4, 2) metres, at least so far from all others?"""
    if not others:
        return True
    there = np.array(others)
    # Most things are far away: only where the bounding boxes meet is the exact test worth its price.
    near = (corners.min(0) - gap < there.max(1)) & (corners.max(0) + gap > there.min(1))
    return all(_parted(corners, other, gap) for other in there[near.all(1)])


def sight(camera: CameraSpec, corners: np.ndarray) -> np.ndarray:
    """The floor, (4, 2) metres, over which a camera sees what covers ``corners`` (N, 2)."""
    eye = np.array(camera.position[:2])
    ahead = np.array([np.cos(camera.yaw), np.sin(camera.yaw)])
    rays = corners - eye
    angles = np.arctan2(ahead[0] * rays[:, 1] - ahead[1] * rays[:, 0], rays @ ahead)
    far = corners[[angles.argmin(), angles.argmax()]]
    near = eye + BEFORE * (far - eye) / np.linalg.norm(far - eye, axis=1, keepdims=True)
    return np.array([near[0], far[0], far[1], near[1]])


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
    reaching: bool = False,
) -> tuple[tuple[float, float, float], float]:
    """Draw a position and a heading. Parked people face what they are parked at: they work there.

    Who is reaching has the fingers at the front of a rack or, where there is none, at another face.
    """
    near, far = np.log(table.distance[0]), np.log(table.distance[1])
    position = _bearing(plan, float(np.exp(rng.uniform(near, far))), rng)
    if not (parked or reaching):
        return position, float(rng.uniform(-np.pi, np.pi))
    edges = [edge for edge in plan.edges if not edge.under]
    if reaching:
        edges = [edge for edge in edges if edge.rack] or edges
    edge = edges[int(rng.integers(len(edges)))]
    # Headings by rule: square to the face, or along it; a little careless.
    if table.builder == "pedestrian":
        yaw = _towards(edge) + rng.normal(0, 0.1 if reaching else 0.3)
    else:
        along = 0.0 if edge.axis == 0 else np.pi / 2
        yaw = along + int(rng.integers(4)) * np.pi / 2 + rng.normal(0, 0.12)
    corners = corners_of(footprint, (0, 0, 0), yaw)
    across = 1 - edge.axis
    reach = corners[:, across].min() if edge.inward > 0 else corners[:, across].max()
    where = list(position)
    space = GAP + 0.01 + rng.exponential(0.02 if reaching else 0.12)
    where[across] = edge.at - float(reach) + edge.inward * space
    where[edge.axis] = float(np.clip(where[edge.axis], *edge.span))
    return (where[0], where[1], 0.0), float(yaw)


def _under_a_rack(
    plan: Plan, footprint: tuple[float, float, float, float], rng: np.random.Generator
) -> tuple[tuple[float, float, float], float]:
    """Draw a position and a heading with the forks below a rack's lowest beam, the tiller in the aisle."""
    bays = [edge for edge in plan.edges if edge.under]
    bay = bays[int(rng.integers(len(bays)))]
    reach = footprint[1]
    out = rng.uniform(max(TALL, reach - bay.under), reach - 0.3)
    where = [0.0, 0.0, 0.0]
    where[bay.axis] = rng.uniform(*bay.span)
    where[1 - bay.axis] = bay.at + bay.inward * out
    return (where[0], where[1], 0.0), float(_towards(bay) + rng.normal(0, 0.04))


def _towards(edge: Edge) -> float:
    """The heading, radians, of what stands square before a face and looks at it."""
    if edge.axis == 0:
        return -edge.inward * np.pi / 2
    return np.pi if edge.inward > 0 else 0.0


def place(
    plan: Plan,
    config: Config,
    key: str,
    table: ObjectConfig,
    rng: np.random.Generator,
    assets: Assets,
    labelled: bool = True,
) -> None:
    """Put one object of a table into the scene, with what belongs to it; gives up if it finds no room.

    Args:
        labelled: may it bring a labelled object with it?
    """
    module = kind(table.builder)
    params = module.sample(config.ranges[key], rng, assets)
    thing = ObjectSpec(table.builder, params, category=table.category)
    group = equip(thing, key, config, rng, assets, labelled)
    shapes = [kind(s.builder).footprint(s.params, assets) for s in group]
    operated = table.builder != "pedestrian" and group[-1].builder == "pedestrian"
    parked = chance(table.parked, rng) and len(group) < 3 and not operated
    reaching = params.get("pose") == "reaching"
    if parked and len(group) == 1:
        group = _row(group[0], shapes[0], integer(table.row, rng), config.ranges[key], rng, assets)
        shapes = [module.footprint(s.params, assets) for s in group]
    hull = _hull(group, shapes)
    bare = table.builder == "pallet_truck" and all(spec.builder == "pallet_truck" for spec in group)
    slips = parked and bare and any(edge.under for edge in plan.edges)
    low = slips and chance(config.scene.under_racks, rng)
    clear = table.clear > 0 and chance(table.clear, rng) and plan.camera.position[2] < OVER
    for attempt in range(80):
        if low:
            position, yaw = _under_a_rack(plan, hull, rng)
        else:
            position, yaw = _spots(plan, table, hull, parked, rng, reaching)
        if not _in_view(plan, config, table, position):
            continue
        placed = [_attached(s, position, yaw) for s in group]
        corners = [corners_of(f, s.position, s.yaw) for f, s in zip(shapes, placed, strict=True)]
        if not all(is_free(plan, c, low) for c in corners):
            continue
        if clear:
            seen = sight(plan.camera, np.concatenate(corners))
            if apart(seen, plan.taken[1:], 0.0):  # the first is the camera's own place
                plan.sights.append(seen)
            elif attempt < 60:  # then rather hidden than not at all
                continue
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
    """Is a point within the table's distances, and what stands there in, or just out of, the picture?"""
    x, y, _ = position
    near, far = table.distance
    if not near <= np.hypot(x - plan.camera.position[0], y - plan.camera.position[1]) <= far:
        return False
    return in_picture(plan, config, (x, y, 1.0))  # a metre up: its middle


def in_picture(plan: Plan, config: Config, point: tuple[float, float, float], rim: float = 0.04) -> bool:
    """Is a point in the picture, or beside it by ``rim`` of its size at most?"""
    width, height = config.render.width, config.render.height
    pixels, depth = project(np.array([point]), plan.camera, width, height)
    inside = np.abs(pixels[0] / [width, height] - 0.5) < 0.5 + rim
    return bool(depth[0] > 0 and inside.all())


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
