"""Render a built scene: linear RGB, exact instance ids, amodal extents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender.stage import Placed


def render_rgb(scratch: Path) -> np.ndarray:
    """Trace the scene; linear light (H, W, 3) float32, top row first."""
    return render_linear(scratch / "rgb.exr")[..., :3]


def render_ids(scratch: Path) -> tuple[np.ndarray, np.ndarray]:
    """Instance id of each pixel, (H, W) uint16, and the metres to what it shows, (H, W) float32.

    One ray through the pixel's middle, no blending.
    """
    with _id_pass():
        pixels = render_linear(scratch / "ids.exr")
    return _ids(pixels), pixels[..., 1]


def render_amodal(scratch: Path, placed: list[Placed], wanted: list[int]) -> dict[int, np.ndarray]:
    """For each wanted id, the pixels it would cover alone, (H, W) bool."""
    found = {}
    with _id_pass():
        for item in placed:
            item.object.visible_camera = False
        for item in placed:
            number = item.object.pass_index
            if number in wanted:
                item.object.visible_camera = True
                found[number] = _ids(render_linear(scratch / "ids.exr")) == number
                item.object.visible_camera = False
        for item in placed:
            item.object.visible_camera = True
    return found


def _ids(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels[..., 0]).astype(np.uint16)


def render_linear(path: Path) -> np.ndarray:
    """Render to ``path`` and read it back, (H, W, 4) float32.

    Raises:
        OSError: the file is missing or short: Blender reports success on a full disk.
    """
    scene = bpy.context.scene
    scene.render.filepath = str(path)
    path.unlink(missing_ok=True)
    bpy.ops.render.render(write_still=True)
    width, height = scene.render.resolution_x, scene.render.resolution_y
    if not path.is_file() or path.stat().st_size < width * height * 4 * 3:
        raise OSError(28, "Blender could not write its image whole; is the disk full?", str(path))
    image = bpy.data.images.load(str(path), check_existing=False)
    try:
        image.colorspace_settings.name = "Non-Color"
        if tuple(image.size) != (width, height):
            raise OSError(5, "Blender's image cannot be read back", str(path))
        pixels = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]


@contextmanager
def _id_pass() -> Iterator[None]:
    """Every surface emits its object's pass_index and its distance; one sample a pixel, in its middle."""
    scene, layer = bpy.context.scene, bpy.context.view_layer
    cycles = scene.cycles
    settings = {
        (cycles, "samples"): 1,
        (cycles, "use_adaptive_sampling"): False,
        (cycles, "use_denoising"): False,
        (cycles, "pixel_filter_type"): "BOX",
        (cycles, "filter_width"): 0.01,
        (cycles, "max_bounces"): 0,
        (cycles, "sample_clamp_direct"): 0.0,
        (scene.render, "dither_intensity"): 0.0,
        (scene.render, "use_motion_blur"): False,
        (layer, "material_override"): _id_material(),
    }
    before = {key: getattr(*key) for key in settings}
    lamps = [o for o in scene.objects if o.type == "LIGHT"]
    background = scene.world.node_tree.nodes["Background"].inputs["Strength"]
    ambient = background.default_value
    for (owner, name), value in settings.items():
        setattr(owner, name, value)
    for lamp in lamps:
        lamp.visible_camera = False
    background.default_value = 0.0
    try:
        yield
    finally:
        for (owner, name), value in before.items():
            setattr(owner, name, value)
        for lamp in lamps:
            lamp.visible_camera = True
        background.default_value = ambient


def _id_material() -> Any:
    material = bpy.data.materials.get("ids")
    if material is not None:
        return material
    material = bpy.data.materials.new("ids")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    info = tree.nodes.new("ShaderNodeObjectInfo")
    glow = tree.nodes.new("ShaderNodeEmission")
    out = tree.nodes.new("ShaderNodeOutputMaterial")
    view = tree.nodes.new("ShaderNodeCameraData")
    both = tree.nodes.new("ShaderNodeCombineXYZ")  # not Combine Color, which may clamp
    tree.links.new(info.outputs["Object Index"], both.inputs["X"])
    tree.links.new(view.outputs["View Distance"], both.inputs["Y"])
    tree.links.new(both.outputs[0], glow.inputs["Color"])
    tree.links.new(glow.outputs[0], out.inputs["Surface"])
    # Not a lamp: nobody must sample it as one.
    material.cycles.emission_sampling = "NONE"
    return material
