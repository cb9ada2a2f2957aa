"""Build the steel of pallet racks: uprights with slots and braces, beams with labels, boarded levels. No bpy.

``params`` are a rack's parameters: see ``blender.objects.rack``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender.geometry.mesh import Colour, Material, Part, boxes, plates, repeat, tube
from blender.parts.fittings import YELLOW

STEELS: dict[str, Colour] = {
    "blue": (0.03, 0.09, 0.30),
    "orange": (0.70, 0.13, 0.02),
    "black": (0.02, 0.02, 0.022),
    "yellow": (0.75, 0.42, 0.02),
    "galvanised": (0.42, 0.43, 0.44),
    "green": (0.03, 0.16, 0.10),
    "red": (0.5, 0.05, 0.02),
}
DEPTH, BAY, POST = 1.1, 2.7, 0.1
"""Depth of a rack, width of a bay, width of an upright, metres."""
UPRIGHT_ABOVE = 0.6
"""Height of the uprights above the top level, metres."""
LABELS: dict[str, tuple[Colour, float]] = {
    "white": ((0.75, 0.75, 0.72), 0.07),
    "yellow": ((0.78, 0.56, 0.04), 0.07),
    "green": ((0.25, 0.55, 0.15), 0.09),
    "long": ((0.75, 0.75, 0.72), 0.05),
}
"""Location labels on beams: colour, linear RGB, and height, metres."""


def bay_start(params: dict[str, Any], bay: int) -> float:
    """Return the x where a bay starts, metres."""
    return float((bay - params["bays"] / 2) * BAY)


def frames(params: dict[str, Any]) -> list[Part]:
    """Build the uprights and the zigzag braces between them."""
    steel = Material("paint", STEELS[params["uprights"]], 0.5)
    zinc = Material("galvanised", (0.4, 0.4, 0.42), 0.4)
    height = level_height(params, params["levels"]) + UPRIGHT_ABOVE
    x = np.array([bay_start(params, bay) for bay in range(params["bays"] + 1)])
    feet = np.stack(np.meshgrid(x, (POST / 2, DEPTH - POST / 2), (0.0,), indexing="ij"), -1).reshape(-1, 3)
    near, far, braces = 0.06, DEPTH - 0.06, []
    for number, z in enumerate(np.arange(0.15, height - 0.7, 0.6)):
        start, end = (near, far) if number % 2 == 0 else (far, near)
        brace = tube([(0, start, z), (0, end, z + 0.6)], 0.018, zinc, 5)
        braces.append(repeat(brace, np.stack([x, 0 * x, 0 * x], 1)))
    return [
        boxes(feet + np.array([0, 0, height / 2]), (0.09, POST, height), steel),
        boxes(feet + np.array([0, 0, 0.005]), (0.14, 0.16, 0.01), zinc),
        *braces,
    ]


def holes(params: dict[str, Any]) -> list[Part]:
    """Build the rows of slots in the uprights: dark plates on their front and their sides."""
    height = level_height(params, params["levels"]) + UPRIGHT_ABOVE
    shadow = Material("paper", (0.012, 0.012, 0.014), 0.0)
    levels = np.arange(0.1, height - 0.05, 0.1)
    x = np.array([bay_start(params, bay) for bay in range(params["bays"] + 1)])
    front = np.stack(np.meshgrid(x, (-0.0015,), levels, indexing="ij"), -1).reshape(-1, 1, 3)
    front = (front + np.array([[-0.022, 0, 0], [0.022, 0, 0.05]])).reshape(-1, 3)
    side = np.stack(np.meshgrid(x, (0.05,), levels, indexing="ij"), -1).reshape(-1, 3)
    parts = [plates(front, (0.012, 0.04), 1, -1, shadow)]
    return parts + [plates(side + np.array([0.0465 * s, 0, 0]), (0.02, 0.05), 0, s, shadow) for s in (-1, 1)]


def decks(params: dict[str, Any], rng: np.random.Generator) -> Part:
    """Build the boards across the beams, which carry the pallets."""
    wood = Material("wood", (0.42, 0.32, 0.21), 0.5)
    across = np.arange(0.17, BAY - 0.1, 0.16)
    starts = [bay_start(params, bay) for bay in range(params["bays"])]
    centres = [
        (x + at, DEPTH / 2, level_height(params, level) - 0.011)
        for x in starts for level in range(1, params["levels"] + 1) for at in across
    ]  # fmt: skip
    return boxes(
        centres, (0.15, DEPTH - 0.11, 0.02), wood, rng.uniform(0.7, 1.1, (len(centres), 1)) * np.ones(3)
    )


def _signs(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build the bays' number plates, and large boards with dark characters at some ends."""
    yellow, ink = Material("paper", YELLOW, 0.1), Material("paper", (0.02, 0.02, 0.02), 0.1)
    x = [bay_start(params, bay) for bay in range(params["bays"] + 1)]
    parts = [plates([(at, -0.003, 1.75) for at in x], (0.085, 0.16), 1, -1, yellow)]
    if rng.random() < 0.25:
        wide, high = rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.5)
        middle = np.array([x[0] + wide / 2 - POST / 2, -0.02, rng.uniform(1.4, 2.4)])
        board, letter = (yellow, ink) if rng.random() < 0.75 else (ink, yellow)
        strokes = rng.uniform([-0.35, -0.002, -0.25], [0.35, -0.002, 0.25], (5, 3)) * [wide, 1, high]
        sizes = np.where(rng.random((5, 1)) < 0.5, [0.05, 0.6], [0.2, 0.1]) * [wide, high]
        parts.append(plates([middle], (wide, high), 1, -1, board))
        parts.append(plates(middle + strokes * [1, 1, 0.4], sizes, 1, -1, letter))
    return parts


def level_height(params: dict[str, Any], level: int) -> float:
    """Return the height of a level's top, metres; level 0 is the floor, or a beam near the floor."""
    return float(level * params["pitch"] + params["rise"] if level else params["base"])


def beams(params: dict[str, Any], rng: np.random.Generator) -> list[Part]:
    """Build the beams, their end plates, labels on them, and the bays' number plates."""
    steel = Material("paint", STEELS[params["beams"]], 0.4)
    levels = [level_height(params, k) for k in range(0 if params["base"] else 1, params["levels"] + 1)]
    middles = [bay_start(params, bay) + BAY / 2 for bay in range(params["bays"])]
    centres = [(x, y, z - 0.06) for x in middles for z in levels for y in (0.025, DEPTH - 0.025)]
    ends = [(x + s * (BAY / 2 - 0.06), -0.004, z) for x, y, z in centres if y < 0.1 for s in (-1, 1)]
    parts = [boxes(centres, (BAY - 0.09, 0.05, 0.12), steel), boxes(ends, (0.05, 0.012, 0.2), steel)]
    parts += _signs(params, rng)
    if params["labels"] == "none":
        return parts
    colour, high = LABELS[params["labels"]]
    wide = 0.34 if params["labels"] == "long" else 0.14
    places = np.linspace(-0.9, 0.9, int(rng.integers(3, 7))) + rng.uniform(-0.12, 0.12)
    labels = np.array([(x + o, -0.002, z - 0.06) for x in middles for z in levels for o in places])
    labels = labels[rng.random(len(labels)) < 0.85]
    if len(labels):
        ink = Material("paper", (0.03, 0.03, 0.035), 0.1)
        parts.append(plates(labels, (wide, high), 1, -1, Material("paper", colour, 0.2)))
        parts.append(
            plates(labels + np.array([0.12 * wide, -0.001, 0]), (0.55 * wide, 0.42 * high), 1, -1, ink)
        )
    return parts
