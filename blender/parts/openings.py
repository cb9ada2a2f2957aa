"""Build the fixtures of a hall's walls: doors, gates, windows, notices, pipes, fire points. No bpy.

A fixture is built in its wall's frame: the wall is the plane x = 0 and faces -x, y runs along it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from blender.geometry.mesh import Colour, Material, Part, box, boxes, cylinder, move, plates, tube
from blender.parts.fittings import BLACK, PAPER, YELLOW, ZINC, label, striped

_LEAVES: tuple[Colour, ...] = (
    (0.42, 0.43, 0.44),
    (0.55, 0.55, 0.53),
    (0.30, 0.31, 0.32),
    (0.05, 0.15, 0.35),
    (0.45, 0.30, 0.05),
    (0.4, 0.03, 0.02),
    (0.05, 0.22, 0.1),
)
_DARK = Material("paint", (0.05, 0.05, 0.055), 0.4)
Fixture = list[Part]
"""The meshes of one fixture."""
DOCK_DOOR_STEP = 4.2
"""Distance between the middles of two dock doors, metres."""


DECIDING = ("seed", "dock", "doors", "notices", "length", "width", "height")
"""The hall's parameters that determine its fixtures."""


def fixtures(params: dict[str, Any]) -> list[Fixture]:
    """Return all fixtures of a hall in the hall's frame; the parameters ``DECIDING`` determine them."""
    return list(_build_fixtures(*(params[name] for name in DECIDING)))


@lru_cache(maxsize=1)  # a frame needs them for obstacles, for free doorways, and for the meshes
def _build_fixtures(*deciding: Any) -> tuple[Fixture, ...]:
    params = dict(zip(DECIDING, deciding, strict=True))
    rng = np.random.default_rng([params["seed"], 1])
    length, half = params["length"], params["width"] / 2
    end = [move(f, (length, 0, 0)) for f in _end_wall(params, rng)]
    left = [move(f, (length / 2, half, 0), np.pi / 2) for f in _side_wall(params, rng)]
    right = [move(f, (length / 2, -half, 0), -np.pi / 2) for f in _side_wall(params, rng)]
    return (*end, *left, *right)


def _end_wall(params: dict[str, Any], rng: np.random.Generator) -> list[Fixture]:
    """Build the end wall's doors, and notices and pipes between them."""
    half, height = params["width"] / 2, params["height"]
    doors: list[Fixture] = []
    if params["dock"]:
        middles = dock_door_positions(params)
        doors += [move(dock_door(rng, min(3.2, height - 0.6), k), (0, y, 0)) for k, y in enumerate(middles)]
    else:
        middles = [float(y) for y in np.linspace(-0.75, 0.75, params["doors"] + 2)[1:-1] * half]
        rng.shuffle(middles)
        wide = [half > 4 and rng.random() < 0.4 for _ in middles]
        for y, is_gate in zip(middles, wide, strict=True):
            doors.append(move(gate(rng, min(3.4, height - 0.5)) if is_gate else door(rng), (0, y, 0)))
    occupied = [(y - 1.8, y + 1.8) for y in middles]
    return doors + _wall_mounted(params["notices"], half, occupied, height, rng)


def _side_wall(params: dict[str, Any], rng: np.random.Generator) -> list[Fixture]:
    """Build a side wall's door, if it has one, and notices and pipes."""
    half, height = params["length"] / 2, params["height"]
    doors: list[Fixture] = []
    occupied: list[tuple[float, float]] = []
    if rng.random() < 0.4:
        y = rng.uniform(-0.6, 0.6) * half
        doors.append(move(door(rng), (0, y, 0)))
        occupied.append((y - 0.9, y + 0.9))
    return doors + _wall_mounted(params["notices"], half, occupied, height, rng)


def _wall_mounted(
    count: int, half: float, occupied: list[tuple[float, float]], height: float, rng: np.random.Generator
) -> list[Fixture]:
    """Try to place ``count`` fixtures on a wall.

    Args:
        count: number of positions to draw; an occupied position is left out.
        half: half of the wall's length, metres.
        occupied: occupied parts of the wall, (y from, y to), metres.
        height: height of the hall, metres.
        rng: draws positions and fixtures.
    """
    placed: list[Fixture] = []
    occupied = list(occupied)
    for _ in range(count):
        y = float(rng.uniform(-0.9, 0.9) * half)
        if any(low - 0.5 < y < high + 0.5 for low, high in occupied):
            continue
        occupied.append((y - 0.5, y + 0.5))
        build = WALL_MOUNTED[int(rng.choice(len(WALL_MOUNTED), p=_SHARES))]
        placed.append(move(build(rng, height), (0, y, 0)))
    return placed


