"""Placement rules in complete scenes: racks, reaching people, clear views, objects in the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config
from blender.geometry import lens
from blender.kinds import find_kind
from blender.objects import pallet_truck, pedestrian, rack
from blender.rendering.frame import frame_scene
from blender.scene.free_space import Corners, corners_of, overlap
from blender.scene.placement import move_to
from blender.spec import ObjectSpec
from tests.conftest import default_scene
from tests.helpers.footprints import floor_of


def test_moving_a_group_keeps_its_arrangement() -> None:
    attached = ObjectSpec("pallet", {}, (1.0, 0.0, 0.2), 0.5)
    moved = move_to(attached, (3.0, 4.0, 0.0), np.pi / 2)
    assert moved.position == (3.0, 5.0, 0.2)
    assert moved.yaw == pytest.approx(0.5 + np.pi / 2, abs=1e-5)


def test_people_who_reach_have_their_fingers_at_a_rack(default_config: Config, assets: Assets) -> None:
    holding = ("carrying", "scanning")  # the tiny profile has no pose "reaching"
    people = tuple(
        {**body, "pose": "reaching" if body["pose"] in holding else body["pose"]} for body in assets.people
    )
    gaps = []
    for frame in range(60):
        objects = frame_scene(default_config, replace(assets, people=people), frame).objects
        racks = [
            corners_of(rack.footprint(item.params, assets), item.position, item.yaw)
            for item in objects
            if item.builder == "rack"
        ]
        for person in (item for item in objects if racks and item.params.get("pose") == "reaching"):
            x0, x1, _, _ = pedestrian.footprint(person.params, assets)
            fingers = corners_of((x1 - 0.02, x1, -0.2, 0.2), person.position, person.yaw)
            back = corners_of((x0, x0 + 0.02, -0.2, 0.2), person.position, person.yaw)
            gaps.append(min(-overlap(fingers, corners) for corners in racks))
            assert gaps[-1] < min(-overlap(back, corners) for corners in racks)
    assert len(gaps) >= 8
    assert np.median(gaps) < 0.12 and np.mean(np.array(gaps) < 0.25) > 0.9


def test_some_parked_trucks_have_their_forks_in_an_open_bay(tiny_people: Path, assets: Assets) -> None:
    inserted = 0
    for frame in range(60):
        objects = default_scene(tiny_people, frame).objects
        bays = [
            corners_of(bay, item.position, item.yaw)
            for item in objects
            if item.builder == "rack"
            for bay in rack.open_bays(item.params)
        ]
        for truck in (item for item in objects if item.builder == "pallet_truck"):
            x0, x1, y0, y1 = pallet_truck.footprint(truck.params, assets)
            forks = corners_of((0.5, x1, y0, y1), truck.position, truck.yaw)
            tiller = corners_of((x0, 0.2, y0, y1), truck.position, truck.yaw)
            if any(overlap(forks, bay) > 0.1 for bay in bays):
                inserted += 1
                assert all(overlap(tiller, bay) < 0.0 for bay in bays)
    assert inserted >= 3


def hidden_shares(config: Config, assets: Assets, frames: int) -> list[float]:
    """Return the share of each truck's outline that other objects hide from a camera below 2 m."""
    shares = []
    for frame in range(frames):
        spec = frame_scene(config, assets, frame)
        if spec.camera.position[2] > 2.0:
            continue
        eye = np.array(spec.camera.position[:2])
        floor = [(item, corners) for item in spec.objects[1:] for corners in floor_of(item, assets)]
        for truck, corners in floor:
            if truck.builder != "pallet_truck" or truck.category == "":
                continue
            middle = corners.mean(0)
            group = [truck, *attached_to(truck, spec.objects)]
            others = [
                other
                for item, other in floor
                if not any(item is member for member in group)
                and np.linalg.norm(other.mean(0) - middle) > 1.3
            ]  # trucks of the same row are nearer
            lines = [
                eye + np.linspace(0.0, 0.97, 200)[:, None] * (0.9 * corner + 0.1 * middle - eye)
                for corner in corners
            ]
            hidden = [any(inside(line, other).any() for other in others) for line in lines]
            shares.append(float(np.mean(hidden)))
    return shares


def attached_to(truck: ObjectSpec, objects: tuple[ObjectSpec, ...]) -> list[ObjectSpec]:
    """Return a truck's load and operator, which follow it in the list of objects."""
    place = next(i for i, item in enumerate(objects) if item is truck)
    load = list(objects[place + 1 : place + 2]) if truck.params.get("loaded") else []
    following = objects[place + 1 + len(load) : place + 2 + len(load)]
    return load + [item for item in following if item.params.get("pose") in pedestrian.AT_TILLER]


def inside(points: np.ndarray, corners: Corners) -> np.ndarray:
    """Return which points (N, 2) lie in a convex quadrilateral (4, 2)."""
    edges = np.roll(corners, -1, 0) - corners
    to = points[:, None] - corners
    turns = edges[:, 0] * to[..., 1] - edges[:, 1] * to[..., 0]
    return (turns > 0).all(1) | (turns < 0).all(1)


def only_table(config: Config, key: str, **changes: object) -> Config:
    """Return a configuration with one table of objects, whose keys are changed, and no goods."""
    objects = {key: replace(config.scene.objects[key], frames=1.0, **changes)}  # type: ignore[arg-type]
    stores = replace(config.scene.stores, halls=0.0)
    scene = replace(
        config.scene, objects=objects, stores=stores, negatives=0.0, loaded=0.0, layouts={"packing": 1.0}
    )
    mounts = {"vehicle": config.scene.camera.mounts["vehicle"]}
    return replace(config, scene=replace(scene, camera=replace(scene.camera, mounts=mounts)))


