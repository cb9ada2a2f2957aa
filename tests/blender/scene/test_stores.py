"""Stored goods along free walls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from blender.assets import Assets
from blender.config.profile import Config
from blender.kinds import find_kind
from blender.objects import hall
from blender.rendering.frame import frame_scene
from blender.scene.free_space import corners_of, overlap


def with_share_of_halls(config: Config, share: float) -> Config:
    stores = replace(config.scene.stores, halls=share)
    return replace(config, scene=replace(config.scene, stores=stores))


def test_stores_fill_free_walls_and_change_nothing_else(default_config: Config, assets: Assets) -> None:
    near = default_config.scene.stores.near
    none, all_halls = with_share_of_halls(default_config, 0.0), with_share_of_halls(default_config, 1.0)
    added, repeated, doors = 0, 0, 0
    for frame in range(24):
        without, spec = frame_scene(none, assets, frame), frame_scene(all_halls, assets, frame)
        count = len(without.objects)
        assert spec == replace(without, objects=spec.objects) and spec.objects[:count] == without.objects
        goods = spec.objects[count:]
        added += len(goods)
        repeated += len(goods) - len({(item.builder, str(item.params)) for item in goods})
        building = spec.objects[0].params
        doorways = [corners_of(area) for area in hall.entrances(building)]
        doors += len(doorways)
        for item in goods:
            assert item.builder in ("pallet", "cage", "clutter")
            assert item.category not in default_config.classes
            distance = np.subtract(item.position[:2], spec.camera.position[:2])
            assert np.linalg.norm(distance) >= near
            shape = find_kind(item.builder).footprint(item.params, assets)
            corners = corners_of(shape, item.position, item.yaw)
            to_end = building["length"] - corners[:, 0].max()
            to_side = building["width"] / 2 - np.abs(corners[:, 1]).max()
            wide = max(np.ptp(shape[:2]), np.ptp(shape[2:]))
            assert min(to_end, to_side) < 0.7 + wide, "in one of two rows at a wall"
            assert all(overlap(corners, doorway) <= 0 for doorway in doorways)
    assert added > 200 and repeated > 0.4 * added and doors > 30
