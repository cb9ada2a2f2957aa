"""The hall: floor, walls, roof, columns, doors, windows, floor markings. Each frame has one.

It reaches from x = 0 to its length and from y = -width / 2 to width / 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Ge, MinLen, OneOf, Ordered, Share, ShareRange, Weights
from blender.geometry.mesh import Colour, Floats, Material, Part, bounds, box, boxes, plates, tube
from blender.parts.fittings import BLACK, YELLOW, striped
from blender.parts.markings import marks
from blender.parts.openings import fixtures, windows
from blender.sampling import chance, draw_seed, integer, pick, uniform
from blender.spec import LampSpec

WALLS: dict[str, Colour] = {
    "white": (0.62, 0.62, 0.60),
    "grey": (0.36, 0.37, 0.38),
    "cream": (0.58, 0.55, 0.49),
    "dark": (0.12, 0.12, 0.13),
    "block": (0.45, 0.43, 0.40),
}
FLOORS: dict[str, Colour] = {
    "light": (0.36, 0.36, 0.35),
    "grey": (0.22, 0.22, 0.22),
    "dark": (0.12, 0.12, 0.12),
    "green": (0.18, 0.24, 0.20),
    "brown": (0.25, 0.23, 0.21),
}
SURFACES = ("plaster", "brick", "panel")
SHORTEST = 5.0
"""Minimum length of a hall, metres."""
DOOR_WIDTH = 0.8
"""Width, metres, above which a fixture that reaches the floor is a door or a gate."""
DOORWAY_DEPTH = 1.2
"""Depth of the floor in front of doors and gates that stays free, metres."""
LEAST_DEPTH = 0.06
"""Minimum depth of a fixture that is an obstacle, metres."""
OBSTACLE_HEIGHT = 2.2
"""Height of the lower edge, metres, above which a fixture is no obstacle."""


def _walls() -> dict[str, float]:
    return {"white": 5.0, "grey": 3.0, "cream": 1.0, "dark": 1.0, "block": 2.0}


def _floors() -> dict[str, float]:
    return {"light": 4.0, "grey": 5.0, "dark": 2.0, "green": 1.0, "brown": 1.0}


@dataclass(frozen=True)
class Ranges:
    """[scene.hall]: the ranges of the building."""

    length: Annotated[tuple[float, float], Ge(SHORTEST), Ordered()] = (14.0, 34.0)
    """Length in metres; the layouts "wall", "dock" and "packing" have their own ranges."""
    width: Annotated[tuple[float, float], Ge(4), Ordered()] = (9.0, 22.0)
    """Width in metres; the layouts "aisle" and "crossing" have their own ranges."""
    height: Annotated[tuple[float, float], Ge(2.5), Ordered()] = (4.0, 9.0)
    """Height from the floor to the roof in metres."""
    windows: Share = 0.4
    """Share of halls with a band of windows in a wall."""
    doors: Annotated[tuple[int, int], Ge(0), Ordered()] = (0, 3)
    """Number of doors and gates in the end wall; a dock has as many as fit."""
    notices: Annotated[tuple[int, int], Ge(0), Ordered()] = (1, 6)
    """Number of signs, boards, pipes, switch boxes and fire points to try on each wall."""
    columns: Share = 0.5
    """Share of halls with rows of columns."""
    lanes: Share = 0.5
    """Share of halls with painted lanes."""
    hatching: Share = 0.3
    """Share of halls with a hatched zone."""
    places: Share = 0.25
    """Share of halls with marked-out pallet places."""
    stains: Annotated[tuple[int, int], Ge(0), Ordered()] = (2, 12)
    """Number of stains on the floor."""
    wear: ShareRange = (0.3, 1.0)
    """0: new and polished, 1: dusty, dull and dirty."""
    glow: Annotated[tuple[float, float], Ge(0), Ordered()] = (4.0, 22.0)
    """Radiance of the windows, W/m2/sr."""
    walls: Annotated[dict[str, float], Weights(WALLS)] = field(default_factory=_walls)
    """Weights of the colours of the walls."""
    floors: Annotated[dict[str, float], Weights(FLOORS)] = field(default_factory=_floors)
    """Weights of the colours of the floor."""
    surfaces: Annotated[tuple[str, ...], OneOf(SURFACES), MinLen(1)] = SURFACES
    """Surfaces of the walls, all with equal probability."""


def sample(ranges: Ranges, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw a hall's parameters (JSON values)."""
    return {
        "length": uniform(ranges.length, rng),
        "width": uniform(ranges.width, rng),
        "height": uniform(ranges.height, rng),
        "dock": False,
        "windows": chance(ranges.windows, rng),
        "doors": integer(ranges.doors, rng),
        "notices": integer(ranges.notices, rng),
        "columns": chance(ranges.columns, rng),
        "lanes": chance(ranges.lanes, rng),
        "hatching": chance(ranges.hatching, rng),
        "places": chance(ranges.places, rng),
        "stains": list(ranges.stains),
        "glow": list(ranges.glow),
        "wall": pick(ranges.walls, rng),
        "surface": ranges.surfaces[int(rng.integers(len(ranges.surfaces)))],
        "floor": pick(ranges.floors, rng),
        "wear": uniform(ranges.wear, rng),
        "lamps": [],
        "seed": draw_seed(rng),
    }


