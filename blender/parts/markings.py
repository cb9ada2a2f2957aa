"""Build floor markings: joints, cracks, stains, tyre marks, painted lanes and zones. No bpy.

Each marking is a sheet at its own height, fractions of a millimetre above the floor: two sheets in the same
plane would give random pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, boxes, plates

_PAINTS: tuple[Colour, ...] = ((0.72, 0.46, 0.03), (0.72, 0.46, 0.03), (0.62, 0.62, 0.60), (0.45, 0.05, 0.03))
_STEP = 0.00015
"""Difference between the heights of two markings, metres."""
_RIM = 48
"""Corners of a stain's outline."""


def marks(params: dict[str, Any], base: Colour, rng: np.random.Generator) -> list[Part]:
    """Build all floor markings of a hall; ``base`` is the floor's colour."""
    dark = Material("concrete", _scaled(base, 0.62), params["wear"])
    worn = [*_tyres(params, dark, rng), *_cracks(params, dark, rng), *_stains(params, base, rng)]
    flat = [part.moved((0, 0, 0.0005 + _STEP * k)) for k, part in enumerate(worn)]
    return [_joints(params, dark), *flat, *_paint(params, rng)]


def _scaled(colour: Colour, factor: float) -> Colour:
    """Return a colour with another brightness."""
    r, g, b = (round(c * factor, 4) for c in colour)
    return (r, g, b)


def ribbon(path: Floats, width: float, material: Material) -> Part:
    """Build a flat strip of constant width along a polyline (N, 2) on z = 0."""
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    across *= width / 2 / np.linalg.norm(across, axis=1, keepdims=True)
    sides = np.stack([path - across, path + across], 1).reshape(-1, 2)
    vertices = np.concatenate([sides, np.zeros((len(sides), 1))], 1)
    k = 2 * np.arange(len(path) - 1)
    return Part(vertices, np.stack([k, k + 2, k + 3, k + 1], 1).astype(np.int32), material)


def _joints(params: dict[str, Any], dark: Material) -> Part:
    """Build the saw cuts in the floor, in a grid of 5.5 m."""
    length, width = params["length"], params["width"]
    across = [(x, 0.0, 0.0003) for x in np.arange(3.0, length, 5.5)]
    along = [(length / 2, y, 0.0002) for y in np.arange(-width / 2 + 2.5, width / 2 - 1, 5.5)]
    sizes = [(0.012, width)] * len(across) + [(length, 0.012)] * len(along)
    return plates(across + along, sizes, 2, 1, dark)


def _inside(params: dict[str, Any], rng: np.random.Generator) -> Floats:
    """Draw a point on the hall's floor, (2,)."""
    return rng.uniform([2.0, -0.4 * params["width"]], [params["length"] - 2.0, 0.4 * params["width"]])


def _tyres(params: dict[str, Any], dark: Material, rng: np.random.Generator) -> list[Part]:
    """Build pairs of tyre marks: mostly straight along the hall, some curved."""
    parts = []
    for _ in range(int(rng.integers(1, 7))):
        start, heading = _inside(params, rng), rng.normal(0, 0.25)
        turn = rng.normal(0, 0.5) if rng.random() < 0.5 else 0.0
        steps = np.linspace(0, rng.uniform(1.0, 6.0), 14)
        angle = heading + turn * steps
        path = start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1) * (steps[1] - steps[0]), 0)
        gauge, width = rng.uniform(0.5, 1.0), rng.uniform(0.03, 0.11)
        sideways = np.stack([-np.sin(angle), np.cos(angle)], 1) * gauge
        parts += [ribbon(path, width, dark), ribbon(path + sideways, width, dark)]
    return [part for part in parts if _fits(part, params)]


def _cracks(params: dict[str, Any], dark: Material, rng: np.random.Generator) -> list[Part]:
    """Build up to three cracks."""
    parts = []
    for _ in range(int(rng.integers(0, 4))):
        steps = rng.normal(0, 0.12, (12, 2)) + rng.normal(0, 0.22, 2)
        parts.append(ribbon(_inside(params, rng) + np.cumsum(steps, 0), 0.008, dark))
    return [part for part in parts if _fits(part, params)]


