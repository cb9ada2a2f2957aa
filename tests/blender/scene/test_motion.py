"""Clips: frames of one scene in which people and vehicles move on straight, free ways."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.clip import ClipConfig
from blender.config.profile import Config, load_config
from blender.kinds import find_kind
from blender.rendering.frame import frame_clip, frame_scene
from blender.scene.free_space import corners_of, overlap
from blender.scene.plan import CAMERA_FOOTPRINT
from blender.spec import ObjectSpec, SceneSpec
from tests.conftest import ROOT

LENGTH = 16
"""Frames of a clip."""


def with_clips(config: Config, **changes: object) -> Config:
    """Return the default profile with clips, full of people and operated trucks."""
    clip = ClipConfig(frames=LENGTH, walking=(1.0, 1.2), driving=(0.8, 1.4), **changes)  # type: ignore[arg-type]
    people = replace(config.scene.objects["pedestrian"], frames=1.0, count=(2, 4), parked=0.0)
    trucks = replace(config.scene.objects["pallet_truck"], frames=1.0, count=(1, 3), parked=0.2)
    objects = config.scene.objects | {"pedestrian": people, "pallet_truck": trucks}
    scene = replace(config.scene, clip=clip, objects=objects, operated=0.8, driven=0.8, negatives=0.0)
    return replace(config, scene=scene)


def shifts(before: SceneSpec, after: SceneSpec) -> list[float]:
    """Return how far each object moves between two scenes, metres."""
    pairs = zip(before.objects, after.objects, strict=True)
    return [float(np.linalg.norm(np.subtract(b.position, a.position))) for a, b in pairs]


def clip(config: Config, assets: Assets, number: int) -> list[SceneSpec]:
    return [frame_scene(config, assets, number * LENGTH + frame) for frame in range(LENGTH)]


@pytest.fixture(scope="module")
def clips(default_config: Config, assets: Assets) -> list[list[SceneSpec]]:
    config = with_clips(default_config, moving_camera=1.0)
    return [clip(config, assets, number) for number in range(3)]


def test_frames_of_a_clip_show_one_scene(clips: list[list[SceneSpec]]) -> None:
    for scenes in clips:
        first = scenes[0]
        for scene in scenes[1:]:
            assert [(o.builder, o.params, o.category) for o in scene.objects] == [
                (o.builder, o.params, o.category) for o in first.objects
            ], "the same objects in the same order, so the same ids"
            assert [o.yaw for o in scene.objects] == [o.yaw for o in first.objects]
            same = replace(scene, objects=first.objects, camera=first.camera)
            assert same == first, "lamps and sensor stay"
    assert len({scenes[0].layout + str(scenes[0].lamps) for scenes in clips}) == 3


def test_objects_move_at_their_speed_until_they_stand(clips: list[list[SceneSpec]]) -> None:
    moving = 0
    for scenes in clips:
        steps = np.array([shifts(a, b) for a, b in itertools.pairwise(scenes)])
        for index, item in enumerate(scenes[0].objects):
            own = steps[:, index]
            if own[0] == 0:
                assert not own.any(), "what stands in the first step never moves"
                continue
            moving += 1
            stops = np.flatnonzero(own < own[0] - 3e-4)
            end = stops[0] if len(stops) else len(own)
            assert own[:end] == pytest.approx(own[0], abs=3e-4), "one speed"
            assert not own[end + 1 :].any(), "after its way it stands"
            assert item.builder in ("pedestrian", "carried", "pallet_truck", "pallet", "cage", "forklift")
            if item.builder == "pedestrian" and item.params["pose"] in ("walking", "carrying"):
                assert 1.0 / 8 - 3e-4 <= own[0] <= 1.4 / 8 + 3e-4
    assert moving >= 6


def test_nothing_collides_at_any_time(clips: list[list[SceneSpec]], assets: Assets) -> None:
    def floor(item: ObjectSpec) -> np.ndarray:
        return corners_of(find_kind(item.builder).footprint(item.params, assets), item.position, item.yaw)

    for scenes in clips:
        moved = [index for index, shift in enumerate(shifts(scenes[0], scenes[-1])) if shift]
        before = {
            (a, b)
            for a in moved
            for b in range(1, len(scenes[0].objects))
            if overlap(floor(scenes[0].objects[a]), floor(scenes[0].objects[b])) > 0
        }  # a truck and its load or its operator
        for scene in scenes[::4]:
            floors = [floor(item) for item in scene.objects[1:]]
            camera = corners_of(CAMERA_FOOTPRINT, scene.camera.position, scene.camera.yaw)
            for a in moved:
                assert overlap(floors[a - 1], camera) <= 0
                for b in range(1, len(scene.objects)):
                    if a != b and (a, b) not in before and scene.objects[b].position[2] < 1:
                        assert overlap(floors[a - 1], floors[b - 1]) <= 0, (
                            scene.objects[a].builder,
                            scene.objects[b].builder,
                        )


def test_a_vehicles_camera_moves_along_the_hall_and_others_stand(clips: list[list[SceneSpec]]) -> None:
    for scenes in clips:
        path = np.array([scene.camera.position for scene in scenes])
        assert (np.diff(path[:, 0]) >= 0).all() and not np.ptp(path[:, 1:], axis=0).any()
        if scenes[0].camera.mount != "vehicle":
            assert not np.ptp(path)
    assert any(scenes[-1].camera.position[0] > scenes[0].camera.position[0] + 0.5 for scenes in clips)


def test_profiles_without_clips_keep_their_scenes_and_fingerprints(
    default_config: Config, assets: Assets
) -> None:
    config = with_clips(default_config)
    assert frame_clip(default_config, 20) is None
    place = frame_clip(config, 20)
    assert place is not None and (place.number, place.frame, place.rate) == (1, 4, 8)
    assert place.track_id(5) == 65536 + 5
    still = replace(config, scene=replace(config.scene, clip=ClipConfig()))
    first, scene = frame_scene(config, assets, LENGTH), frame_scene(still, assets, LENGTH)
    assert [(o.builder, o.params) for o in first.objects] == [(o.builder, o.params) for o in scene.objects]
    changed = replace(still, scene=replace(still.scene, clip=ClipConfig(walking=(2.0, 2.0))))
    assert changed.fingerprint("4.5", "") == still.fingerprint("4.5", "") != config.fingerprint("4.5", "")


def test_shipped_clips_have_moving_people_and_trucks(assets: Assets) -> None:
    config = load_config(ROOT / "assets/profiles/clips.toml", "clips")
    assert config.frames == 8 * config.scene.clip.frames == 320
    assert config.render.width <= 480 and config.render.height <= 360
    moving: set[str] = set()
    for first in range(0, 320, 40):
        scenes = [frame_scene(config, assets, first + frame) for frame in (0, 4)]
        steps = zip(scenes[0].objects, shifts(*scenes), strict=True)
        moving |= {item.builder for item, shift in steps if shift}
    assert {"pedestrian", "pallet_truck"} <= moving
