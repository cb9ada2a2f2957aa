"""Bake posed body meshes: poses by weight, the same files from any number of processes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import PeopleConfig
from pipeline.config.tables import POSES as NAMES
from pipeline.people import bake
from pipeline.people.bake import assign_poses, bake_people
from pipeline.people.poses import POSES, sample_pose
from tests.blender.test_render import tree_hash


def test_poses_are_assigned_in_proportion_to_their_weights() -> None:
    config = PeopleConfig(count=10, poses={"standing": 3.0, "walking": 1.0, "sitting": 1.0})
    assert Counter(assign_poses(config)) == {"standing": 6, "walking": 2, "sitting": 2}


def test_each_pose_is_assigned_if_there_are_enough_bodies() -> None:
    config = PeopleConfig(count=len(POSES), poses=dict.fromkeys(POSES, 1.0))
    assert sorted(assign_poses(config)) == sorted(POSES)


@pytest.mark.parametrize("name", POSES)
def test_poses_follow_from_the_seed(name: str) -> None:
    first, second = (sample_pose(name, np.random.default_rng(7)) for _ in range(2))
    assert first == second
    assert first.seated == (name == "sitting")


def test_a_profile_can_name_every_pose() -> None:
    assert tuple(POSES) == NAMES


@pytest.mark.slow
def test_two_processes_bake_the_same_bodies(
    tiny_profile: Path, tiny_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bake, "MIN_BODIES_PER_PROCESS", 1)
    monkeypatch.setattr(bake, "core_count", lambda: 2)
    bake_people(tiny_profile, tmp_path / "people")
    assert tree_hash(tmp_path / "people") == tree_hash(tiny_people)
