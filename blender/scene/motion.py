"""Move the objects and the camera of a scene along straight paths, for the frames of a clip. No bpy.

A clip is one scene at several times. Its frames draw the same scene from the same generators and differ in
the time alone, so each is rendered independently. People in a walking pose and vehicles in use move; all
other objects stand. A body does not change its pose: it glides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from blender.config.clip import ClipConfig
from blender.kinds import find_kind
from blender.sampling import chance, uniform
from blender.scene.free_space import Corners, corners_of, is_apart
from blender.scene.plan import CAMERA_FOOTPRINT, LEAST_GAP, PlacedGroup, Plan
from blender.scene.sampler import SceneSampler
from blender.spec import CameraSpec, ObjectSpec

RATE = 8
"""Frames per second of a clip."""
STEP = 0.2
"""Distance of the positions on a path that are checked for collisions, metres."""
TURNS = (0.0, np.pi / 2, -np.pi / 2, np.pi)
"""Turns of an object, radians, that are tried until its way is free; else it takes the longest way."""
VEHICLE = "vehicle"
"""The camera's mount that can move."""


@dataclass(frozen=True)
class ClipTime:
    """When a frame is in its clip."""

    rng: np.random.Generator
    """The generator of the clip's motion, the same for all its frames."""
    seconds: float
    """Time since the clip's first frame."""
    duration: float
    """Time of the clip's last frame."""


def move_scene(sampler: SceneSampler, plan: Plan, time: ClipTime) -> None:
    """Move the camera and the objects of a complete plan to their places at a time of the clip.

    Whatever moves keeps its speed until its way ends, and then stands. Ways do not cross each other or
    anything that stands, so that nothing collides at any time.
    """
    clip, rng = sampler.scene.clip, time.rng
    paths: list[Corners] = []
    rides = chance(clip.moving_camera, rng)
    speed = uniform(clip.camera, rng)
    if rides and plan.camera.mount == VEHICLE:
        plan.camera = _ride(plan, speed, time, paths)
    for group in plan.groups:
        walks = not group.parked and find_kind(plan.objects[group.first].builder).walks(
            plan.objects[group.first].params
        )
        speed = uniform(_speeds(clip, group), rng)
        if group.in_use or walks:
            _move_group(sampler, plan, group, speed, time, paths)


def _speeds(clip: ClipConfig, group: PlacedGroup) -> tuple[float, float]:
    return clip.driving if group.in_use else clip.walking


def _ride(plan: Plan, speed: float, time: ClipTime, paths: list[Corners]) -> CameraSpec:
    """Return the camera at a time of the clip, and add the floor of its way to ``paths``."""
    camera = plan.camera
    obstacles = plan.occupied + plan.bay_floors
    wanted, length = speed * time.duration, 0.0
    x, y, z = camera.position
    for offset in _offsets(wanted):
        floor = corners_of(CAMERA_FOOTPRINT, (x + offset, y, z), camera.yaw)
        if offset and not _is_free(plan, [floor], obstacles):
            break
        paths.append(floor)
        length = offset
    x += min(speed * time.seconds, length)
    return replace(camera, position=(round(x, 4), y, z))


def _move_group(
    sampler: SceneSampler, plan: Plan, group: PlacedGroup, speed: float, time: ClipTime, paths: list[Corners]
) -> None:
    """Move a group to its place at a time of the clip, and add the floor of its way to ``paths``."""
    numbers = range(group.first, group.first + group.count)
    objects = [plan.objects[number] for number in numbers]
    own = set(range(group.floor, group.floor + group.count))
    obstacles = [floor for index, floor in enumerate(plan.occupied) if index not in own]
    obstacles += [*plan.bay_floors, plan.camera_footprint, *paths]
    footprints = [sampler.footprint(item) for item in objects]
    wanted = speed * time.duration
    best, best_length, best_floors = objects, -1.0, list[Corners]()
    for turn in TURNS:
        turned = [_turn(item, objects[0], turn) for item in objects]
        heading = _heading(turned[0], group)
        length, floors = -1.0, list[Corners]()
        for offset in _offsets(wanted):
            moved = [_shift(item, heading, offset) for item in turned]
            shapes = zip(footprints, moved, strict=True)
            corners = [corners_of(shape, item.position, item.yaw) for shape, item in shapes]
            if not _is_free(plan, corners, obstacles):
                break
            length, floors = offset, floors + corners
        if length > best_length:
            best, best_length, best_floors = turned, length, floors
        if length >= wanted:
            break
    paths += best_floors
    offset = max(0.0, min(speed * time.seconds, best_length))
    heading = _heading(best[0], group)
    for number, item in zip(numbers, best, strict=True):
        plan.objects[number] = _shift(item, heading, offset)


def _heading(item: ObjectSpec, group: PlacedGroup) -> float:
    """Return the direction in which a group moves, radians."""
    return item.yaw + (np.pi if group.backwards else 0.0)


def _offsets(length: float) -> list[float]:
    """Return the offsets on a path at which it is checked, its end included, metres."""
    return [*np.arange(0.0, length, STEP).tolist(), length]


def _is_free(plan: Plan, corners: list[Corners], obstacles: list[Corners]) -> bool:
    """Return whether footprints lie in the room and apart from all obstacles."""
    x0, x1, y0, y1 = plan.room
    points = np.concatenate(corners)
    inside = (points >= [x0 + LEAST_GAP, y0 + LEAST_GAP]).all() and (
        points <= [x1 - LEAST_GAP, y1 - LEAST_GAP]
    ).all()
    return bool(inside) and all(is_apart(floor, obstacles, LEAST_GAP) for floor in corners)


def _turn(item: ObjectSpec, pivot: ObjectSpec, angle: float) -> ObjectSpec:
    """Turn an object about the origin of another one, radians."""
    if not angle:
        return item
    c, s = np.cos(angle), np.sin(angle)
    x, y = item.position[0] - pivot.position[0], item.position[1] - pivot.position[1]
    at = (pivot.position[0] + c * x - s * y, pivot.position[1] + s * x + c * y)
    position = (round(float(at[0]), 4), round(float(at[1]), 4), item.position[2])
    return replace(item, position=position, yaw=round(float(item.yaw + angle), 5))


def _shift(item: ObjectSpec, heading: float, offset: float) -> ObjectSpec:
    """Move an object along a direction (radians) by an offset (metres)."""
    x, y, z = item.position
    at = (x + np.cos(heading) * offset, y + np.sin(heading) * offset)
    return replace(item, position=(round(float(at[0]), 4), round(float(at[1]), 4), z))
