"""Render single objects and return their ground truth: ids, amodal masks and instance records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from blender.assets import Assets
from blender.config.profile import Config
from blender.contract import Instance
from blender.kinds import find_kind
from blender.rendering import passes
from blender.rendering.amodal import amodal_mask
from blender.rendering.builder import SceneObject, build_scene
from blender.rendering.device import Device, use_device
from blender.rendering.instance_records import instance_records
from blender.spec import CameraSpec, ObjectSpec, SceneSpec
from tests.helpers.assets import NO_ASSETS
from tests.helpers.painter import CAMERA, Solid, paint_with_certainty, solid


def render_ground_truth(
    objects: list[ObjectSpec], config: Config, assets: Assets, scratch: Path, camera: CameraSpec = CAMERA
) -> tuple[np.ndarray, dict[int, np.ndarray], tuple[Instance, ...]]:
    """Build objects without a hall and render them.

    Returns:
        The instance ids (H, W), the amodal mask (H, W) of each id, and the instance records.
    """
    placed, ids = render_ids(objects, config, assets, scratch, camera)
    # Blender's rays deviate from the pixel centres by up to 0.005 pixels, so the two can differ at an edge.
    amodal = {number: mask | (ids == number) for number, mask in amodal_masks(placed, camera, ids).items()}
    return ids, amodal, instance_records(placed, ids, camera, assets, boxes3d=True)


def amodal_masks(placed: list[SceneObject], camera: CameraSpec, ids: np.ndarray) -> dict[int, np.ndarray]:
    """Compute the amodal mask of each instance without its visible pixels, which only save time."""
    nothing = np.zeros(ids.shape, bool)
    return {
        item.object.pass_index: amodal_mask(item.vertices, item.triangles, camera, nothing)
        for item in placed
        if item.spec.category
    }


def render_ids(
    objects: list[ObjectSpec], config: Config, assets: Assets, scratch: Path, camera: CameraSpec
) -> tuple[list[SceneObject], np.ndarray]:
    """Build objects without a hall; return the scene's objects and the instance ids (H, W)."""
    spec = SceneSpec("test", tuple(objects), camera, (), 4000.0, 0.1, "none")
    placed = build_scene(spec, config, assets)
    use_device(Device("CPU"), 1)
    return placed, passes.render_ids(scratch)[0]


def assert_painted(ids: np.ndarray, solids: list[Solid], edges: float) -> None:
    """Check that the rendered ids equal the painted ids, except for pixels at edges.

    Args:
        ids: (H, W) the rendered ids.
        solids: the objects to paint.
        edges: maximum number of pixels at edges, as a share of the objects' pixels.
    """
    owners, certain = paint_with_certainty(solids)
    assert (ids == owners)[certain].all()
    assert (~certain).sum() <= edges * (owners > 0).sum()


def person(assets: Assets, x: float, y: float = 0.0, yaw: float = np.pi) -> ObjectSpec:
    """Return a standing person who, by default, faces the camera."""
    module = find_kind("pedestrian")
    params = module.sample(module.Ranges(poses=("standing",)), np.random.default_rng(1), assets)
    return ObjectSpec("pedestrian", params, (x, y, 0.0), yaw, "pedestrian")


def truck(ranges: Any, position: tuple[float, float, float], yaw: float) -> ObjectSpec:
    """Return a pallet truck with a lowered tiller and without stickers."""
    params = find_kind("pallet_truck").sample(ranges, np.random.default_rng(3), NO_ASSETS)
    params |= {"tiller_angle": 0.1, "tiller_turn": 0.0, "lift": 0.1, "stickers": 0}
    return ObjectSpec("pallet_truck", params, position, yaw, "pallet_truck")


def solid_of(owner: int, item: ObjectSpec, assets: Assets) -> Solid:
    """Return the triangles of an object for the painter."""
    return solid(owner, find_kind(item.builder).build(item.params, assets), item.position, item.yaw)