def dock_door_positions(params: dict[str, Any]) -> list[float]:
    """Return the y of the middles of a dock's doors along the end wall, metres."""
    count = max(1, int(params["width"] / DOCK_DOOR_STEP))
    return [float((k - (count - 1) / 2) * DOCK_DOOR_STEP) for k in range(count)]


def door(rng: np.random.Generator) -> Fixture:
    """Build a door with frame and handle, some with a notice or a lit exit sign."""
    leaf = Material("paint", _LEAVES[int(rng.integers(len(_LEAVES)))], 0.4)
    frame = Material("paint", (0.25, 0.25, 0.25), 0.3)
    parts = [
        box((-0.03, -0.54, 0), (-0.001, 0.54, 2.12), frame),
        box((-0.04, -0.48, 0.01), (-0.01, 0.48, 2.06), leaf),
        boxes([(-0.055, 0.4, 1.05)], (0.03, 0.14, 0.03), _DARK),
    ]
    if rng.random() < 0.6:
        parts += label((-0.0405, rng.uniform(-0.1, 0.1), 1.55), (0.21, 0.3), 0, -1)
    if rng.random() < 0.4:
        parts.append(
            box((-0.05, -0.17, 2.25), (-0.001, 0.17, 2.4), Material("emission", (0.1, 0.9, 0.3), 1.2))
        )
    return parts


def gate(rng: np.random.Generator, high: float) -> Fixture:
    """Build a sectional door: panels between guide rails, some with windows, some half open."""
    half = rng.uniform(1.3, 1.9)
    leaf = Material("paint", _LEAVES[int(rng.integers(3))], 0.5)
    low = rng.uniform(0.5, 2.0) if rng.random() < 0.15 else 0.0
    sections = np.arange(low, high - 0.01, high / 6)
    middle = [(-0.02, 0, z + high / 12) for z in sections]
    outside = Material("emission", (0.9, 0.95, 1.0), round(float(rng.uniform(3, 12)), 1))
    parts = [
        boxes(middle, (0.03, 2 * half, high / 6 - 0.015), leaf),
        boxes([(-0.05, y, high / 2) for y in (-half, half)], (0.1, 0.09, high), ZINC),
        boxes([(-0.08, 0, high + 0.12)], (0.16, 2 * half + 0.2, 0.24), ZINC),
    ]
    if low:
        parts.append(plates([(-0.004, 0, low / 2)], (2 * half, low), 0, -1, outside))
    elif rng.random() < 0.6:
        panes = [(-0.0365, y, high * 0.42) for y in np.linspace(-half, half, 5)[1:-1]]
        parts.append(plates(panes, (half * 0.38, high * 0.09), 0, -1, outside))
    return parts


def dock_door(rng: np.random.Generator, high: float, number: int) -> Fixture:
    """Build a loading dock: a gate, the leveller's plate with stripes, a number above."""
    parts = gate(rng, high)
    steel = Material("steel", (0.10, 0.10, 0.105), 0.8)
    parts += [
        box((-2.2, -1.0, 0.001), (-0.12, 1.0, 0.006), steel),
        striped((-1.16, -1.05, 0.004), (2.08, 0.08, 0.006), 0, 0.2, (YELLOW, BLACK)),
        striped((-1.16, 1.05, 0.004), (2.08, 0.08, 0.006), 0, 0.2, (YELLOW, BLACK)),
    ]
    ink = Material("paper", (0.03, 0.03, 0.035), 0.1)
    parts.append(plates([(-0.02, 0, high + 0.6)], (0.5, 0.5), 0, -1, PAPER))
    bars = [(-0.021, -0.12 + 0.12 * k, high + 0.6) for k in range(1 + number % 3)]
    parts.append(plates(bars, (0.06, 0.32), 0, -1, ink))
    return parts


def _notice_board(rng: np.random.Generator, height: float) -> Fixture:
    """Build a board with sheets of paper."""
    wide = rng.uniform(0.4, 1.0)
    parts = [box((-0.03, -wide, 1.0), (-0.001, wide, 1.9), Material("paint", (0.25, 0.27, 0.3), 0.3))]
    for y in np.arange(-wide + 0.15, wide - 0.1, 0.26):
        for z in (1.25, 1.62):
            if rng.random() < 0.75:
                parts += label((-0.031, y, z + rng.normal(0, 0.02)), (0.2, 0.28), 0, -1)
    return parts


