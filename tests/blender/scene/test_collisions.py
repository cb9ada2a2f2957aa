"""Complete scenes: no mesh intersects another, and no mesh is at the camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.run import Config
from blender.rendering.builder import SceneObject, build_scene
from tests.conftest import default_scene

DIRECTIONS = [
    np.array(d) / np.linalg.norm(d)
    for d in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1),
              (1, 1, 0), (-1, -1, 0), (1, -1, 0), (-1, 1, 0))
]  # fmt: skip
TOLERANCE = 0.02
"""Two meshes do not collide if moving one of them so far in some direction, metres, parts them."""


def collide(a: SceneObject, b: SceneObject) -> bool:
    """Return whether two meshes overlap by more than TOLERANCE."""
    from mathutils.bvhtree import BVHTree

    fixed = BVHTree.FromPolygons(b.vertices.tolist(), b.triangles.tolist())
    for direction in [np.zeros(3), *DIRECTIONS]:
        vertices = (a.vertices + TOLERANCE * direction).tolist()
        if not BVHTree.FromPolygons(vertices, a.triangles.tolist()).overlap(fixed):
            return False
    return True


def boxes_overlap(a: SceneObject, b: SceneObject) -> bool:
    low = np.maximum(a.vertices.min(0), b.vertices.min(0))
    high = np.minimum(a.vertices.max(0), b.vertices.max(0))
    return bool((high - low > TOLERANCE).all())


def holds_tiller(a: SceneObject, b: SceneObject) -> bool:
    """Return whether an object operates the other: its hand closes around the tiller."""
    people = [item.spec for item in (a, b) if item.spec.builder == "pedestrian"]
    trucks = [item.spec for item in (a, b) if item.spec.builder == "pallet_truck"]
    return bool(people and trucks) and people[0].params["pose"] in ("pushing", "pulling")


def name_of(item: SceneObject) -> tuple[str, str]:
    return item.spec.builder, str(item.spec.params.get("variant", item.spec.params.get("load", "")))


def check_scenes(frames: range, people: Path, config: Config, assets: Assets) -> None:
    for frame in frames:
        spec = default_scene(people, frame)
        placed = build_scene(spec, config, assets)
        for number, first in enumerate(placed):
            distance = np.abs(first.vertices - spec.camera.position).max(1).min()
            assert distance > 0.1, (frame, first.spec.builder, "at the camera")
            for second in placed[number + 1 :]:
                if boxes_overlap(first, second) and not holds_tiller(first, second):
                    assert not collide(first, second), (frame, spec.layout, name_of(first), name_of(second))


def test_no_mesh_intersects_another(tiny_people: Path, default_config: Config, assets: Assets) -> None:
    check_scenes(range(5), tiny_people, default_config, assets)


@pytest.mark.slow
def test_no_mesh_intersects_another_in_many_scenes(
    tiny_people: Path, default_config: Config, assets: Assets
) -> None:
    check_scenes(range(5, 80), tiny_people, default_config, assets)
