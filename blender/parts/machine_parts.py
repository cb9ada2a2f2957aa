"""Build machine and car parts: batteries, heaps of odd dark things in boxes or on shelves. No bpy."""

from __future__ import annotations

import numpy as np

from blender.geometry.mesh import (
    Colour,
    Material,
    Part,
    boxes,
    cylinder,
    move,
    plates,
    repeat,
    rounded_path,
    tube,
)
from blender.parts.fittings import PAPER, bright, wire_walls
from blender.parts.soft import AREA, cushion, shade

_DARK: tuple[Colour, ...] = (
    (0.015, 0.015, 0.016),
    (0.03, 0.03, 0.032),
    (0.05, 0.048, 0.045),
    (0.09, 0.08, 0.07),
    (0.1, 0.055, 0.03),
    (0.2, 0.2, 0.21),
)
_SURFACES = ("paint", "steel", "plastic", "rubber")


def _material(rng: np.random.Generator) -> Material:
    """Draw a dark metal, plastic or rubber; a few parts have a bright paint."""
    if rng.random() < 0.12:
        return Material("paint", bright(rng), 0.6)
    return Material(
        _SURFACES[int(rng.integers(4))], shade(rng, _DARK), round(float(rng.uniform(0.3, 0.9)), 1)
    )


def _odd_part(rng: np.random.Generator, length: float, size: float) -> list[Part]:
    """Build a part on z = 0, at most ``length`` metres long and about ``size`` metres wide and high."""
    material, kind = _material(rng), int(rng.integers(6))
    half, s = length / 2, size * rng.uniform(0.5, 1.0)
    if kind == 0:  # an exhaust pipe with a silencer
        points = np.stack(
            [np.linspace(-half, half, 5), rng.uniform(-0.3, 0.3, 5) * s, rng.uniform(0.2, 0.6, 5) * s], 1
        )
        body = points[1:3] * [1, 1, 0] + [0, 0, 0.4 * s]
        return [tube(rounded_path(points, 0.1), 0.13 * s, material, 7), tube(body, 0.38 * s, material, 10)]
    if kind == 1:  # a bumper
        angle = np.linspace(-1.0, 1.0, 6)
        points = np.stack(
            [half * np.sin(angle) / 0.85, -0.5 * s * (np.cos(angle) - 0.75), np.full(6, 0.45 * s)], 1
        )
        return [tube(points, [0.25 * s, *[0.4 * s] * 4, 0.25 * s], material, 6)]
    if kind == 2:  # a housing with a flange
        return [
            boxes(
                [(0, 0, 0.4 * s), (0.15 * half, 0, 0.85 * s)],
                [(1.1 * half, 0.9 * s, 0.8 * s), (0.5 * half, 0.5 * s, 0.15 * s)],
                material,
            ),
            cylinder((0.5 * half, 0, 0.45 * s), (0.68 * half, 0, 0.45 * s), 0.42 * s, material, 12),
        ]
    if kind == 3:  # discs
        steps = np.linspace(0, 0.6 * half, int(rng.integers(2, 5)))
        return [
            cylinder((x, 0, 0.45 * s), (x + 0.1 * half, 0, 0.45 * s), 0.45 * s, material, 14) for x in steps
        ]
    if kind == 4:  # something in a bag
        return [cushion((1.2 * half, s, 0.7 * s), material).moved((0, 0, 0.35 * s))]
    profile = [(-half, 0.0, 0.3 * s), (half, 0.0, 0.3 * s)]  # profiles side by side
    return [tube(profile, 0.12 * s, material, 4).moved((0, y, 0)) for y in np.linspace(-0.4, 0.4, 4) * s]


def heap(rng: np.random.Generator, size: tuple[float, float, float]) -> list[Part]:
    """Build odd parts in layers within a box of ``size`` metres that stands on z = 0."""
    parts: list[Part] = []
    rows = max(1, round(size[1] / 0.28))
    each = min(size[1] / rows, 0.32)
    for layer in range(max(1, min(3, round(size[2] / each)))):
        for row in range(rows):
            if rng.random() < 0.15 + 0.2 * layer:
                continue
            length = size[0] * float(rng.uniform(0.35, 0.95))
            at = (
                rng.uniform(-0.5, 0.5) * (size[0] - length),
                ((row + 0.5) / rows - 0.5) * (size[1] - 0.04),
                0.85 * each * layer,
            )
            parts += move(_odd_part(rng, length, each), at, rng.normal(0, 0.05))
    return parts or move(_odd_part(rng, 0.6 * size[0], each), (0, 0, 0))


