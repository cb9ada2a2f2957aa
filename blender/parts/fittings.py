"""Fittings that many objects share: wheels, castors, wire walls, warning stripes, labels. No bpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from blender.geometry.mesh import Colour, Material, Part, boxes, cylinder, plates

YELLOW: Colour = (0.82, 0.50, 0.02)
BLACK: Colour = (0.02, 0.02, 0.022)
BRIGHT: tuple[Colour, ...] = (
    (0.75, 0.42, 0.02),
    (0.45, 0.03, 0.02),
    (0.02, 0.09, 0.38),
    (0.05, 0.2, 0.08),
    (0.3, 0.3, 0.31),
    (0.7, 0.15, 0.02),
)
"""Usual paints of steel objects, linear RGB."""
RUBBER = Material("rubber", (0.025, 0.025, 0.025), 0.6)
ZINC = Material("galvanised", (0.5, 0.5, 0.52), 0.3)
PAPER = Material("paper", (0.72, 0.72, 0.70), 0.1)


def bright(rng: np.random.Generator) -> Colour:
    """Draw one of the colours of ``BRIGHT``."""
    return BRIGHT[int(rng.integers(len(BRIGHT)))]


def wheel(centre: Sequence[float], radius: float, width: float, tyre: Material = RUBBER) -> list[Part]:
    """Build a wheel with a paler hub that rolls along x; ``centre`` is (3,) metres."""
    x, y, z = centre
    hub = Material("paint", (0.35, 0.35, 0.34), 0.5)
    return [
        cylinder((x, y - width / 2, z), (x, y + width / 2, z), radius, tyre, 18),
        cylinder((x, y - width / 2 - 0.004, z), (x, y + width / 2 + 0.004, z), radius * 0.55, hub, 12),
    ]


def castors(positions: Sequence[tuple[float, float]], radius: float, tyre: Material = RUBBER) -> list[Part]:
    """Build castors with brackets on the floor at (x, y) metres; they are 2.5 radii high."""
    parts = [part for x, y in positions for part in wheel((x, y, radius), radius, 0.032, tyre)]
    forks = [(x, y + side, 1.55 * radius) for x, y in positions for side in (-0.022, 0.022)]
    crowns = [(x, y, 2.42 * radius) for x, y in positions]
    parts.append(boxes(forks, (radius * 0.8, 0.005, 1.9 * radius), ZINC))
    parts.append(boxes(crowns, (radius * 1.2, 0.06, 0.16 * radius), ZINC))
    return parts


def wire_walls(
    size: tuple[float, float],
    span: tuple[float, float],
    gap: float,
    wire: Material,
    sides: str = "lrfb",
    thick: float = 0.006,
) -> Part:
    """Build walls of welded wire around a rectangle.

    Args:
        size: size of the rectangle along x and y, metres.
        span: lower and upper height of the walls, metres.
        gap: distance between two wires, metres.
        wire: material of the wires.
        sides: walls to build: l (+y), r (-y), f (+x), b (-x).
        thick: thickness of a wire, metres.
    """
    (x, y), (low, high) = size, span
    centres: list[tuple[float, float, float]] = []
    extents: list[tuple[float, float, float]] = []
    levels, middle = np.arange(low, high + 1e-6, gap), (low + high) / 2
    for side in sides:
        if side in "lr":
            at = y / 2 if side == "l" else -y / 2
            columns = np.linspace(-x / 2, x / 2, round(x / gap) + 1)
            centres += [(c, at, middle) for c in columns] + [(0.0, at, z) for z in levels]
            extents += [(thick, thick, high - low)] * len(columns) + [(x, thick, thick)] * len(levels)
        else:
            at = x / 2 if side == "f" else -x / 2
            columns = np.linspace(-y / 2, y / 2, round(y / gap) + 1)
            centres += [(at, c, middle) for c in columns] + [(at, 0.0, z) for z in levels]
            extents += [(thick, thick, high - low)] * len(columns) + [(thick, y, thick)] * len(levels)
    return boxes(centres, extents, wire)


def striped(
    centre: Sequence[float], size: Sequence[float], axis: int, pitch: float, colours: tuple[Colour, Colour]
) -> Part:
    """Build a bar with stripes of two colours along ``axis``.

    Args:
        centre: (3,) metres.
        size: (3,) metres.
        axis: direction in which the stripes follow each other: 0, 1 or 2.
        pitch: approximate width of a stripe, metres.
        colours: the two colours of the stripes.
    """
    count = max(2, round(size[axis] / pitch))
    extent = np.array(size, float)
    extent[axis] /= count
    centres = np.tile(np.asarray(centre, float), (count, 1))
    centres[:, axis] += (np.arange(count) - (count - 1) / 2) * extent[axis]
    tint = np.array([colours[k % 2] for k in range(count)])
    return boxes(centres, extent, Material("paint", (1.0, 1.0, 1.0), 0.5), tint)


def label(centre: Sequence[float], size: tuple[float, float], axis: int, side: int) -> list[Part]:
    """Build a printed sheet of paper that faces ``axis`` (0 = x, 1 = y) on ``side`` (+1 or -1)."""
    w, h = size
    middle = np.asarray(centre, float)
    lift = np.zeros(3)
    lift[axis] = side * 0.0006
    lines = np.tile(middle + lift, (3, 1))
    lines[:, 2] += np.array([0.28, 0.0, -0.22]) * h
    ink = Material("paper", (0.06, 0.06, 0.07), 0.1)
    return [
        plates(middle[None], (w, h), axis, side, PAPER),
        plates(lines, [(w * 0.8, h * 0.22), (w * 0.7, h * 0.06), (w * 0.8, h * 0.06)], axis, side, ink),
    ]
