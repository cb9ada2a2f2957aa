"""Complete scenes: no mesh intersects another, and no mesh is at the camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender.assets import Assets
from blender.config.profile import Config
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

    low, high = shared_box(a, b)
    (vertices, triangles), fixed_part = part_in(a, low, high), part_in(b, low, high)
    fixed = BVHTree.FromPolygons(*(array.tolist() for array in fixed_part))
    for direction in [np.zeros(3), *DIRECTIONS]:
        moved = (vertices + TOLERANCE * direction).tolist()
        if not BVHTree.FromPolygons(moved, triangles.tolist()).overlap(fixed):
            return False
    return True


def shared_box(a: SceneObject, b: SceneObject) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper corner of the space that both bounding boxes cover."""
    return np.maximum(a.vertices.min(0), b.vertices.min(0)), np.minimum(a.vertices.max(0), b.vertices.max(0))


def overlapping_boxes(items: list[SceneObject]) -> list[tuple[SceneObject, SceneObject]]:
    """The pairs of objects whose bounding boxes overlap by more than TOLERANCE."""
    low = np.array([item.vertices.min(0) for item in items])
    high = np.array([item.vertices.max(0) for item in items])
    depth = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    first, second = np.nonzero(np.triu((depth > TOLERANCE).all(2), 1))
    return [(items[i], items[j]) for i, j in zip(first.tolist(), second.tolist(), strict=True)]


def part_in(item: SceneObject, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices (V, 3) and triangles (T, 3) near a box: no other triangle can collide in it."""
    corners = item.vertices[item.triangles]
    near = (corners.max(1) >= low - 2 * TOLERANCE) & (corners.min(1) <= high + 2 * TOLERANCE)
    used, triangles = np.unique(item.triangles[near.all(1)], return_inverse=True)
    return item.vertices[used], triangles.reshape(-1, 3)


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
        for item in placed:
            distance = np.abs(item.vertices - spec.camera.position).max(1).min()
            assert distance > 0.1, (frame, item.spec.builder, "at the camera")
        for first, second in overlapping_boxes(placed):
            if not holds_tiller(first, second):
                assert not collide(first, second), (frame, spec.layout, name_of(first), name_of(second))


def test_no_mesh_intersects_another(tiny_people: Path, default_config: Config, assets: Assets) -> None:
    check_scenes(range(3), tiny_people, default_config, assets)


@pytest.mark.slow
def test_no_mesh_intersects_another_in_many_scenes(
    tiny_people: Path, default_config: Config, assets: Assets
) -> None:
    check_scenes(range(3, 80), tiny_people, default_config, assets)
