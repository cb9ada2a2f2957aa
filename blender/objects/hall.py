"""The building: floor, walls, roof, columns, doors, windows, painted lanes. Built once a frame.

The hall spans x from 0 to length and y from -width/2 to width/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.mesh import Colour, Floats, Material, Part, box, boxes, tube
from blender.objects import Assets
from blender.ranges import chance, integer, pick, uniform

WALLS: dict[str, Colour] = {
    "white": (0.62, 0.62, 0.60),
    "grey": (0.36, 0.37, 0.38),
    "cream": (0.58, 0.54, 0.45),
    "dark": (0.12, 0.12, 0.13),
    "block": (0.45, 0.43, 0.40),
}
FLOORS: dict[str, Colour] = {
    "light": (0.36, 0.36, 0.35),
    "grey": (0.22, 0.22, 0.22),
    "dark": (0.12, 0.12, 0.12),
    "green": (0.18, 0.24, 0.20),
    "brown": (0.26, 0.23, 0.20),
}


@dataclass(frozen=True)
class Ranges:
    """What varies from hall to hall; lengths in metres."""

    length: tuple[float, float] = (14.0, 34.0)
    width: tuple[float, float] = (9.0, 22.0)
    height: tuple[float, float] = (4.0, 9.0)
    windows: float = 0.4
    """Share of halls with a band of windows in a wall."""
    doors: tuple[int, int] = (0, 3)
    columns: float = 0.5
    """Share of halls with rows of columns."""
    lanes: float = 0.5
    """Share of halls with painted lanes."""
    wear: tuple[float, float] = (0.3, 1.0)


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw a hall (JSON values)."""
    return {
        "length": uniform(ranges.length, rng),
        "width": uniform(ranges.width, rng),
        "height": uniform(ranges.height, rng),
        "windows": chance(ranges.windows, rng),
        "doors": integer(ranges.doors, rng),
        "columns": chance(ranges.columns, rng),
        "lanes": chance(ranges.lanes, rng),
        "wall": pick({"white": 4, "grey": 3, "cream": 2, "dark": 1, "block": 2}, rng),
        "floor": pick({"light": 4, "grey": 4, "dark": 2, "green": 1, "brown": 1}, rng),
        "wear": uniform(ranges.wear, rng),
        "seed": integer((0, 2**31 - 1), rng),
    }


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Extent of the floor: x from, x to, y from, y to, in metres."""
    return (0.0, params["length"], -params["width"] / 2, params["width"] / 2)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """The hall's meshes."""
    rng = np.random.default_rng(params["seed"])
    length, half, height = params["length"], params["width"] / 2, params["height"]
    wall = Material("wall", WALLS[params["wall"]], params["wear"])
    floor = Material("concrete", FLOORS[params["floor"]], params["wear"])
    roof = Material("galvanised" if rng.random() < 0.4 else "wall", (0.4, 0.4, 0.41), 0.3)
    parts = [
        box((-0.2, -half - 0.2, -0.2), (length + 0.2, half + 0.2, 0.0), floor),
        box((-0.2, -half - 0.2, height), (length + 0.2, half + 0.2, height + 0.1), roof),
        box((length, -half, 0), (length + 0.2, half, height), wall),
        box((-0.2, -half, 0), (0, half, height), wall),
        box((-0.2, half, 0), (length + 0.2, half + 0.2, height), wall),
        box((-0.2, -half - 0.2, 0), (length + 0.2, -half, height), wall),
        *_roof_beams(params, rng),
        *_openings(params, rng),
        *_marks(params, rng),
    ]
    if params["columns"]:
        column = Material("wall" if rng.random() < 0.5 else "galvanised", (0.5, 0.5, 0.49), params["wear"])
        parts.append(boxes(columns(params), (0.35, 0.35, height), column))
    return parts


def columns(params: dict[str, Any]) -> Floats:
    """Middles of the columns, (N, 3) metres; two rows along the hall, off its middle."""
    x = np.arange(4.0, params["length"], 6.0)
    y = np.array([-1, 1]) * (params["width"] / 2 - 0.3)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    return np.concatenate([grid, np.full((len(grid), 1), params["height"] / 2)], 1)


