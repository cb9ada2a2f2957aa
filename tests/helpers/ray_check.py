"""Compare rendered masks, depths and normals with rays cast from the camera in a frame's record.

``python -m tests.helpers.ray_check PROFILE PEOPLE LENS FRAMES`` prints the errors of each frame as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender.assets import Assets, load_assets
from blender.config.profile import Config, load_config
from blender.geometry.lens import intrinsics, project
from blender.rendering import passes
from blender.rendering.builder import build_scene
from blender.rendering.device import Device, use_device
from blender.rendering.frame import frame_scene


def angle_of(radius: np.ndarray, camera: dict[str, Any]) -> np.ndarray:
    """Return the off-axis angle, radians, of image radii in focal lengths, by each projection's formula."""
    if camera["lens"] == "perspective":
        return np.arctan(radius)
    if camera["lens"] == "equisolid":
        return 2 * np.arcsin(radius / 2)
    return sum(c * radius**power for power, c in enumerate(camera["polynomial"], 1))


def directions(camera: dict[str, Any], width: int, height: int) -> np.ndarray:
    """Return the directions of the rays through the pixel centres in the hall's frame, (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    u, v = (x - camera["cx"]) / camera["fx"], -(y - camera["cy"]) / camera["fy"]
    radius = np.maximum(np.hypot(u, v), 1e-9)
    angle = angle_of(radius, camera)
    local = np.stack([np.cos(angle), -u / radius * np.sin(angle), v / radius * np.sin(angle)], -1)
    return to_hall(local, camera)


def to_hall(local: np.ndarray, camera: dict[str, Any]) -> np.ndarray:
    """Rotate directions (..., 3) from the camera's frame (x ahead, y left, z up) to the hall's frame.

    Roll about the viewing direction comes first, then pitch upwards, then yaw to the left.
    """
    local = local.copy()
    for (i, j), turn in (((1, 2), -camera["roll"]), ((2, 0), -camera["pitch"]), ((0, 1), camera["yaw"])):
        c, s = np.cos(turn), np.sin(turn)
        local[..., i], local[..., j] = (
            c * local[..., i] - s * local[..., j],
            s * local[..., i] + c * local[..., j],
        )
    return local


def check(config: Config, assets: Assets, frame: int, scratch: Path) -> dict[str, float]:
    """Render a frame's passes and compare each pixel with Blender's ``ray_cast``."""
    spec = frame_scene(config, assets, frame)
    placed = build_scene(spec, config, assets)
    use_device(Device("CPU"), 1)
    ids, distance = passes.render_ids(scratch)
    height, width = ids.shape
    record = intrinsics(spec.camera, width, height)
    rays = directions(record, width, height)
    files = passes.render_arrays(("depth", "normals"), scratch, distance, distance, spec.camera)
    depths, normals = (np.load(io.BytesIO(files[name])).astype(float) for name in ("depth", "normals"))
    facing = to_hall(np.stack([normals[..., 2], -normals[..., 0], -normals[..., 1]], -1), record)
    facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-9)
    ids_by_name = {item.object.name: item.object.pass_index for item in placed}
    scene, graph = bpy.context.scene, bpy.context.evaluated_depsgraph_get()
    wrong, hits, depth_errors, cosines = 0, [], [], []
    for y, x in np.ndindex(height, width):
        hit, at, normal, _, item, _ = scene.ray_cast(graph, spec.camera.position, rays[y, x].tolist())
        wrong += int(ids[y, x]) != (ids_by_name[item.name] if hit else 0)
        if hit:
            hits.append((x + 0.5, y + 0.5, *at))
            depth_errors.append(abs(np.linalg.norm(np.array(at) - spec.camera.position) - depths[y, x]))
            # A face has two sides; the array holds the normal of the side that faces the camera.
            cosines.append(abs(facing[y, x] @ np.array(normal)))
            assert facing[y, x] @ rays[y, x] < 0.01
    table = np.array(hits)
    pixels, depth = project(table[:, 2:], spec.camera, width, height)
    return {
        "pixels": ids.size,
        "labelled": int((ids > 0).sum()),
        "wrong_ids": wrong,
        "share_ahead": float((depth > 0).mean()),
        "projection_error": float(np.abs(pixels - table[:, :2]).max()),
        "depth_error": float(np.quantile(depth_errors, 0.999)),
        "share_of_wrong_normals": float(np.mean(np.array(cosines) < np.cos(np.radians(0.5)))),
        "normal_length_error": float(np.abs(np.linalg.norm(normals, axis=-1) - 1).max()),
    }


def main() -> None:
    """Check the first frames of a profile with a single lens; print the errors as JSON."""
    profile, people, lens, frames = sys.argv[1:]
    config, assets = load_config(Path(profile), "train"), load_assets(Path(people))
    assert set(config.scene.camera.lenses) == {lens}
    with tempfile.TemporaryDirectory() as scratch:
        results = [check(config, assets, frame, Path(scratch)) for frame in range(int(frames))]
    print("\nRESULT " + json.dumps(results))


if __name__ == "__main__":
    main()