def with_lamps(params: dict[str, Any], lamps: Iterable[LampSpec]) -> dict[str, Any]:
    """Return the parameters with the housings of all lamps, on or off."""
    housings = [{"at": list(lamp.position), "size": list(lamp.size), "on": lamp.power > 0} for lamp in lamps]
    return {**params, "lamps": housings}


def footprint(params: dict[str, Any], assets: Assets) -> tuple[float, float, float, float]:
    """Return the extent of the floor: x from, x to, y from, y to, metres."""
    return (0.0, params["length"], -params["width"] / 2, params["width"] / 2)


def build(params: dict[str, Any], assets: Assets) -> list[Part]:
    """Build the hall's meshes."""
    rng = np.random.default_rng(params["seed"])
    parts = [*_shell(params, rng), *_roof(params, rng), *marks(params, FLOORS[params["floor"]], rng)]
    parts += [part for fixture in fixtures(params) for part in fixture]
    if params["windows"]:
        parts += windows(params, rng)
    if params["columns"]:
        parts += _columns(params, rng)
    if params["lamps"]:
        parts += _lamps(params)
    return parts


def _shell(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build floor, roof and walls. Panel walls have joints; some walls have a darker foot."""
    length, half, height = params["length"], params["width"] / 2, params["height"]
    wall = Material(
        "brick" if params["surface"] == "brick" else "wall", WALLS[params["wall"]], params["wear"]
    )
    floor = Material("concrete", FLOORS[params["floor"]], params["wear"])
    roof = Material("galvanised" if rng.random() < 0.4 else "wall", (0.4, 0.4, 0.41), 0.3)
    parts = [
        box((-0.2, -half - 0.2, -0.2), (length + 0.2, half + 0.2, 0.0), floor),
        box((-0.2, -half - 0.2, height), (length + 0.2, half + 0.2, height + 0.1), roof),
        box((length, -half, 0), (length + 0.2, half, height), wall),
        box((-0.2, -half, 0), (0, half, height), wall),
        box((-0.2, half, 0), (length + 0.2, half + 0.2, height), wall),
        box((-0.2, -half - 0.2, 0), (length + 0.2, -half, height), wall),
    ]
    if params["surface"] == "panel":
        parts += _panel_joints(params)
    if rng.random() < 0.35:
        foot = Material("wall", _foot(rng), params["wear"])
        top = rng.uniform(0.3, 1.4)
        for side in (-1, 1):
            parts.append(
                plates([(length / 2, side * (half - 0.003), top / 2)], (length, top), 1, -side, foot)
            )
        parts.append(plates([(length - 0.003, 0, top / 2)], (2 * half, top), 0, -1, foot))
    return parts


def _foot(rng: np.random.Generator) -> Colour:
    """Draw the colour of the painted foot of the walls."""
    feet: tuple[Colour, ...] = ((0.2, 0.2, 0.2), (0.06, 0.10, 0.16), (0.30, 0.28, 0.24))
    return feet[int(rng.integers(len(feet)))]


def _panel_joints(params: dict[str, Any]) -> list[Part]:
    """Build the dark joints between upright wall panels, each 1.1 m wide."""
    length, half, height = params["length"], params["width"] / 2, params["height"]
    shade = Material("wall", (0.12, 0.12, 0.12), 0.5)
    along = np.arange(1.1, length, 1.1)
    parts = [
        plates([(x, side * (half - 0.002), height / 2) for x in along], (0.02, height), 1, -side, shade)
        for side in (-1, 1)
    ]
    across = [(length - 0.002, y, height / 2) for y in np.arange(-half + 1.1, half, 1.1)]
    return [*parts, plates(across, (0.02, height), 0, -1, shade)]


def columns(params: dict[str, Any]) -> Floats:
    """Return the columns' centres, (N, 3) metres: a row at each side wall, one more inside a wide hall."""
    x = np.arange(4.0, params["length"] - 0.5, 6.0)
    rows = [-params["width"] / 2 + 0.19, params["width"] / 2 - 0.19]
    if params["width"] > 14:
        rows.append(params["width"] * (0.22 if params["seed"] % 2 else -0.22))
    grid = np.stack(np.meshgrid(x, rows, indexing="ij"), -1).reshape(-1, 2)
    return np.concatenate([grid, np.full((len(grid), 1), params["height"] / 2)], 1)


def obstacles(params: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """Return footprints of wall fixtures and columns: x from, x to, y from, y to, metres."""
    footprints = []
    for fixture in fixtures(params):
        heights = [(part, part.vertices[:, 2]) for part in fixture]
        solid = [part for part, z in heights if np.ptp(z) > 0.05 and z.min() < OBSTACLE_HEIGHT]
        if solid:
            low, high = bounds(solid)
            if (high - low)[:2].min() > LEAST_DEPTH:
                footprints.append((float(low[0]), float(high[0]), float(low[1]), float(high[1])))
    if params["columns"]:
        footprints += [(x - 0.2, x + 0.2, y - 0.2, y + 0.2) for x, y, _ in columns(params).tolist()]
    return footprints


def entrances(params: dict[str, Any]) -> list[tuple[float, float, float, float]]:
    """Return the floor in front of doors and gates: x from, x to, y from, y to, metres."""
    areas = []
    for fixture in fixtures(params):
        low, high = bounds(fixture)
        if low[2] < 0.05 and high[2] > 1.8 and (high - low)[:2].max() > DOOR_WIDTH:
            at_end = high[0] > params["length"] - 0.01
            margin = np.array([DOORWAY_DEPTH, 0.0] if at_end else [0.0, DOORWAY_DEPTH])
            (x0, y0), (x1, y1) = low[:2] - margin, high[:2] + margin
            areas.append((float(x0), float(x1), float(y0), float(y1)))
    return areas


def _columns(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build the columns; in some halls they have striped guards at their foot."""
    concrete = Material("wall" if rng.random() < 0.6 else "paint", (0.5, 0.5, 0.49), params["wear"])
    middle = columns(params)
    parts = [boxes(middle, (0.35, 0.35, params["height"]), concrete)]
    if rng.random() < 0.6:
        high, colours = rng.uniform(0.8, 1.8), (YELLOW, BLACK) if rng.random() < 0.7 else (YELLOW, YELLOW)
        parts += [striped((x, y, high / 2), (0.365, 0.365, high), 2, 0.14, colours) for x, y, _ in middle]
    return parts


def _roof(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build the beams across the hall, the purlins along it, and ducts and pipes below."""
    length, width, height = params["length"], params["width"], params["height"]
    steel = Material("paint", (0.35, 0.36, 0.37) if rng.random() < 0.7 else (0.1, 0.1, 0.1), 0.4)
    beams = [(at, 0.0, height - 0.2) for at in np.arange(2.0, length, rng.uniform(3.0, 6.0))]
    parts = [boxes(beams, (0.2, width, rng.uniform(0.2, 0.45)), steel)]
    purlins = [
        (length / 2, y, height - 0.06) for y in np.arange(-width / 2 + 1, width / 2, rng.uniform(1.5, 3))
    ]
    parts.append(boxes(purlins, (length, 0.08, 0.12), steel))
    ducts: tuple[Material, ...] = (
        Material("galvanised", (0.5, 0.5, 0.52), 0.2),
        Material("paint", (0.45, 0.03, 0.02), 0.4),
        Material("paint", (0.4, 0.4, 0.38), 0.4),
    )
    for _ in range(int(rng.integers(0, 5))):
        y, z = rng.uniform(-0.45, 0.45) * width, height - rng.uniform(0.3, 0.5)
        radius = rng.choice([0.03, 0.05, 0.16, 0.25])
        parts.append(tube([(0, y, z), (length, y, z)], radius, ducts[int(rng.integers(3))], 10))
    return parts


def _lamps(params: dict[str, Any]) -> list[Part]:
    """Build a tray with two rods above each lamp, and a pale cover for lamps that are off."""
    steel, cover = Material("paint", (0.55, 0.55, 0.55), 0.2), Material("paint", (0.7, 0.7, 0.68), 0.1)
    places = np.array([lamp["at"] for lamp in params["lamps"]])
    along, across = params["lamps"][0]["size"]  # all lamps of a hall are alike
    deep, above = 0.06, 0.005
    top = places[0, 2] + above + deep
    parts = [boxes(places + np.array([0, 0, above + deep / 2]), (along + 0.04, across + 0.04, deep), steel)]
    rods = [(x + side * along / 3, y, (top + params["height"]) / 2) for x, y, _ in places for side in (-1, 1)]
    parts.append(boxes(rods, (0.012, 0.012, params["height"] - top), steel))
    dark = [lamp["at"] for lamp in params["lamps"] if not lamp["on"]]
    return [*parts, boxes(dark, (along, across, 2 * above), cover)] if dark else parts