def _roof_beams(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    steel = Material("paint", (0.35, 0.36, 0.37) if rng.random() < 0.7 else (0.1, 0.1, 0.1), 0.4)
    x = np.arange(2.0, params["length"], rng.uniform(3.0, 6.0))
    beams = [(at, 0.0, params["height"] - 0.2) for at in x]
    depth = rng.uniform(0.2, 0.45)
    parts = [boxes(beams, (0.2, params["width"], depth), steel)]
    duct = Material("galvanised", (0.5, 0.5, 0.52), 0.2)
    for _ in range(int(rng.integers(0, 4))):
        y, z = rng.uniform(-0.45, 0.45) * params["width"], params["height"] - rng.uniform(0.35, 0.8)
        parts.append(tube([(0, y, z), (params["length"], y, z)], rng.uniform(0.03, 0.16), duct, 10))
    return parts


def _openings(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Doors and signs on the walls, and a band of bright windows."""
    length, half, height = params["length"], params["width"] / 2, params["height"]
    parts: list[Part] = []
    for _ in range(params["doors"]):
        paint = Material("paint", _door_colour(rng), 0.4)
        y, w, h = rng.uniform(-0.8, 0.8) * half, rng.choice([0.5, 0.5, 1.5]), 2.1
        if w > 1:
            h = min(height - 0.4, rng.uniform(2.6, 3.6))
        frame = Material("paint", (0.3, 0.3, 0.3), 0.3)
        parts.append(box((length - 0.05, y - w - 0.08, 0), (length - 0.001, y + w + 0.08, h + 0.08), frame))
        parts.append(box((length - 0.07, y - w, 0.01), (length - 0.01, y + w, h), paint))
    if params["windows"]:
        glow = Material("emission", (0.85, 0.93, 1.0), round(float(rng.uniform(4, 22)), 1))
        low = max(1.8, height * rng.uniform(0.45, 0.7))
        side = rng.choice([-1, 1])
        for x in np.arange(1.0, length - 1.5, 2.4):
            inner, outer = side * (half - 0.03), side * (half - 0.001)
            parts.append(
                box(
                    (x, min(inner, outer), low),
                    (x + 1.8, max(inner, outer), min(height - 0.4, low + 1.3)),
                    glow,
                )
            )
        if rng.random() < 0.5:
            parts.append(
                box(
                    (length - 0.03, -half * 0.8, low),
                    (length - 0.001, half * 0.8, min(height - 0.4, low + 1.2)),
                    glow,
                )
            )
    for _ in range(int(rng.integers(0, 6))):
        sign = Material("paper", _door_colour(rng), 0.1)
        y, z = rng.uniform(-0.9, 0.9) * half, rng.uniform(1.2, min(3.2, height - 0.6))
        w, h = rng.uniform(0.1, 0.7), rng.uniform(0.1, 0.4)
        parts.append(box((length - 0.02, y - w, z - h), (length - 0.005, y + w, z + h), sign))
    return parts


def _door_colour(rng: np.random.Generator) -> Colour:
    choices: tuple[Colour, ...] = (
        (0.35, 0.36, 0.37),
        (0.55, 0.55, 0.53),
        (0.05, 0.15, 0.35),
        (0.55, 0.40, 0.05),
        (0.4, 0.03, 0.02),
        (0.05, 0.3, 0.1),
        (0.3, 0.2, 0.1),
    )
    return choices[int(rng.integers(len(choices)))]


def _marks(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Joints, stains, tyre marks and painted lanes: thin plates, each at a height of its own."""
    length, half = params["length"], params["width"] / 2
    base = FLOORS[params["floor"]]
    dark = Material("concrete", (base[0] * 0.55, base[1] * 0.55, base[2] * 0.55), params["wear"])
    joints = [(x, 0, 0.0006) for x in np.arange(3, length, 5.0)]
    parts = [boxes(joints, (0.012, 2 * half, 0.0006), dark)]
    for k in range(int(rng.integers(2, 12))):
        x, y, w = rng.uniform(2.6, length - 2.6), rng.uniform(-0.7, 0.7) * half, rng.uniform(0.02, 0.09)
        points = [(x, y, 0.0010 + 0.0001 * k)]
        yaw = rng.normal(0, 0.3)
        parts.append(boxes(points, (rng.uniform(0.5, 5.0), w, 0.0005), dark, yaw=yaw))
    if params["lanes"]:
        colour: Colour = (0.7, 0.45, 0.03) if rng.random() < 0.7 else (0.65, 0.65, 0.63)
        paint = Material("concrete", colour, 0.9)
        edge = rng.uniform(1.0, 2.2)
        lanes = [(length / 2, y, 0.0030) for y in (-edge, edge)]
        parts.append(boxes(lanes, (length, 0.09, 0.001), paint))
    return parts
