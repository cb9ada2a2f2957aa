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
from blender.geometry.model_info import ModelFile, ModelPart
from blender.sampling import uniform

MIN_EXTENT = 0.01
"""Least length and width of a footprint, metres: a flat sheet needs an area to be kept apart from others."""
_PLAUSIBLE = (0.2, 4.0)
"""Range of the longest side of an object in a warehouse, metres."""
_SMALLEST = 0.02
"""Longest side below which an object can hardly be seen, metres."""
_GROUND_FROM = 3.0
"""Size from which a flat part that is much larger than the others is named, metres."""
_TOO_LARGE = {0.001: "millimetres", 0.01: "centimetres", 0.0254: "inches"}
"""Factor on the scale -> the unit in which a file that is too large may be."""
_TOO_SMALL = {100.0: "100 times larger", 1000.0: "1000 times larger"}
"""Factor on the scale -> its description, for a file that is too small: it was scaled once too often."""


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


def warnings(ranges: Ranges, assets: Assets, hall: Any) -> list[str]:
    """Name the model's size if it does not fit into the halls or can hardly be seen, and guess its unit."""
    file = assets.files[ranges.file]
    scale = ranges.scale * (ranges.size[0] + ranges.size[1]) / 2
    size = scale * (np.array(file.high) - np.array(file.low))
    wide, high, longest = float(size[:2].max()), float(size[2]), float(size.max())
    text = f"{ranges.file} is {_metres(wide)} m wide"
    if wide <= hall.length[0] and high > wide:
        text = f"{ranges.file} is {_metres(high)} m high"
    details = f"{_dimensions(size)} with scale = {ranges.scale:g}"
    halls = f"halls are {_metres(hall.length[0])} to {_metres(hall.length[1])} m"
    lines = [f"{ranges.file}: {note}" for note in file.notes]
    rest, largest = _without_largest_part(file)
    rest = rest * scale
    flat = (largest.high[2] - largest.low[2]) * scale < 0.02 * longest
    too_large = wide > hall.length[0] or high > hall.height[1]
    if longest > _GROUND_FROM and 0 < 3 * rest.max() < longest and (flat or too_large):
        lines.append(
            f"{text} because of its part '{largest.name}' (a floor or a background?); {halls}: hide it in "
            f"renders or delete it; without it, the model is {_dimensions(rest)}"
        )
    elif too_large:
        lines.append(f"{text} ({details}); {halls}{_guess(longest, ranges.scale, _TOO_LARGE)}")
    elif longest < _SMALLEST:
        lines.append(f"{text} ({details}), too small to be seen{_guess(longest, ranges.scale, _TOO_SMALL)}")
    return lines


def _without_largest_part(file: ModelFile) -> tuple[np.ndarray, ModelPart]:
    """Return the size, (3,) in the file's units, of a model without its largest part, and that part."""
    parts = sorted(file.parts, key=lambda part: max(np.subtract(part.high, part.low)))
    if len(parts) < 2:
        return np.zeros(3), ModelPart("", file.low, file.high)
    low = np.array([part.low for part in parts[:-1]]).min(0)
    high = np.array([part.high for part in parts[:-1]]).max(0)
    return high - low, parts[-1]


def _guess(longest: float, scale: float, units: dict[float, str]) -> str:
    """Return a question that names the scales with which the longest side has a plausible length."""
    low, high = _PLAUSIBLE
    fitting = {f"{scale * f:g}": unit for f, unit in units.items() if low <= longest * f <= high}
    if not fitting:
        return "; check its scale"
    return f": is scale = {' or '.join(fitting)} meant? ({' or '.join(fitting.values())})"


def _metres(value: float) -> str:
    """Format a length with three digits."""
    return f"{float(f'{value:.3g}'):g}"


def _dimensions(size: np.ndarray) -> str:
    return " x ".join(map(_metres, size)) + " m"


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
