"""Build random shapes in random colours: cheap distractors (Tremblay et al. 2018). No bpy."""

from __future__ import annotations

import numpy as np

from blender.geometry.mesh import Colour, Floats, Material, Part, boxes, plates, prism, tube
from blender.parts.soft import cushion
from blender.parts.variants import grounded

_SURFACES = ("paint", "plastic", "steel", "rubber", "cardboard", "wood", "fabric", "wrap", "galvanised")


def distractor(rng: np.random.Generator) -> list[Part]:
    """Build one to four random solids side by side and on each other; the lowest stands on z = 0."""
    parts: list[Part] = []
    for _ in range(int(rng.integers(1, 5))):
        solid = _solid(rng)
        at = rng.uniform(-0.35, 0.35, 3) * [1, 1, 0] + [0, 0, rng.choice([0.0, 0.0, 0.3])]
        parts += [part.moved(at, rng.uniform(-3, 3)) for part in solid]
    return grounded(parts)


def _colour(rng: np.random.Generator) -> Colour:
    """Draw any colour: random hue, saturation and brightness."""
    rgb = rng.random(3) ** rng.uniform(0.5, 2.0) * rng.uniform(0.05, 0.8)
    r, g, b = (round(float(c), 3) for c in rgb)
    return (r, g, b)


def _tints(rng: np.random.Generator, count: int) -> Floats:
    """Draw a pattern for ``count`` faces: (count, 3) of two or of many colours, linear RGB."""
    if rng.random() < 0.5:
        return np.array([_colour(rng), _colour(rng)])[np.arange(count) % 2]
    return np.array([_colour(rng) for _ in range(count)])


def _solid(rng: np.random.Generator) -> list[Part]:
    """Build one solid about the origin."""
    surface = _SURFACES[int(rng.integers(len(_SURFACES)))]
    material = Material(surface, _colour(rng), round(float(rng.uniform(0, 0.9)), 1))
    white = Material(surface, (1.0, 1.0, 1.0), material.wear)
    size = rng.uniform(0.08, 0.5, 3) * rng.uniform(0.5, 1.6)
    kind = int(rng.integers(8))
    if kind == 0:  # a box with a printed side
        x, y, z = size
        marks = rng.uniform(-0.35, 0.35, (4, 3)) * size
        marks[:, 0] = x / 2 + 0.002
        pattern = plates(marks, rng.uniform(0.1, 0.3, (4, 2)) * [y, z], 0, 1, white, _tints(rng, 4))
        return [boxes([(0, 0, 0)], size, material), pattern]
    if kind == 1:  # bars in a row, in a pattern
        count = int(rng.integers(3, 9))
        centres = np.zeros((count, 3))
        centres[:, int(rng.integers(3))] = np.arange(count) * 0.12
        return [boxes(centres, np.minimum(size, 0.4), white, _tints(rng, count))]
    if kind == 2:  # a cylinder or a cone, upright or lying
        path = [(0, 0, 0), (0, 0, 2 * size[2]) if rng.random() < 0.5 else (2 * size[0], 0, 0)]
        radii = rng.uniform(0.05, 0.3, 2) if rng.random() < 0.5 else [0.6 * size[1]] * 2
        return [tube(path, list(radii), material, int(rng.integers(3, 18)))]
    if kind == 3:
        return [cushion((float(size[0]), float(size[1]), float(size[2])), material)]
    if kind == 4:  # a ring
        angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        flat = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) * (0.15 + 0.6 * size[0])
        ring = flat if rng.random() < 0.5 else flat[:, [0, 2, 1]]
        return [tube(ring, 0.02 + 0.12 * size[1], material, 8, closed=True)]
    if kind == 5:  # an L of two bars, as a fork or a tiller may look
        long, thick = 0.4 + size[0], 0.03 + 0.2 * size[1]
        upright = 0.2 + 1.2 * size[2]
        bars = [(long / 2, 0, thick / 2), (0, 0, upright / 2)]
        return [boxes(bars, [(long, thick * 1.5, thick), (thick, thick * 1.5, upright)], material)]
    if kind == 6:  # a bent tube
        points = np.cumsum(rng.uniform(-0.35, 0.35, (4, 3)), axis=0)
        return [tube(points, 0.015 + 0.08 * size[0], material, 7)]
    corners = int(rng.integers(3, 7))
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    outline = np.stack([np.cos(angle), np.sin(angle)], 1) * size[:2]
    return [prism(outline, 0.0, float(2 * size[2]), int(rng.choice([0, 2])), material)]
