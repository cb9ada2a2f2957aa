"""Place a profile's objects by rules: in the hall, in the image, apart from each other. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from blender.config.profile import ObjectConfig
from blender.kinds import ObjectGroup, Parking, find_kind
from blender.scene.free_space import Corners, corners_of, is_apart
from blender.scene.parking import stand_at_face, stand_beside, stand_under_rack
from blender.scene.plan import LEAST_GAP, PlacedGroup, Plan
from blender.scene.sampler import SceneSampler
from blender.scene.visibility import (
    CUT_SPREAD,
    VIEW_SPREAD,
    draw_point_in_view,
    horizontal_distance,
    in_image,
    is_cut,
    view_area,
)
from blender.spec import Footprint, ObjectSpec, Position

ATTEMPTS = 80
"""Positions tried for an object before it is left out."""
CLEAR_ATTEMPTS = 60
"""Number of attempts that require a clear view. After them, a hidden object is better than no object."""
HIGH_CAMERA = 2.2
"""Height, metres, from which a camera is above the objects that could hide another object."""
MIDDLE_HEIGHT = 1.0
"""Height of the point, metres, that must be in the image: about the middle of an object."""
ROW_GAP = 0.05
"""Minimum gap between parked objects side by side, in addition to ``LEAST_GAP``, metres."""
ROW_MEAN_GAP = 0.08
"""Mean of the exponentially distributed addition to that gap, metres."""
ROW_DEVIATION = 0.06
"""Standard deviation of the positions across the row, metres."""

HEADING_DEVIATION = 0.08
"""Standard deviation of the heading of objects along or across the hall, radians."""


@dataclass(frozen=True)
class Placement:
    """A group of objects to place together, and the rules for it. Poses are in the first object's frame."""

    objects: tuple[ObjectSpec, ...]
    footprints: tuple[Footprint, ...]
    """Footprint of each object in its own frame."""
    parked: bool
    """Whether the profile's share puts the group at a wall or a rack."""
    parking: Parking
    low_from: float | None
    """The x from which the object is low enough for a rack's lowest beam, metres; None: not below a rack."""
    clear: bool
    """Whether the floor between the camera and the group must stay free."""
    cut: float | None
    """Height of an object that the image's edge cuts off, metres; None: its middle is in the image."""
    beside: ObjectSpec | None
    """The object beside which the group stands, if any."""

    @property
    def outline(self) -> Footprint:
        """Return the axis-parallel footprint of all objects, metres."""
        pairs = zip(self.objects, self.footprints, strict=True)
        points = np.concatenate([corners_of(shape, item.position, item.yaw) for item, shape in pairs])
        (x0, y0), (x1, y1) = points.min(0), points.max(0)
        return float(x0), float(x1), float(y0), float(y1)


def place_object(sampler: SceneSampler, plan: Plan, key: str, allow_labelled: bool = True) -> bool:
    """Draw an object of a profile's table and add it to the plan with its attached objects.

    The object is left out if no attempt gives a free place; return whether it was placed.

    Args:
        sampler: draws the object and its place.
        plan: the scene so far.
        key: the object's table in [scene.objects].
        allow_labelled: attached objects may be labelled.
    """
    table = sampler.scene.objects[key]
    item = ObjectSpec(table.builder, sampler.params(table.builder, key), category=table.category)
    group = sampler.attach(item, key, allow_labelled)
    placement = _draw_placement(sampler, plan, key, group)
    outline = placement.outline
    for attempt in range(ATTEMPTS):
        position, yaw = _draw_position(sampler, plan, table, placement, outline)
        if not _in_view(sampler, plan, table, placement, position, yaw):
            continue
        placed = [move_to(item, position, yaw) for item in placement.objects]
        shapes = zip(placement.footprints, placed, strict=True)
        corners = [corners_of(shape, item.position, item.yaw) for shape, item in shapes]
        if not all(plan.is_free(c, placement.low_from is not None) for c in corners):
            continue
        if placement.clear and not _keep_view_clear(plan, corners) and attempt < CLEAR_ATTEMPTS:
            continue
        parked = placement.parked or placement.parking.always or placement.beside is not None
        plan.groups.append(
            PlacedGroup(
                len(plan.objects), len(placed), len(plan.occupied), parked, group.in_use, group.backwards
            )
        )
        for item, floor in zip(placed, corners, strict=True):
            plan.add(item, floor)
        return True
    return False


