"""Render passes of a built scene: linear RGB, exact instance ids, distance, optional depth and normals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from blender.geometry.lens import camera_axes
from blender.rendering.emission import alone, emission_override, emit_ids, emit_normals, is_cut_out
from blender.spec import CameraSpec

BRIGHTEST = 65504.0
"""The largest number of a 16-bit float."""


def render_rgb(scratch: Path) -> np.ndarray:
    """Render the scene; return linear RGB (H, W, 3) float32, top row first."""
    return render_linear(scratch / "rgb.exr")


def render_ids(scratch: Path) -> tuple[np.ndarray, np.ndarray]:
    """Render instance ids and distances with one ray through each pixel centre, without blending.

    Returns:
        Instance ids, (H, W) uint16, and distances from the camera in metres, (H, W) float32.
    """
    with emission_override(emit_ids):
        pixels = render_linear(scratch / "ids.exr")
    return np.rint(pixels[..., 0]).astype(np.uint16), pixels[..., 1]


def render_alone(objects: Iterable[Any], scratch: Path) -> dict[int, np.ndarray]:
    """Render the objects that are partly transparent, each as if it stood alone in the scene.

    Args:
        objects: bpy objects with an instance id.
        scratch: folder for Blender's temporary images.

    Returns:
        Instance id -> the object's pixels, (H, W) bool. Objects that are opaque everywhere are left out.
    """
    masks = {}
    for item in filter(is_cut_out, objects):
        with alone(item):
            masks[int(item.pass_index)] = render_ids(scratch)[0] == item.pass_index
    return masks


def render_arrays(
    names: Sequence[str], scratch: Path, light: np.ndarray, distance: np.ndarray, camera: CameraSpec
) -> dict[str, bytes]:
    """Render the optional arrays of a frame.

    Args:
        names: the passes of the profile; those in ``blender.contract.ARRAYS`` are rendered.
        scratch: folder for Blender's temporary images.
        light: (H, W, 3) linear RGB from ``render_rgb``.
        distance: (H, W) the distances from ``render_ids``.
        camera: the camera of the frame.

    Returns:
        The content of a .npy file for each array.
    """
    arrays = {}
    if "depth" in names:
        arrays["depth"] = distance.astype("<f4")
    if "normals" in names:
        arrays["normals"] = render_normals(scratch, camera).astype("<f2")
    if "light" in names:
        arrays["light"] = np.clip(np.nan_to_num(light), 0, BRIGHTEST).astype("<f2")
    return {name: _npy(array) for name, array in arrays.items()}


def render_normals(scratch: Path, camera: CameraSpec) -> np.ndarray:
    """Render the face normal at each pixel centre in camera coordinates, as ``blender.contract`` specifies.

    Returns:
        (H, W, 3) float64; 0 where a ray hits nothing.
    """
    with emission_override(emit_normals):
        pixels = render_linear(scratch / "normals.exr").astype(float)
    hit = pixels.any(-1, keepdims=True)
    normals = np.where(hit, 2 * pixels - 1, 0.0) @ (camera_axes(camera) * [1, -1, -1])
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)


def _npy(array: np.ndarray) -> bytes:
    stream = BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def render_linear(path: Path) -> np.ndarray:
    """Render the scene to an EXR file and read the file.

    Returns:
        (H, W, 3) float32, top row first.

    Raises:
        OSError: the file is missing or incomplete. Blender reports success even if the disk is full.
    """
    scene = bpy.context.scene
    scene.render.filepath = str(path)
    path.unlink(missing_ok=True)
    bpy.ops.render.render(write_still=True)
    try:
        return read_exr(path.read_bytes(), scene.render.resolution_x, scene.render.resolution_y)
    except (FileNotFoundError, EOFError):
        raise OSError(
            28, "Blender could not write the complete image; is the disk full?", str(path)
        ) from None
    except ValueError:
        raise OSError(
            5, "Blender's image is truncated (is the disk full?) or has another layout", str(path)
        ) from None


def use_exr(scene: Any) -> None:
    """Set the image format of a scene to the format that ``read_exr`` reads."""
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode = "OPEN_EXR", "RGB"
    settings.color_depth, settings.exr_codec = "32", "NONE"


def read_exr(data: bytes, width: int, height: int) -> np.ndarray:
    """Read an OpenEXR file with three uncompressed 32-bit channels.

    Such a file is a header, a table of line offsets, and the lines. A line is its number, its size in bytes
    and its channels in alphabetical order. Loading the file as an image in Blender takes ten times as long.

    Returns:
        (H, W, 3) float32 RGB, top row first.

    Raises:
        EOFError: the data is too short.
        ValueError: the data has another layout, or less than the length of a header is missing.
    """
    line = 8 + width * 3 * 4
    if len(data) <= height * (line + 8):  # 8 bytes per line: the table of offsets
        raise EOFError("the file is too short")
    lines = np.frombuffer(data, np.uint8, height * line, len(data) - height * line).reshape(height, line)
    heads = lines[:, :8].copy().view("<i4")
    if (heads[:, 0] != np.arange(height)).any() or (heads[:, 1] != line - 8).any():
        raise ValueError("not an uncompressed OpenEXR file of this size")
    blue_green_red = lines[:, 8:].copy().view("<f4").reshape(height, 3, width)
    return blue_green_red[:, ::-1].transpose(0, 2, 1)