def _sign(rng: np.random.Generator, height: float) -> Fixture:
    """Build a safety sign: mandatory blue, warning yellow, fire red, escape green."""
    shades: tuple[Colour, ...] = (
        (0.02, 0.1, 0.45),
        (0.8, 0.55, 0.02),
        (0.55, 0.02, 0.02),
        (0.02, 0.35, 0.12),
    )
    half, z = rng.uniform(0.1, 0.4), rng.uniform(1.4, min(3.4, height - 0.6))
    sheet = Material("paper", shades[int(rng.integers(4))], 0.1)
    return [
        plates([(-0.008, 0, z)], (2 * half, rng.uniform(0.2, 0.45)), 0, -1, sheet),
        plates([(-0.009, 0, z)], (half, 0.08), 0, -1, PAPER),
    ]


def _fire_point(rng: np.random.Generator, height: float) -> Fixture:
    """Build a fire extinguisher on the wall below a red sign."""
    red, black = Material("paint", (0.55, 0.02, 0.02), 0.2), Material("plastic", (0.02, 0.02, 0.02), 0.2)
    return [
        cylinder((-0.1, 0, 0.75), (-0.1, 0, 1.2), 0.075, red, 16),
        cylinder((-0.1, 0, 1.2), (-0.1, 0, 1.28), 0.03, black, 8),
        tube([(-0.1, 0.02, 1.26), (-0.1, 0.1, 1.15), (-0.1, 0.09, 0.85)], 0.011, black, 6),
        plates([(-0.006, 0, 1.75)], (0.2, 0.2), 0, -1, Material("paper", (0.55, 0.02, 0.02), 0.1)),
        plates([(-0.007, 0, 1.75)], (0.06, 0.12), 0, -1, PAPER),
    ]


def _pipes(rng: np.random.Generator, height: float) -> Fixture:
    """Build one to three pipes from floor to roof."""
    shade: Colour = (0.02, 0.02, 0.022) if rng.random() < 0.4 else (0.45, 0.46, 0.47)
    metal = Material("paint", shade, 0.5)
    radius = rng.uniform(0.025, 0.07)
    middles = [float(y) for y in np.arange(int(rng.integers(1, 4))) * (2.6 * radius)]
    clips = [(-radius, y, z) for y in middles for z in np.arange(0.8, height - 0.3, 1.6)]
    return [
        *[tube([(-radius - 0.01, y, 0), (-radius - 0.01, y, height)], radius, metal, 12) for y in middles],
        boxes(clips, (2 * radius + 0.01, 2.2 * radius, 0.03), ZINC),
    ]


def _switchgear(rng: np.random.Generator, height: float) -> Fixture:
    """Build one or two switch boxes with conduits up to the roof."""
    grey = Material("paint", (0.45, 0.45, 0.43), 0.4)
    parts: Fixture = []
    for y in (-0.2, 0.2)[: int(rng.integers(1, 3))]:
        z = rng.uniform(1.2, 1.6)
        parts += [
            box((-0.13, y - 0.15, z - 0.2), (-0.001, y + 0.15, z + 0.2), grey),
            plates([(-0.1305, y, z)], (0.1, 0.1), 0, -1, Material("paper", (0.8, 0.55, 0.02), 0.1)),
            tube([(-0.03, y, z + 0.2), (-0.03, y, height)], 0.012, ZINC, 6),
        ]
    return parts


WALL_MOUNTED = (_notice_board, _sign, _fire_point, _pipes, _switchgear)
"""Functions that build the fixtures between doors."""
_SHARES = (0.2, 0.3, 0.15, 0.2, 0.15)
"""Probability of each of these fixtures."""


def windows(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build bands of window panes, which are bright enough to be overexposed."""
    length, half, height = params["length"], params["width"] / 2, params["height"]
    glow = Material("emission", (0.85, 0.93, 1.0), round(float(rng.uniform(*params["glow"])), 1))
    low = max(1.8, height * rng.uniform(0.45, 0.7))
    high = min(height - 0.4, low + 1.3)
    side, panes = int(rng.choice([-1, 1])), np.arange(1.9, length - 1.5, 2.4)
    middle = [(x, side * (half - 0.015), (low + high) / 2) for x in panes]
    parts = [plates(middle, (1.8, high - low), 1, -side, glow)]
    parts.append(boxes(middle, (0.05, 0.04, high - low), _DARK))
    if rng.random() < 0.5:
        across = [
            (length - 0.015, y, (low + high) / 2) for y in np.arange(-half * 0.8 + 0.6, half * 0.8, 1.4)
        ]
        parts.append(plates(across, (1.3, high - low), 0, -1, glow))
    return parts
