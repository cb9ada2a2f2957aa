"""Describe the scenes of frames before they are rendered: ``python -m blender.proposals``. No bpy.

For each frame the scene is drawn, and its movable objects are projected. This takes a small part of the time
of a render, so that many frames can be proposed for each one that is rendered. The description has the fields
of a COCO file, as far as they are known without a render: occlusion is not.

The file also has the weights that decide on the scenes, each with its key in the profile.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from blender.assets import Assets, load_assets
from blender.config.capture import LensConfig, MountConfig
from blender.config.profile import Config, load_config
from blender.contract import canonical_json, exit_on_user_error, find_profile, write_atomic
from blender.geometry.lens import NEAR, intrinsics, project
from blender.geometry.mesh import Floats
from blender.geometry.pose import to_world
from blender.kinds import find_kind
from blender.rendering.frame import blender_version, frame_scene, lights_record
from blender.spec import CameraSpec, ObjectSpec, SceneSpec
from blender.workers.progress import Progress


def main() -> None:
    """Write the description of a split's scenes; exit status 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m blender.proposals", description=__doc__)
    parser.add_argument("--profile", type=find_profile, required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--frames", type=int, help="number of frames, from the first; default: all")
    options = parser.parse_args()
    with exit_on_user_error():
        config = load_config(options.profile, options.split)
        assets = load_assets(options.people, config.folder, config.files())
        count = config.frames if options.frames is None else options.frames
        progress = Progress(f"propose {config.split}", count, 0, count == 0)
        write_atomic(options.out, canonical_json(describe_split(config, assets, count, progress)))
        progress.close()


def describe_split(
    config: Config, assets: Assets, count: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Describe the first ``count`` frames of a split, and the weights from which they are drawn.

    Returns:
        ``fingerprint`` of the frames; ``weights`` and ``tables``: see ``weight_tables`` and
        ``count_tables``; ``images``: see ``describe_scene``.
    """
    images = []
    for frame in range(count):
        images.append(describe_scene(frame_scene(config, assets, frame), frame, config, assets))
        if progress is not None:
            progress.advance()
    return {
        "fingerprint": config.fingerprint(blender_version(), assets.digest),
        "weights": list(weight_tables(config)),
        "tables": count_tables(config),
        "images": images,
    }


def describe_scene(spec: SceneSpec, frame: int, config: Config, assets: Assets) -> dict[str, Any]:
    """Describe the scene of one frame.

    Returns:
        ``frame``, ``width``, ``height``, ``layout``, ``camera``, ``lights`` and ``objects``: the movable
        objects in the image, each with ``kind``, ``category``, ``parameters``, ``distance`` in metres,
        ``bbox`` (x, y, w, h in pixels, without occlusion, cut at the image's edge) and ``truncated``.
    """
    size = (config.render.width, config.render.height)
    movable = {table.builder for table in config.scene.objects.values()}
    described = (
        _describe_object(item, spec.camera, size, assets) for item in spec.objects if item.builder in movable
    )
    return {
        "frame": frame,
        "width": size[0],
        "height": size[1],
        "layout": spec.layout,
        "camera": intrinsics(spec.camera, *size),
        "lights": lights_record(spec),
        "objects": [item for item in described if item is not None],
    }


def _describe_object(
    item: ObjectSpec, camera: CameraSpec, size: tuple[int, int], assets: Assets
) -> dict[str, Any] | None:
    """Project an object; None if no part of it is in the image."""
    vertices = to_world(_vertices(item, assets), item)
    pixels, depth = project(vertices, camera, *size)
    ahead = depth > NEAR
    if not ahead.any():
        return None
    low, high = pixels[ahead].min(axis=0), pixels[ahead].max(axis=0)
    left, right = np.clip([low, high], 0, size)
    if not (right - left >= 1).all():
        return None
    distance = np.linalg.norm(vertices - np.asarray(camera.position), axis=1).min()
    return {
        "kind": item.builder,
        "category": item.category,
        "parameters": {"kind": item.builder, **item.params},
        "distance": round(float(distance), 3),
        "bbox": [round(float(value), 2) for value in (*left, *(right - left))],
        "truncated": bool(not ahead.all() or (low < 0).any() or (high > size).any()),
    }


def _vertices(item: ObjectSpec, assets: Assets) -> Floats:
    """Return the vertices (N, 3) of an object in its own frame.

    A kind whose mesh needs bpy is represented by the corners of its box.
    """
    kind = find_kind(item.builder)
    try:
        return np.concatenate([part.vertices for part in kind.build(item.params, assets)])
    except NotImplementedError:
        x0, x1, y0, y1 = kind.footprint(item.params, assets)
        heights = (0.0, kind.height(item.params, assets))
        return np.array([(x, y, z) for x in (x0, x1) for y in (y0, y1) for z in heights])


# ------------------------------------------------------------------------------ weights


def weight_tables(config: Config) -> Iterator[dict[str, Any]]:
    """Yield the weighted choices of a split's scenes that a frame's record names.

    Each has ``factors`` (names that the choice may have in the record), ``category`` (of the objects that
    are drawn from it; empty for choices of the whole scene and of objects that are not labelled), ``kind``
    (of object; empty for the scene) and ``values``: value -> ``key`` (the path of the weight in the profile),
    ``weight`` and, for mounts and lenses, ``others``: the other keys of its table, without which a table is
    incomplete where the profile has none.
    """
    scene = config.scene
    yield _table("layout", scene.layouts, "scene", "layouts")
    yield _table("environment", scene.light.environments, "scene", "light", "environments")
    cameras: tuple[tuple[str, str, Mapping[str, MountConfig | LensConfig]], ...] = (
        ("mount", "mounts", scene.camera.mounts),
        ("lens", "lenses", scene.camera.lenses),
    )
    for factor, name, choices in cameras:
        weights = {key: choice.weight for key, choice in choices.items()}
        table = _table(factor, weights, "scene", "camera", name)
        for value, entry in table["values"].items():
            others = {key: item for key, item in asdict(choices[value]).items() if item is not None}
            entry |= {"key": [*entry["key"], "weight"], "others": others}
        yield table
    for name, objects in scene.objects.items():
        for field, weights in vars(config.ranges[name]).items():
            if _are_weights(weights):
                table = _table(field, weights, "scene", "objects", name, "ranges", field)
                factors = [field, field.removesuffix("s")]  # "variants" are the weights of "variant"
                yield table | {"factors": factors, "category": objects.category, "kind": objects.builder}


def _table(factor: str, weights: Mapping[str, float], *key: str) -> dict[str, Any]:
    values = {value: {"key": [*key, value], "weight": weight} for value, weight in weights.items()}
    return {"factors": [factor], "category": "", "kind": "", "values": values}


def _are_weights(value: Any) -> bool:
    """Return whether a field of a kind's ranges is a table of weights with a choice between values."""
    return (
        isinstance(value, dict)
        and len(value) > 1
        and all(isinstance(weight, int | float) for weight in value.values())
    )


def count_tables(config: Config) -> dict[str, Any]:
    """Return how many objects the tables of [scene.objects] draw that belong to no class.

    Returns:
        Name of the table -> ``kind``, ``frames`` (share of the frames with such objects) and ``count``.
    """
    return {
        name: {"kind": table.builder, "frames": table.frames, "count": list(table.count)}
        for name, table in config.scene.objects.items()
        if not table.category
    }


if __name__ == "__main__":
    main()
