"""Layouts, and properties of all scenes: reproducible draws, separate footprints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from blender.assets import Assets
from blender.config import layouts as config_layouts
from blender.config.profile import Config, load_config
from blender.rendering.frame import frame_rng, frame_scene
from blender.scene.free_space import overlap
from blender.scene.layouts import LAYOUTS
from blender.scene.sample_scene import sample_scene
from blender.scene.sampler import SceneSampler
from blender.spec import ObjectSpec
from tests.conftest import ROOT, default_scene
from tests.helpers.footprints import floor_of


def test_every_layout_that_profiles_may_name_is_registered() -> None:
    assert set(LAYOUTS) == set(config_layouts.LAYOUTS)


def test_every_layout_draws_a_plan_with_camera_and_walls(default_config: Config, assets: Assets) -> None:
    for name, draw in LAYOUTS.items():
        plan = draw(SceneSampler(default_config, np.random.default_rng(3), assets))
        assert plan.hall.builder == "hall" and all(item.builder != "hall" for item in plan.objects), name
        x0, x1, y0, y1 = plan.room
        assert x0 < plan.camera.position[0] < x1 and y0 < plan.camera.position[1] < y1
        assert [face.is_rack for face in plan.faces[:3]] == [False] * 3
        assert all(bay.depth > 0 for bay in plan.open_bays)


def test_aisles_have_their_own_length_and_goods_in_place_of_racks(
    default_config: Config, assets: Assets
) -> None:
    ranges = replace(default_config.scene.aisle, length=(30.0, 32.0), blocks=1.0)
    config = replace(default_config, scene=replace(default_config.scene, aisle=ranges))
    plan = LAYOUTS["aisle"](SceneSampler(config, np.random.default_rng(0), assets))
    assert 30 <= plan.hall.params["length"] <= 32
    assert {item.builder for item in plan.objects} <= {"pallet", "cage"} and len(plan.objects) > 15
    far = max(item.position[0] for item in plan.objects)
    assert far > 20 and not any(face.is_rack for face in plan.faces)


def test_sampler_gives_the_first_table_of_each_kind(default_config: Config, assets: Assets) -> None:
    sampler = SceneSampler(default_config, np.random.default_rng(0), assets)
    table = sampler.first_tables["pedestrian"]
    assert table.category == "pedestrian" and table.ranges == default_config.ranges["pedestrian"]
    assert sampler.first_tables["pallet"].ranges is default_config.ranges["pallets"]


def test_sampling_a_scene_depends_on_its_generator_alone(default_config: Config, assets: Assets) -> None:
    first, again, other = (
        sample_scene(default_config, np.random.default_rng(seed), assets) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert first.objects[0].builder == "hall"


def test_frame_depends_on_seed_split_and_number_alone(default_config: Config, assets: Assets) -> None:
    first = frame_scene(default_config, assets, 5)
    frame_scene(default_config, assets, 4)
    assert frame_scene(default_config, assets, 5) == first
    other = load_config(ROOT / "assets/profiles/default.toml", "val")
    assert frame_scene(other, assets, 5) != first
    assert frame_rng(default_config, 0, 0).random() != frame_rng(default_config, 0, 1).random()


def attached(first: ObjectSpec, second: ObjectSpec) -> bool:
    """Return whether two objects may share floor: a load, an operator, a driver or a held object."""
    pair = {first.builder, second.builder}
    if "pallet_truck" in pair and pair & {"pallet", "cage", "pedestrian"}:
        return True
    if "forklift" in pair and pair & {"pallet", "cage"}:
        return first.params.get("loaded", False) or second.params.get("loaded", False)
    raised = any(item.builder == "pedestrian" and item.position[2] > 0.1 for item in (first, second))
    return pair == {"carried", "pedestrian"} or (pair == {"forklift", "pedestrian"} and raised)


def test_footprints_are_apart_and_inside_the_hall(tiny_people: Path, assets: Assets) -> None:
    """Checked in 40 scenes; test_collisions.py compares meshes."""
    layouts, trucks = set(), 0
    for frame in range(40):
        spec = default_scene(tiny_people, frame)
        layouts.add(spec.layout)
        building = spec.objects[0].params
        floor = [(item, corners) for item in spec.objects[1:] for corners in floor_of(item, assets)]
        for item, corners in floor:
            assert (corners[:, 0] > -0.01).all() and (corners[:, 0] < building["length"] + 0.01).all(), item
            assert (np.abs(corners[:, 1]) < building["width"] / 2 + 0.01).all(), item
        for i, (first, a) in enumerate(floor):
            for second, b in floor[i + 1 :]:
                if first is not second and not attached(first, second):
                    assert overlap(a, b) < 0.02, (frame, first.builder, second.builder)
        trucks += sum(item.category == "pallet_truck" for item in spec.objects)
    assert layouts == set(LAYOUTS)
    assert trucks > 60