@pytest.mark.parametrize("key", ["pallet_truck_near", "pedestrian_near"])
def test_objects_that_are_cut_off_are_near_and_partly_in_the_image(
    key: str, default_config: Config, assets: Assets
) -> None:
    config = only_table(default_config, key, cut=1.0, count=(1, 1))
    width, height = config.render.width, config.render.height
    shares, distances = [], []
    for frame in range(12):
        spec = frame_scene(config, assets, frame)
        for item in (item for item in spec.objects if item.builder == config.scene.objects[key].builder):
            if item.params.get("pose") in pedestrian.AT_TILLER and "truck" in key:
                continue  # the truck's operator
            parts = find_kind(item.builder).build(item.params, assets)
            vertices = np.concatenate([part.vertices for part in parts])
            c, s = np.cos(item.yaw), np.sin(item.yaw)
            world = vertices @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + np.asarray(item.position)
            pixels, depth = lens.project(world, spec.camera, width, height)
            inside = (depth > 0) & (pixels >= 0).all(1) & (pixels <= [width, height]).all(1)
            shares.append(inside.mean())
            distances.append(np.hypot(*np.subtract(item.position[:2], spec.camera.position[:2])))
    cut = np.array(shares)
    assert len(cut) >= 7 and np.mean(cut < 1) > 0.8 and np.mean(cut > 0.02) > 0.8, cut
    near, far = config.scene.objects[key].distance
    assert near - 0.01 <= min(distances) and max(distances) <= far + 0.01


def test_key_aligned_turns_objects_in_the_open_along_or_across_the_hall(
    default_config: Config, assets: Assets
) -> None:
    def deviations(aligned: float) -> list[float]:
        changes = {"aligned": aligned, "count": (3, 3), "parked": 0.0, "beside": 0.0, "cut": 0.0}
        config = only_table(default_config, "cages", **changes)
        frames = (frame_scene(config, assets, frame).objects for frame in range(12))
        yaws = [item.yaw for objects in frames for item in objects if item.builder == "cage"]
        return [abs((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4) for yaw in yaws]

    turned, free = deviations(1.0), deviations(0.0)
    assert len(turned) >= 12 and max(turned) < 0.35, "within four standard deviations"
    assert max(free) > 0.6, "any heading"


def test_key_beside_puts_objects_close_to_labelled_ones(default_config: Config, assets: Assets) -> None:
    def gaps(beside: float) -> list[float]:
        changed = only_table(default_config, "pallet_truck", count=(1, 1), clear=0.0)
        cages = replace(default_config.scene.objects["cages"], beside=beside, count=(1, 1), cut=0.0)
        scene = replace(changed.scene, objects={**changed.scene.objects, "cages": cages}, operated=0.0)
        least = []
        for frame in range(15):
            objects = frame_scene(replace(changed, scene=scene), assets, frame).objects
            trucks = [c for o in objects if o.category == "pallet_truck" for c in floor_of(o, assets)]
            boxes = [c for item in objects if item.builder == "cage" for c in floor_of(item, assets)]
            least += [-overlap(box, truck) for box in boxes for truck in trucks[:1]]
        return least

    assert np.median(gaps(1.0)) < 0.4 < np.median(gaps(0.0))


@pytest.mark.slow
def test_key_clear_reduces_the_occlusion_of_trucks(default_config: Config, assets: Assets) -> None:
    def shares(clear: float) -> list[float]:
        truck = replace(default_config.scene.objects["pallet_truck"], clear=clear)
        scene = replace(default_config.scene, objects={**default_config.scene.objects, "pallet_truck": truck})
        return hidden_shares(replace(default_config, scene=scene), assets, 40)

    without, with_clear = shares(0.0), shares(1.0)
    assert np.mean(with_clear) < 0.3 * np.mean(without)
    assert len(with_clear) > 0.85 * len(without)


@pytest.mark.parametrize("mount", ["vehicle", "hand", "overhead"])
@pytest.mark.parametrize("name", ["perspective", "equisolid"])
def test_labelled_objects_are_placed_in_the_image(
    mount: str, name: str, default_config: Config, assets: Assets
) -> None:
    camera = default_config.scene.camera
    camera = replace(camera, lenses={name: camera.lenses[name]}, mounts={mount: camera.mounts[mount]})
    objects = {
        key: replace(table, frames=float(not table.cut))
        for key, table in default_config.scene.objects.items()
    }
    scene = replace(default_config.scene, camera=camera, negatives=0.0, objects=objects)
    config = replace(default_config, scene=scene)
    width, height = config.render.width, config.render.height
    in_image, trucks = [], 0
    for frame in range(15):
        spec = frame_scene(config, assets, frame)
        for item in spec.objects:
            if item.category:
                middle = np.asarray(item.position) + np.array([0, 0, 1.0])
                pixels, depth = lens.project(middle[None], spec.camera, width, height)
                in_image.append(depth[0] > 0 and (np.abs(pixels[0] / [width, height] - 0.5) < 0.6).all())
                trucks += item.category == "pallet_truck"
    assert np.mean(in_image) > 0.85, "operators and rows may stand a little outside"
    assert trucks >= 9
