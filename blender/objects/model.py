"""Users' models: objects read from a .glb, .gltf, .obj or .blend file, with the file's materials.

Origin: on the floor below the middle of the model's bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, Gt, Le, MinLen, Ordered
from blender.geometry.mesh import spin
from blender.sampling import uniform

MIN_EXTENT = 0.01
"""Least length and width of a footprint, metres: a flat sheet needs an area to be kept apart from others."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "model"."""

    file: Annotated[str, MinLen(1)]
    """Path of the model's file, relative to the profile that names it."""
    scale: Annotated[float, Gt(0)] = 1.0
    """Metres per unit of the file."""
    size: Annotated[tuple[float, float], Gt(0), Ordered()] = (1.0, 1.0)
    """Factor on the scale, drawn for each object."""
    turn: Annotated[float, Ge(-360), Le(360)] = 0.0
    """Degrees about the vertical axis that turn the model's front to +x."""


def files(ranges: Ranges) -> tuple[str, ...]:
    """Return the path of the model file, relative to the profile."""
    return (ranges.file,)


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one object's parameters (JSON values)."""
    return {
        "file": ranges.file,
        "scale": round(ranges.scale * uniform(ranges.size, rng), 6),
        "turn": round(float(np.radians(ranges.turn)), 5),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent of the turned bounding box on the floor: x from, x to, y from, y to, metres."""
    low, high = assets.files[params["file"]].low, assets.files[params["file"]].high
    x, y = (high[0] - low[0]) / 2 * params["scale"], (high[1] - low[1]) / 2 * params["scale"]
    corners = spin(np.array([[x, y, 0.0], [-x, y, 0.0]]), params["turn"])
    half = np.abs(corners).max(0).clip(MIN_EXTENT / 2)
    return (-float(half[0]), float(half[0]), -float(half[1]), float(half[1]))


def mesh(params: dict[str, Any], assets: Assets) -> Any:
    """Return the model as one bpy mesh in the object's frame."""
    # Imported here for start-up time: these modules load bpy, which takes seconds; sampling does not need it.
    from mathutils import Matrix, Vector

    from blender.geometry.model_file import read_mesh

    file = assets.files[params["file"]]
    low, high = np.array(file.low), np.array(file.high)
    ground = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    model = read_mesh(file.path)
    to_origin = Matrix.Translation(Vector((-ground).tolist()))
    model.transform(Matrix.Rotation(params["turn"], 4, "Z") @ Matrix.Scale(params["scale"], 4) @ to_origin)
    return model
