"""Build shelves for picking in a rack: rows of bins, Euro containers, cartons, dark parts. No bpy."""

from __future__ import annotations

import numpy as np

from blender.geometry.mesh import Floats, Material, Part, boxes, move, plates
from blender.parts.containers import bin_row, container_row, plastic
from blender.parts.loads import mixed_cartons
from blender.parts.machine_parts import heap

CONTENTS = ("bins", "containers", "cartons", "parts", "mixed")
"""What stands on the shelves."""
_PITCH = {"bins": 0.3, "containers": 0.5, "cartons": 0.45, "parts": 0.42, "mixed": 0.42}
"""Mean distance between two shelves, metres."""


def storey(
    rng: np.random.Generator,
    contents: str,
    size: tuple[float, float, float],
    colours: list[Floats],
    edge: Material,
) -> list[Part]:
    """Build the shelves of a bay's storey and what stands on them; the fronts face -y.

    Args:
        rng: draws distances and contents.
        contents: an element of ``CONTENTS``.
        size: width, depth and height of the storey, metres; its middle is at x = 0, its front at y = 0.
        colours: linear RGB (3,) of bins and containers.
        edge: material of the shelves' front edges.
    """
    width, depth, height = size
    count = max(1, round(height / (_PITCH[contents] * rng.uniform(0.8, 1.25))))
    levels = np.arange(count) * height / count
    room = height / count - 0.05
    parts: list[Part] = []
    if count > 1:
        wood = rng.random() < 0.5
        board = (
            Material("wood", (0.40, 0.31, 0.2), 0.4)
            if wood
            else Material("galvanised", (0.4, 0.4, 0.41), 0.4)
        )
        centres = [(0.0, depth / 2, z - 0.012) for z in levels[1:]]
        fronts = [(0.0, -0.004, z - 0.02) for z in levels[1:]]
        parts += [boxes(centres, (width, depth, 0.02), board), boxes(fronts, (width, 0.02, 0.04), edge)]
        label = Material("paper", (0.72, 0.72, 0.70) if rng.random() < 0.6 else (0.75, 0.55, 0.05), 0.1)
        notes = [(x, -0.0155, z - 0.02) for z in levels[1:] for x in np.arange(-0.45, 0.46, 0.18) * width]
        parts.append(plates(notes, (0.09, 0.03), 1, -1, label))
    for z in levels:
        if rng.random() < 0.06:
            continue
        parts += move(_row(rng, contents, (width, depth, room), colours), (0, 0.015, z))
    return parts


def _row(
    rng: np.random.Generator, contents: str, size: tuple[float, float, float], colours: list[Floats]
) -> list[Part]:
    """Build what stands on one shelf of ``size`` metres."""
    width, depth, room = size
    name = contents
    if contents == "mixed":
        name = ("bins", "containers", "cartons", "parts")[int(rng.integers(4))]
    if name == "bins":
        own = colours if rng.random() < 0.8 else [plastic(rng)]
        rows, stacked = bin_row(rng, width, depth, room, own), 0.0
        high = float(max(part.vertices[:, 2].max() for part in rows))
        parts = list(rows)
        while stacked + 2 * high < room and rng.random() < 0.6:  # bins stand on bins
            stacked += high
            parts += move(rows, (0, 0, stacked))
        return parts
    if name == "containers":
        return container_row(rng, width, depth, room, colours)
    if name == "parts":
        return move(heap(rng, (0.95 * width, 0.8 * depth, room)), (0, depth / 2, 0))
    halves = [mixed_cartons(rng, room, 0.4, (0.46 * width, 0.6 * depth)) for _ in range(2)]
    return [
        p
        for s, half in zip((-1, 1), halves, strict=True)
        for p in move(half, (s * 0.245 * width, 0.33 * depth, 0))
    ]