def parts_box(rng: np.random.Generator, height: float, wear: float) -> list[Part]:
    """Build batteries, or a low steel or mesh box with odd parts that stand out of it."""
    if rng.random() < 0.3:
        return _batteries(rng, height)
    steel = (
        Material("paint", bright(rng), 0.8) if rng.random() < 0.5 else Material("steel", (0.1, 0.1, 0.1), 0.9)
    )
    wall = max(0.2, min(height * float(rng.uniform(0.6, 0.95)), 0.8))
    if rng.random() < 0.5:
        walls = wire_walls((1.16, 0.76), (0.0, wall), 0.1, steel, thick=0.008)
    else:
        sides = [(0, y, wall / 2) for y in (-0.38, 0.38)] + [(x, 0, wall / 2) for x in (-0.58, 0.58)]
        walls = boxes(sides, [(1.18, 0.02, wall)] * 2 + [(0.02, 0.76, wall)] * 2, steel)
    posts = boxes(
        [(x, y, wall / 2) for x in (-0.57, 0.57) for y in (-0.37, 0.37)], (0.04, 0.04, wall + 0.02), steel
    )
    note = plates([(-0.5925, 0.1, wall * 0.6)], (0.21, 0.15), 0, -1, PAPER)
    if rng.random() < 0.35:
        return [walls, posts, note, *_wheels(rng, wall)]
    bottom = 0.5 * wall
    contents = heap(rng, (1.08, 0.68, min(height - bottom, 0.55)))
    floor = boxes([(0, 0, bottom / 2)], (1.14, 0.74, bottom), Material("rubber", (0.02, 0.02, 0.02), 0.5))
    return [walls, posts, note, floor, *move(contents, (0, 0, bottom))]


def _wheels(rng: np.random.Generator, height: float) -> list[Part]:
    """Build shiny wheels or flanges that stand in a row in a box, with coloured plugs and dark bolts."""
    radius = min(0.35, 0.55 * height)
    metal = Material("galvanised", shade(rng, ((0.45, 0.45, 0.46), (0.2, 0.2, 0.2), (0.05, 0.05, 0.05))), 0.4)
    plug, dark = Material("plastic", bright(rng), 0.2), Material("steel", (0.05, 0.05, 0.05), 0.5)
    x = np.arange(-0.5, 0.46, float(rng.uniform(0.16, 0.3)))
    places = np.stack([x, 0 * x, np.full(len(x), radius + 0.01)], 1)
    angle = np.arange(10) * np.pi / 5
    bolts = np.stack([np.full(10, -0.003), np.cos(angle) * 0.75 * radius, np.sin(angle) * 0.75 * radius], 1)
    return [
        repeat(cylinder((0, 0, 0), (0.05, 0, 0), radius, metal, 20), places),
        repeat(cylinder((-0.06, 0, 0), (0.12, 0, 0), 0.45 * radius, metal, 14), places),
        repeat(cylinder((-0.065, 0, 0), (0.1, 0, 0), 0.2 * radius, plug, 10), places),
        repeat(plates(bolts, (0.05 * radius + 0.012, 0.05 * radius + 0.012), 0, -1, dark), places),
    ]


def _batteries(rng: np.random.Generator, height: float) -> list[Part]:
    """Build layers of black batteries with paler lids and stickers."""
    nx, ny, each = int(rng.integers(4, 7)), int(rng.integers(2, 4)), float(rng.uniform(0.19, 0.26))
    cells = np.stack(
        np.meshgrid(np.arange(nx), np.arange(ny), np.arange(max(1, int(height / each))), indexing="ij"), -1
    )
    grid = cells.reshape(-1, 3)
    grid = grid[(grid[:, 2] == 0) | (rng.random(len(grid)) < 0.9)]
    size = np.array([AREA[0] / nx, AREA[1] / ny, each])
    centres = (grid + 0.5) * size - [AREA[0] / 2, AREA[1] / 2, 0]
    black = Material("plastic", (0.015, 0.015, 0.016), 0.3)
    lid = Material("plastic", shade(rng, ((0.06, 0.06, 0.065), (0.4, 0.4, 0.4), (0.02, 0.05, 0.2))), 0.3)
    sticker = Material("paper", shade(rng, ((0.7, 0.7, 0.68), (0.5, 0.05, 0.03), (0.6, 0.4, 0.05))), 0.1)
    parts = [
        boxes(centres - [0, 0, 0.02], size - [0.012, 0.012, 0.05], black),
        boxes(centres + np.array([0, 0, each / 2 - 0.035]), size - [0.018, 0.018, 0.03], lid),
    ]
    for axis in (0, 1):
        for side in (-1, 1):
            out = np.zeros(3)
            out[axis] = side * (size[axis] / 2 - 0.005)
            parts.append(plates(centres + out, (size[1 - axis] * 0.5, each * 0.35), axis, side, sticker))
    return parts
