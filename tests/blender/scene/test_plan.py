"""The plan: free floor, the camera's footprint, faces to park at."""

from __future__ import annotations

import numpy as np
import pytest

from blender.scene.free_space import corners_of
from blender.scene.plan import LEAST_GAP, Face, Plan
from blender.spec import CameraSpec, ObjectSpec

CAMERA = CameraSpec((1.0, 0.0, 1.5), 0.0, 0.0, 0.0, 1.0)
UNIT = (-0.5, 0.5, -0.5, 0.5)


def empty_plan() -> Plan:
    return Plan(ObjectSpec("hall", {}), (0.0, 10.0, -4.0, 4.0), CAMERA, [])


def test_floor_around_the_camera_is_not_free() -> None:
    plan = empty_plan()
    assert plan.camera_footprint == pytest.approx(
        np.array([[0.5, -0.4], [1.6, -0.4], [1.6, 0.4], [0.5, 0.4]])
    )
    assert not plan.is_free(corners_of(UNIT, (1.5, 0.5, 0.0)))
    assert plan.is_free(corners_of(UNIT, (3.0, 0.5, 0.0)))


def test_objects_keep_a_gap_to_walls_and_to_each_other() -> None:
    plan = empty_plan()
    assert not plan.add_if_free(ObjectSpec("crate", {}, (9.5, 0.0, 0.0)), UNIT)
    assert plan.add_if_free(ObjectSpec("crate", {}, (9.4, 0.0, 0.0)), UNIT)
    assert not plan.add_if_free(ObjectSpec("crate", {}, (8.4 - LEAST_GAP / 2, 0.0, 0.0)), UNIT)
    assert plan.add_if_free(ObjectSpec("crate", {}, (8.3, 0.0, 0.0)), UNIT)
    assert [item.position[0] for item in plan.objects] == [9.4, 8.3]


def test_open_bays_are_free_for_low_objects_only() -> None:
    plan = empty_plan()
    plan.bay_floors.append(corners_of(UNIT, (6.0, 0.0, 0.0)))
    corners = corners_of(UNIT, (6.0, 0.5, 0.0))
    assert not plan.is_free(corners)
    assert plan.is_free(corners, under_rack=True)


def test_reserved_views_are_not_free() -> None:
    plan = empty_plan()
    plan.clear_views.append(corners_of((0.0, 4.0, -0.2, 0.2), (2.0, 0.0, 0.0)))
    assert not plan.is_free(corners_of(UNIT, (4.0, 0.5, 0.0)), under_rack=True)


@pytest.mark.parametrize("inward", [-1, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_heading_to_a_face_points_against_its_free_side(axis: int, inward: int) -> None:
    face = Face(axis, 4.0, inward, (0.0, 1.0))
    direction = np.array([np.cos(face.heading_to), np.sin(face.heading_to)])
    assert direction[face.across] == pytest.approx(-inward)