def _stains(params: dict[str, Any], base: Colour, rng: np.random.Generator) -> list[Part]:
    """Build stains of oil or water, dark or glossy, and pale scuffs."""
    materials = (
        Material("concrete", _scaled(base, 0.5), 0.25),
        Material("concrete", _scaled(base, 0.8), 0.0),
        Material("concrete", _scaled(base, 1.25), 1.0),
    )
    parts = []
    for _ in range(int(rng.integers(params["stains"][0], params["stains"][1] + 1))):
        angle = np.linspace(0, 2 * np.pi, _RIM, endpoint=False)
        waves = sum(
            height * np.sin(count * angle + rng.uniform(0, 2 * np.pi))
            for count, height in ((2, 0.22), (3, 0.13), (5, 0.08), (9, 0.04), (14, 0.03))
        )
        reach = rng.uniform(0.08, 0.6) * (1 + waves)
        outline = np.stack([np.cos(angle) * rng.uniform(1, 2.5), np.sin(angle)], 1) * reach[:, None]
        points = np.concatenate([[[0, 0]], outline]) + _inside(params, rng)
        vertices = np.concatenate([points, np.zeros((_RIM + 1, 1))], 1)
        k = np.arange(_RIM)
        faces = np.stack([np.zeros(_RIM, int), k + 1, (k + 1) % _RIM + 1, np.full(_RIM, -1)], 1)
        parts.append(Part(vertices, faces.astype(np.int32), materials[int(rng.integers(3))]))
    return [part for part in parts if _fits(part, params)]


def _fits(part: Part, params: dict[str, Any]) -> bool:
    """Return whether a marking lies inside the hall."""
    low, high = part.vertices.min(0), part.vertices.max(0)
    half = params["width"] / 2
    return bool(low[0] > 0 and high[0] < params["length"] and low[1] > -half and high[1] < half)


def _paint(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build the painted lanes, a hatched zone, and marked pallet places."""
    length, half = params["length"], params["width"] / 2
    paint = Material("concrete", _PAINTS[int(rng.integers(len(_PAINTS)))], 0.9)
    parts: list[Part] = []
    if params["lanes"]:
        edge = rng.uniform(0.9, 2.4)
        shift = rng.uniform(-0.2, 0.2) * half
        lanes = [(length / 2, shift + y, 0.0045) for y in (-edge, edge)]
        parts.append(plates(lanes, (length, rng.uniform(0.06, 0.12)), 2, 1, paint))
    if params["hatching"]:
        parts += _hatched(params, paint, rng)
    if params["places"]:
        x0, y, step = rng.uniform(3, 7), rng.uniform(-0.5, 0.5) * half, rng.uniform(1.0, 1.5)
        count = int(rng.integers(2, 6))
        bars = [(x0 + 0.7, y + step * k, 0.0050) for k in range(count + 1) if abs(y + step * k) < half - 0.2]
        if bars:
            parts.append(plates(bars, (1.4, 0.07), 2, 1, paint))
    return parts


def _hatched(params: dict[str, Any], paint: Material, rng: np.random.Generator) -> list[Part]:
    """Build a hatched "keep clear" zone: slanted bars in a frame."""
    half = params["width"] / 2
    size = np.array([rng.uniform(1.0, 2.0), rng.uniform(1.2, min(3.0, half))])
    x = rng.choice([params["length"] - size[0] / 2 - 0.3, rng.uniform(4, params["length"] - 2)])
    middle = np.array([float(x), rng.uniform(-0.6, 0.6) * (half - size[1] / 2)])
    (mx, my), (w, h) = middle, size / 2
    frame = [(mx, my - h, 0.0056), (mx, my + h, 0.0056), (mx - w, my, 0.0058), (mx + w, my, 0.0058)]
    sizes = [(size[0], 0.09)] * 2 + [(0.09, size[1])] * 2
    offsets = np.arange(-size[1] / 2 + 0.3, size[1] / 2 - 0.2, 0.42)
    bars = [(mx, my + y, 0.0053) for y in offsets]
    slanted = boxes(bars, (size[0] * 0.95, 0.09, 0.0001), paint, yaw=np.full(len(bars), 0.35))
    return [plates(frame, sizes, 2, 1, paint), slanted]
