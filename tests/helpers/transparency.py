"""Models with transparent parts, and renders of them in front of an evenly bright background."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

from blender.config.profile import Config
from blender.contract import Instance
from blender.rendering import passes
from blender.rendering.builder import build_scene
from blender.rendering.device import Device, use_device
from blender.rendering.instance_records import instance_records
from blender.spec import ObjectSpec, SceneSpec
from tests.helpers.assets import model_assets
from tests.helpers.painter import CAMERA, EYE

WIDTH, HEIGHT, PIXEL, FAR = 60, 50, 0.2, 10.0
"""Size of the image in pixels, size of a pixel in metres at the distance of the models, that distance."""
AMBIENT = 0.1
"""Radiance of everything behind the models."""


@dataclass(frozen=True)
class Shown:
    """What the image and the labels say of the same scene."""

    opacity: np.ndarray
    """(H, W) what the image lacks of the background: 0 where it is seen, 1 where black surfaces hide it."""
    ids: np.ndarray
    """(H, W) instance ids."""
    distance: np.ndarray
    """(H, W) metres."""
    instances: tuple[Instance, ...]


def show(objects: list[ObjectSpec], config: Config, folder: Path, samples: int = 1) -> Shown:
    """Render model files of a folder with one ray, or several, through each pixel centre.

    Args:
        objects: the objects; their files are in ``folder``.
        config: any configuration; the image's size is replaced.
        folder: folder of the files, and for temporary files.
        samples: rays per pixel. Where the opacity is 0 or 1, one is enough.
    """
    assets = model_assets(folder, sorted({item.params["file"] for item in objects}))
    spec = SceneSpec("test", tuple(objects), CAMERA, (), 4000.0, AMBIENT, "none")
    placed = build_scene(spec, config, assets)
    use_device(Device("CPU"), 1)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    cycles = scene.cycles
    cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = samples, False, False
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    opacity = 1 - passes.render_rgb(folder).mean(-1) / AMBIENT
    ids, distance = passes.render_ids(folder)
    alone = passes.render_alone([item.object for item in placed if item.spec.category], folder)
    return Shown(opacity, ids, distance, instance_records(placed, ids, CAMERA, assets, True, alone))


def plate(file: str, size: float = 40, at: tuple[float, float] = (0, 0), nearer: float = 0.0) -> ObjectSpec:
    """Return a model that is an upright square of one metre, facing +y, as a square of ``size`` pixels.

    Args:
        file: the model's file.
        size: width and height in pixels.
        at: centre of the square, in pixels to the right of and above the image's centre.
        nearer: metres towards the camera; the square keeps its size in pixels.
    """
    pixel = PIXEL * (FAR - nearer) / FAR
    place = (FAR - nearer, -at[0] * pixel, EYE + (at[1] - size / 2) * pixel)
    params = {"file": file, "scale": size * pixel, "turn": -np.pi / 2}
    return ObjectSpec("model", params, place, 0.0, "plate")


def write_gltf(
    path: Path, material: dict[str, Any], rgba: np.ndarray | None = None, colours: np.ndarray | None = None
) -> None:
    """Write a black square of one metre.

    Args:
        path: the .gltf file.
        material: the glTF material.
        rgba: (H, W, 4) uint8, its base colour texture, not interpolated.
        colours: (4, 4) RGBA of the corners: lower left, lower right, upper right, upper left.
    """
    material = dict(material)
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4")
    arrays = {"POSITION": corners, "TEXCOORD_0": np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "<f4")}
    if colours is not None:
        arrays["COLOR_0"] = np.asarray(colours, "<f4")
    data = [np.array([0, 1, 2, 0, 2, 3], "<u2").tobytes(), *(array.tobytes() for array in arrays.values())]
    accessors: list[dict[str, Any]] = [{"bufferView": 0, "componentType": 5123, "count": 6, "type": "SCALAR"}]
    for k, array in enumerate(arrays.values(), 1):
        ends = {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        kind = f"VEC{array.shape[1]}"
        accessors.append({"bufferView": k, "componentType": 5126, "count": 4, "type": kind, **ends})
    matte = {"KHR_materials_specular": {"specularFactor": 0}, **material.pop("extensions", {})}
    surface = {"baseColorFactor": [0, 0, 0, 1], "metallicFactor": 0, "roughnessFactor": 1}
    surface |= material.pop("pbrMetallicRoughness", {})
    primitive = {"attributes": {name: k for k, name in enumerate(arrays, 1)}, "indices": 0, "material": 0}
    table = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{**material, "pbrMetallicRoughness": surface, "extensions": matte}],
        "accessors": accessors,
        "bufferViews": [{"buffer": k, "byteLength": len(part)} for k, part in enumerate(data)],
        "buffers": [
            {"byteLength": len(part), "uri": _uri("application/octet-stream", part)} for part in data
        ],
    }
    if rgba is not None:
        png = io.BytesIO()
        Image.fromarray(rgba).save(png, "PNG")
        surface["baseColorTexture"] = {"index": 0}
        table["images"] = [{"uri": _uri("image/png", png.getvalue())}]
        table |= {"textures": [{"source": 0, "sampler": 0}], "samplers": [{"magFilter": 9728}]}
    path.write_text(json.dumps(table))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
