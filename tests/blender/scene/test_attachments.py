"""Attached objects in complete scenes: operators, drivers, loads, held objects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from blender.assets import Assets
from blender.config.profile import Config
from blender.rendering.frame import frame_scene
from tests.conftest import default_scene


def test_poses_have_their_attached_objects(tiny_people: Path) -> None:
    """Pushing and pulling: a truck. Sitting: a forklift. Carrying: a carton. Scanning: a terminal."""
    poses = set()
    for frame in range(60):
        objects = default_scene(tiny_people, frame).objects
        for before, item, after in zip(objects, objects[1:], (*objects[2:], objects[0]), strict=False):
            if item.builder != "pedestrian":
                continue
            pose = item.params["pose"]
            poses.add(pose)
            if pose in ("pushing", "pulling"):
                assert before.builder in {"pallet", "cage", "pallet_truck"}
            if pose == "sitting":
                assert before.builder in {"forklift", "pallet", "cage"} and item.position[2] > 0.2
            held = after.params["thing"] if after.builder == "carried" else ""
            assert held == {"carrying": "carton", "scanning": "terminal"}.get(pose, "")
    assert poses == {"standing", "pushing", "pulling", "carrying", "scanning", "sitting"}


def test_frames_without_labelled_objects_have_no_driver(default_config: Config, assets: Assets) -> None:
    tables = dict(default_config.scene.objects)
    tables["forklift"] = replace(tables["forklift"], count=(2, 2))
    for negatives in (0.0, 1.0):
        scene = replace(default_config.scene, objects=tables, driven=1.0, negatives=negatives)
        config = replace(default_config, scene=scene)
        scenes = [frame_scene(config, assets, frame) for frame in range(12)]
        drivers = [i for spec in scenes for i in spec.objects if i.params.get("pose") == "sitting"]
        assert any(item.builder == "forklift" for spec in scenes for item in spec.objects)
        assert bool(drivers) == (negatives == 0.0)
        assert negatives == 0.0 or not [
            item for spec in scenes for item in spec.objects if item.category in config.classes
        ]
