"""Render a built scene: linear RGB, exact instance ids, optional arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender.geometry.lens import camera_axes
from blender.spec import CameraSpec


def render_rgb(scratch: Path) -> np.ndarray:
    """Trace the scene; linear light (H, W, 3) float32, top row first."""
    return render_linear(scratch / "rgb.exr")


def render_ids(scratch: Path) -> tuple[np.ndarray, np.ndarray]:
    """Instance id of each pixel, (H, W) uint16, and the metres to what it shows, (H, W) float32.

    One ray through the pixel's middle, no blending.
    """
    with _emitting(_id_material()):
        pixels = render_linear(scratch / "ids.exr")
    return _ids(pixels), pixels[..., 1]


def render_arrays(
    names: Sequence[str], scratch: Path, distance: np.ndarray, camera: CameraSpec
) -> dict[str, bytes]:
    """Those of ``blender.contract.ARRAYS`` that are among ``names``, each as a .npy file.

    ``distance`` is what ``render_ids`` gives.
    """
    arrays = {}
    if "depth" in names:
        arrays["depth"] = distance.astype("<f4")
    if "normals" in names:
        arrays["normals"] = render_normals(scratch, camera).astype("<f2")
    return {name: _npy(array) for name, array in arrays.items()}


def render_normals(scratch: Path, camera: CameraSpec) -> np.ndarray:
    """Normal of the face that each pixel's middle shows, (H, W, 3) float64; see ``blender.contract``."""
    with _emitting(_normal_material()):
        pixels = render_linear(scratch / "normals.exr").astype(float)
    hit = pixels.any(-1, keepdims=True)
    normals = np.where(hit, 2 * pixels - 1, 0.0) @ (camera_axes(camera) * [1, -1, -1])
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)


def _npy(array: np.ndarray) -> bytes:
    stream = BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def _ids(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels[..., 0]).astype(np.uint16)


def render_linear(path: Path) -> np.ndarray:
    """Render to ``path`` and read it back, (H, W, 3) float32, top row first.

    Raises:
        OSError: the file is missing or short: Blender reports success on a full disk.
    """
    scene = bpy.context.scene
    scene.render.filepath = str(path)
    path.unlink(missing_ok=True)
    bpy.ops.render.render(write_still=True)
    try:
        return read_exr(path.read_bytes(), scene.render.resolution_x, scene.render.resolution_y)
    except (FileNotFoundError, EOFError):
        raise OSError(28, "Blender could not write its image whole; is the disk full?", str(path)) from None
    except ValueError:
        raise OSError(
            5, "Blender's image is cut off (is the disk full?) or of another layout", str(path)
        ) from None


def use_exr(scene: Any) -> None:
    """Have Blender write what ``read_exr`` reads."""
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode = "OPEN_EXR", "RGB"
    settings.color_depth, settings.exr_codec = "32", "NONE"


def read_exr(data: bytes, width: int, height: int) -> np.ndarray:
    """Pixels (H, W, 3) float32 of an OpenEXR file of three uncompressed 32-bit channels.

    That is a header, and then line by line its number, its size in bytes and its channels in the order of the
    alphabet. To have Blender load the file as one of its images takes ten times as long.

    Raises:
        EOFError: the data is short.
        ValueError: it is of another layout, or short by less than a header is long.
    """
    line = 8 + width * 3 * 4
    if len(data) <= height * (line + 8):  # before the lines stands where each begins
        raise EOFError("the file is short")
    lines = np.frombuffer(data, np.uint8, height * line, len(data) - height * line).reshape(height, line)
    heads = lines[:, :8].copy().view("<i4")
    if (heads[:, 0] != np.arange(height)).any() or (heads[:, 1] != line - 8).any():
        raise ValueError("not an uncompressed OpenEXR file of that size")
    blue_green_red = lines[:, 8:].copy().view("<f4").reshape(height, 3, width)
    return blue_green_red[:, ::-1].transpose(0, 2, 1)


@contextmanager
def _emitting(material: Any) -> Iterator[None]:
    """Every surface is of ``material`` and nothing is lit; one sample a pixel, in its middle."""
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
        (layer, "material_override"): material,
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
    """Emits its object's pass_index and its distance."""
    material, tree, vector = _emission("ids")
    if tree is not None:
        info, view = tree.nodes.new("ShaderNodeObjectInfo"), tree.nodes.new("ShaderNodeCameraData")
        both = tree.nodes.new("ShaderNodeCombineXYZ")  # not Combine Color, which may clamp
        tree.links.new(info.outputs["Object Index"], both.inputs["X"])
        tree.links.new(view.outputs["View Distance"], both.inputs["Y"])
        tree.links.new(both.outputs[0], vector)
    return material


def _normal_material() -> Any:
    """Emits the normal of its face in the world, from -1..1 to 0..1: light is never below 0."""
    material, tree, vector = _emission("normals")
    if tree is not None:
        geometry, scale = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeVectorMath")
        scale.operation = "MULTIPLY_ADD"
        scale.inputs[1].default_value = scale.inputs[2].default_value = (0.5, 0.5, 0.5)
        tree.links.new(geometry.outputs["True Normal"], scale.inputs[0])
        tree.links.new(scale.outputs[0], vector)
    return material


def _emission(name: str) -> tuple[Any, Any, Any]:
    """A material that emits, its node tree and the socket of its colour; the two are None if it exists."""
    material = bpy.data.materials.get(name)
    if material is not None:
        return material, None, None
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    glow, out = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(glow.outputs[0], out.inputs["Surface"])
    # Not a lamp: nobody must sample it as one.
    material.cycles.emission_sampling = "NONE"
    return material, tree, glow.inputs["Color"]