def _draw_placement(sampler: SceneSampler, plan: Plan, key: str, group: ObjectGroup) -> Placement:
    """Draw the rules by which a group is placed; a parked object may become a row of its kind."""
    table, objects = sampler.scene.objects[key], group.objects
    kind, single = find_kind(table.builder), len(objects) == 1
    footprints = tuple(sampler.footprint(item) for item in objects)
    parked = sampler.chance(table.parked) and not group.in_use
    if parked and single:
        objects = _row(sampler, key, objects[0], footprints[0], sampler.integer(table.row))
        footprints = tuple(sampler.footprint(item) for item in objects)
    low_from = kind.rack_insertion(objects[0].params) if parked and single and plan.open_bays else None
    if low_from is not None and not sampler.chance(sampler.scene.under_racks):
        low_from = None
    clear = table.clear > 0 and sampler.chance(table.clear) and plan.camera.position[2] < HIGH_CAMERA
    cut = sampler.height(objects[0]) if table.cut > 0 and sampler.chance(table.cut) else None
    beside = None
    if table.beside > 0 and single and sampler.chance(table.beside):
        labelled = [item for item in plan.objects if item.category]
        beside = labelled[int(sampler.rng.integers(len(labelled)))] if labelled else None
    parking = kind.parking(objects[0].params)
    return Placement(objects, footprints, parked, parking, low_from, clear, cut, beside)


def _row(
    sampler: SceneSampler, key: str, first: ObjectSpec, footprint: Footprint, count: int
) -> tuple[ObjectSpec, ...]:
    """Draw ``count`` objects of a kind side by side, each a little out of line."""
    row, edge = [first], footprint[3]
    for _ in range(count - 1):
        item = replace(first, params=sampler.params(first.builder, key))
        _, _, y0, y1 = sampler.footprint(item)
        y = edge - y0 + LEAST_GAP + ROW_GAP + sampler.rng.exponential(ROW_MEAN_GAP)
        row.append(replace(item, position=(float(sampler.rng.normal(0, ROW_DEVIATION)), float(y), 0.0)))
        edge = y + y1
    return tuple(row)


def _draw_position(
    sampler: SceneSampler, plan: Plan, table: ObjectConfig, placement: Placement, outline: Footprint
) -> tuple[Position, float]:
    """Draw a position and a heading by the rules of a placement."""
    rng = sampler.rng
    if placement.low_from is not None:
        return stand_under_rack(plan.open_bays, outline, placement.low_from, rng)
    if placement.beside is not None:
        other = placement.beside
        return stand_beside(sampler.footprint(other), other.position, other.yaw, outline, rng)
    near, far = np.log(table.distance[0]), np.log(table.distance[1])
    spread = VIEW_SPREAD if placement.cut is None else CUT_SPREAD
    point = draw_point_in_view(plan.camera, float(np.exp(rng.uniform(near, far))), rng, spread)
    if not (placement.parked or placement.parking.always):
        if sampler.chance(table.aligned):
            return point, float(rng.integers(4) * np.pi / 2 + rng.normal(0, HEADING_DEVIATION))
        return point, float(rng.uniform(-np.pi, np.pi))
    faces = plan.faces
    if placement.parking.at_racks:
        faces = [face for face in faces if face.is_rack] or faces
    face = faces[int(rng.integers(len(faces)))]
    return stand_at_face(face, point, outline, placement.parking, rng)


def _in_view(
    sampler: SceneSampler,
    plan: Plan,
    table: ObjectConfig,
    placement: Placement,
    position: Position,
    yaw: float,
) -> bool:
    """Return whether a position is within the table's distances, and in the image as the placement says."""
    near, far = table.distance
    if not near <= horizontal_distance(plan.camera, position) <= far:
        return False
    if placement.cut is not None:
        shape, size = placement.footprints[0], sampler.config.render
        return is_cut(plan.camera, size, shape, placement.cut, position, yaw)
    return in_image(plan.camera, sampler.config.render, (position[0], position[1], MIDDLE_HEIGHT))


def _keep_view_clear(plan: Plan, corners: list[Corners]) -> bool:
    """Reserve the floor between the camera and an object; return False if something stands there already."""
    view = view_area(plan.camera, np.concatenate(corners))
    if not is_apart(view, plan.occupied, 0.0):
        return False
    plan.clear_views.append(view)
    return True


def move_to(item: ObjectSpec, position: Position, yaw: float) -> ObjectSpec:
    """Transform an object from a group's frame, at ``position`` and turned by ``yaw``, to the hall's."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = item.position
    at = (
        round(float(position[0] + c * x - s * y), 4),
        round(float(position[1] + s * x + c * y), 4),
        round(float(z), 4),
    )
    return replace(item, position=at, yaw=round(float(item.yaw + yaw), 5))
