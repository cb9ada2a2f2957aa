"""Positions of objects at walls and racks."""

from __future__ import annotations

import numpy as np
import pytest

from blender.kinds import Parking
from blender.objects import pedestrian
from blender.scene.free_space import corners_of, overlap
from blender.scene.parking import LEAST_INSERTION, stand_at_face, stand_beside, stand_under_rack
from blender.scene.plan import LEAST_GAP, Face, OpenBay

PERSON = (-0.3, 0.4, -0.3, 0.3)
TRUCK = (-0.3, 1.4, -0.3, 0.3)
FACES = [Face(axis, 4.0, inward, (-50.0, 50.0)) for axis in (0, 1) for inward in (-1, 1)]


@pytest.mark.parametrize("face", FACES)
def test_people_parked_at_a_face_are_turned_to_it(face: Face) -> None:
    parking = pedestrian.parking({"pose": "standing"})
    rng = np.random.default_rng(0)
    for _ in range(20):
        position, yaw = stand_at_face(face, (1.0, 2.0, 0.0), PERSON, parking, rng)
        to_face = face.position - position[face.across]
        ahead = (np.cos(yaw), np.sin(yaw))[face.across] * np.sign(to_face)
        assert 0.3 < abs(to_face) < 1.5 and np.sign(to_face) == -face.inward and ahead > 0.5


@pytest.mark.parametrize("face", FACES)
def test_parked_objects_are_square_to_the_face_and_keep_the_gap(face: Face) -> None:
    rng, quarters = np.random.default_rng(0), set()
    for _ in range(40):
        position, yaw = stand_at_face(face, (1.0, 2.0, 0.0), TRUCK, Parking(), rng)
        quarters.add(round(yaw / (np.pi / 2)) % 4)
        assert abs(yaw - round(yaw / (np.pi / 2)) * np.pi / 2) < 0.6
        corners = corners_of(TRUCK, position, yaw)[:, face.across]
        nearest = corners.min() if face.inward > 0 else corners.max()
        assert (nearest - face.position) * face.inward > LEAST_GAP
    assert quarters == {0, 1, 2, 3}


def test_people_who_reach_stand_close_to_racks_even_if_not_parked() -> None:
    parking = pedestrian.parking({"pose": "reaching"})
    assert parking.always and parking.at_racks and parking.facing
    assert parking.mean_gap < pedestrian.parking({"pose": "standing"}).mean_gap


def test_an_object_beside_another_is_close_to_its_side_and_apart() -> None:
    rng, sides, gaps = np.random.default_rng(0), set(), []
    other = corners_of(TRUCK, (3.0, 1.0, 0.0), 0.7)
    for _ in range(40):
        position, yaw = stand_beside(TRUCK, (3.0, 1.0, 0.0), 0.7, (-0.6, 0.6, -0.4, 0.4), rng)
        gaps.append(-overlap(other, corners_of((-0.6, 0.6, -0.4, 0.4), position, yaw)))
        to = np.subtract(position[:2], (3.0, 1.0))
        sides.add(np.sign(to @ (-np.sin(0.7), np.cos(0.7))))
    assert min(gaps) >= LEAST_GAP and np.median(gaps) < 0.3 and sides == {-1.0, 1.0}


def test_position_along_a_face_is_clipped_to_its_span() -> None:
    face = Face(0, 4.0, -1, (-1.0, 1.0))
    position, _ = stand_at_face(face, (9.0, 0.0, 0.0), PERSON, Parking(), np.random.default_rng(0))
    assert position[0] == 1.0


@pytest.mark.parametrize("face", FACES)
def test_only_the_low_front_of_an_object_is_below_the_beam(face: Face) -> None:
    bay, rng = OpenBay(Face(face.axis, face.position, face.inward, (0.0, 2.0)), 0.9), np.random.default_rng(0)
    for _ in range(40):
        position, yaw = stand_under_rack([bay], TRUCK, 0.26, rng)
        outside = (position[face.across] - face.position) * face.inward
        assert outside >= 0.26 and TRUCK[1] - bay.depth <= outside <= TRUCK[1] - LEAST_INSERTION
        assert 0.0 <= position[face.axis] <= 2.0
        assert abs(yaw - face.heading_to) < 0.2
