"""Build protectors of rack uprights: angles, plates, plastic shells, posts. No bpy."""

from __future__ import annotations

import numpy as np

from blender.geometry.mesh import Colour, Material, Part, boxes, cylinder, plates, prism, repeat
from blender.parts.fittings import BLACK, YELLOW, striped

PAINTS: dict[str, tuple[Colour, ...]] = {
    "yellow": (YELLOW, (0.78, 0.38, 0.01), (0.72, 0.34, 0.01), (0.80, 0.58, 0.03)),
    "lime": ((0.62, 0.68, 0.03), (0.55, 0.62, 0.05)),
    "red": ((0.45, 0.02, 0.015), (0.6, 0.08, 0.02)),
    "orange": ((0.7, 0.2, 0.01),),
}
"""Shades of the protectors' colours, linear RGB."""
STYLES = ("angle", "shell", "plate", "post", "striped", "high", "painted")
"""Shapes of protectors of uprights; see ``upright``."""


def upright(style: str, colour: str, rng: np.random.Generator) -> list[Part]:
    """Build a protector of an upright whose front is at y = 0 and whose middle is at x = 0; it faces -y.

    Args:
        style: an element of ``STYLES``.
        colour: a key of ``PAINTS``.
        rng: draws shade, height and wear.
    """
    shades = PAINTS[colour]
    wear = round(float(rng.uniform(0.1, 0.9)), 1)
    paint = Material("paint", shades[int(rng.integers(len(shades)))], wear)
    high = float(rng.uniform(0.38, 0.62))
    if style == "shell":  # rounded plastic with a groove and a maker's mark
        skin = Material("plastic", paint.colour, wear)
        half = float(rng.uniform(0.075, 0.1))
        right = [(0.055, -0.055), (half, -0.02), (half, 0.09)]
        outline = [*[(-x, y) for x, y in reversed(right)], *right]
        groove = Material("plastic", BLACK, 0.3)
        marks = plates([(0, -0.0562, high * 0.82)], (0.05, 0.05), 1, -1, groove)
        grooves = [(at, -0.0562, high * 0.4) for at in (-0.028, 0.0, 0.028)]
        lines = plates(grooves, (0.005, high * 0.6), 1, -1, groove)
        return [prism(outline, 0.0, high, 2, skin), marks, lines]
    if style == "post":  # a round post in front of the upright
        parts = [cylinder((0, -0.03, 0), (0, -0.03, high), 0.055, paint, 14)]
        return [*parts, boxes([(0, -0.005, 0.005)], (0.16, 0.16, 0.01), paint)]
    if style == "striped":
        colours = (paint.colour, BLACK)
        sides = [striped((s * 0.075, 0.02, high / 2), (0.01, 0.12, high), 2, 0.09, colours) for s in (-1, 1)]
        return [striped((0, -0.045, high / 2), (0.16, 0.012, high), 2, 0.09, colours), *sides]
    if style == "painted":  # the lowest part of the upright itself
        return [boxes([(0, 0.05, high / 2)], (0.105, 0.115, high), paint)]
    if style == "high":
        high = 1.1
    if style == "plate":
        return [boxes([(0, -0.03, high / 2)], (0.19, 0.012, high), paint), _foot(paint)]
    walls = [(0, -0.045, high / 2), (-0.075, 0.02, high / 2), (0.075, 0.02, high / 2)]
    sizes = [(0.16, 0.01, high), (0.01, 0.13, high), (0.01, 0.13, high)]
    bolt = Material("steel", (0.2, 0.2, 0.2))
    holes = plates([(0, -0.0505, z) for z in (0.08, high - 0.06)], (0.025, 0.025), 1, -1, bolt)
    return [boxes(walls, sizes, paint), holes, _foot(paint)]


def _foot(paint: Material) -> Part:
    """Build the base plate of a protector."""
    return boxes([(0, -0.02, 0.004)], (0.2, 0.13, 0.008), paint)


def uprights(style: str, colour: str, x: list[float], rng: np.random.Generator) -> list[Part]:
    """Build equal protectors of the uprights at ``x`` (metres along a rack); a few are missing."""
    kept = [at for at in x if rng.random() < 0.93]
    if not kept:
        return []
    offsets = np.column_stack([kept, np.zeros((len(kept), 2))])
    return [repeat(part, offsets) for part in upright(style, colour, rng)]
