"""Furniture: desks, packing tables, chairs, shelves, cabinets. Unlabelled.

Origin: on the floor below the middle; the front faces +x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from blender.contract.limits import Weights
from blender.geometry.mesh import Material, Part, box, boxes, cylinder, move, plates, tube
from blender.parts import variants
from blender.parts.fittings import ZINC, bright, castors, label
from blender.parts.loads import mixed_cartons

sample = variants.sample
_DARK = Material("plastic", (0.02, 0.02, 0.022), 0.3)
SEATED_AT = ("desk", "packing_table")
"""Variants with a seat: a chair may stand in front of them."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "furniture"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""


def _top(rng: np.random.Generator) -> Material:
    """Draw the surface of a table top."""
    return (
        Material("wood", (0.45, 0.36, 0.26), 0.3)
        if rng.random() < 0.5
        else Material("plastic", (0.5, 0.5, 0.49), 0.3)
    )


def _desk(rng: np.random.Generator) -> list[Part]:
    """Build a desk with drawers, a screen, a keyboard and papers."""
    legs = [(x, y, 0.36) for x in (-0.36, 0.36) for y in (-0.72, 0.72)]
    steel = Material("paint", (0.3, 0.3, 0.31), 0.3)
    side = float(rng.choice([-1, 1]))
    screen = side * rng.uniform(0.0, 0.3)
    papers = rng.uniform([-0.2, -0.6, 0.7575], [0.3, 0.6, 0.758], (4, 3))
    return [
        box((-0.4, -0.78, 0.72), (0.4, 0.78, 0.75), _top(rng)),
        boxes(legs, (0.05, 0.05, 0.72), steel),
        box((-0.35, side * 0.5 - 0.2, 0.1), (0.33, side * 0.5 + 0.2, 0.68), steel),
        box((-0.25, screen - 0.27, 0.86), (-0.22, screen + 0.27, 1.2), _DARK),
        plates([(-0.219, screen, 1.03)], (0.5, 0.3), 0, 1, Material("paper", (0.15, 0.25, 0.4), 0.0)),
        box((-0.26, screen - 0.03, 0.75), (-0.2, screen + 0.03, 0.9), _DARK),
        box((0.0, screen - 0.22, 0.75), (0.15, screen + 0.22, 0.77), _DARK),
        plates(papers, (0.3, 0.21), 2, 1, Material("paper", (0.7, 0.7, 0.68), 0.1)),
    ]


def _packing_table(rng: np.random.Generator) -> list[Part]:
    """Build a table with a shelf above and a board below, cartons on both, a roll of paper."""
    steel = Material("paint", bright(rng) if rng.random() < 0.5 else (0.35, 0.36, 0.37), 0.4)
    half = rng.uniform(0.7, 1.0)
    ends = [(x, y, z) for x, z in ((-0.37, 0.9), (0.37, 0.43)) for y in (-half + 0.04, half - 0.04)]
    sizes = [(0.05, 0.05, 2 * z) for _, _, z in ends]
    start, end = (-0.1, -half + 0.3, 1.0), (-0.1, -half + 0.85, 1.0)  # of the roll
    wide = 1.5 * half
    return [
        box((-0.4, -half, 0.86), (0.4, half, 0.9), _top(rng)),
        boxes(ends, sizes, steel),
        boxes([(-0.25, 0, 1.5), (0, 0, 0.25)], [(0.35, 2 * half, 0.03), (0.7, 2 * half, 0.03)], steel),
        cylinder(start, end, 0.09, Material("cardboard", (0.48, 0.36, 0.22), 0.2)),
        *move(mixed_cartons(rng, 0.3, 0.3, (0.28, wide)), (-0.25, 0, 1.516)),
        *move(mixed_cartons(rng, 0.45, 0.3, (0.55, wide)), (0, 0, 0.266)),
    ]


def _chair(rng: np.random.Generator) -> list[Part]:
    """Build a swivel chair: five castors, a post, a seat and a back."""
    cloth = Material("fabric", (0.02, 0.02, 0.025) if rng.random() < 0.6 else bright(rng), 0.4)
    angle = np.arange(5) * 2 * np.pi / 5 + rng.uniform(0, 1)
    feet = [(0.28 * float(np.cos(a)), 0.28 * float(np.sin(a))) for a in angle]
    parts = castors(feet, 0.028)
    parts += [tube([(0, 0, 0.1), (x, y, 0.075)], 0.018, _DARK, 6) for x, y in feet]
    seat = rng.uniform(0.44, 0.58)
    parts += [
        cylinder((0, 0, 0.08), (0, 0, seat), 0.028, ZINC, 10),
        box((-0.22, -0.23, seat), (0.24, 0.23, seat + 0.07), cloth),
        box((-0.27, -0.2, seat + 0.18), (-0.21, 0.2, seat + 0.55), cloth),
        box((-0.29, -0.04, seat), (-0.26, 0.04, seat + 0.4), _DARK),
        box((-0.27, -0.04, seat - 0.015), (0.0, 0.04, seat), _DARK),
    ]
    return [part.moved(yaw=rng.uniform(-3, 3)) for part in parts]


def _shelving(rng: np.random.Generator) -> list[Part]:
    """Build shelves with small cartons."""
    steel = Material("paint", (0.02, 0.09, 0.35), 0.4) if rng.random() < 0.4 else ZINC
    half, high = rng.uniform(0.45, 0.65), rng.uniform(1.6, 2.1)
    posts = [(x, y, high / 2) for x in (-0.22, 0.22) for y in (-half, half)]
    parts = [boxes(posts, (0.035, 0.035, high), steel)]
    levels = np.linspace(0.12, high - 0.03, int(rng.integers(4, 6)))
    for z, above in zip(levels, [*levels[1:], high + 0.35], strict=True):
        parts.append(box((-0.24, -half, z), (0.24, half, z + 0.03), steel))
        if rng.random() < 0.75:
            room = above - z - 0.08
            parts += move(mixed_cartons(rng, min(0.4, room), 0.4, (0.4, 1.8 * half)), (0, 0, z + 0.031))
    return parts


def _locker(rng: np.random.Generator) -> list[Part]:
    """Build a tool cabinet, or up to three lockers in a row."""
    steel = Material("paint", (0.40, 0.41, 0.42) if rng.random() < 0.6 else bright(rng), 0.4)
    high, doors = rng.uniform(1.0, 2.0), int(rng.integers(1, 4))
    edges = np.linspace(-0.2 * doors, 0.2 * doors, doors + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    return [
        box((-0.22, edges[0], 0.06), (0.22, edges[-1], high), steel),
        box((-0.18, edges[0] + 0.03, 0), (0.18, edges[-1] - 0.03, 0.06), _DARK),
        boxes([(0.224, y, high / 2 + 0.03) for y in middle], (0.01, 0.37, high - 0.12), steel),
        boxes([(0.24, y + 0.13, high * 0.55) for y in middle], (0.02, 0.02, 0.12), _DARK),
        *label((0.2305, float(middle[0]), high * 0.75), (0.14, 0.1), 0, 1),
    ]


def _electrical(rng: np.random.Generator) -> list[Part]:
    """Build a grey switch cabinet on a plinth, with a warning sign and pipes that come from above."""
    half, high = rng.uniform(0.3, 0.6), rng.uniform(1.2, 2.0)
    grey, plinth = Material("paint", (0.45, 0.45, 0.42), 0.3), Material("paint", (0.05, 0.05, 0.05), 0.5)
    sign = Material("paper", (0.8, 0.6, 0.02), 0.1)
    return [
        box((-0.18, -half, 0.1), (0.18, half, high), grey),
        box((-0.17, -half + 0.02, 0), (0.17, half - 0.02, 0.1), plinth),
        box((0.181, -0.004, 0.14), (0.185, 0.004, high - 0.04), plinth),
        plates([(0.186, half * 0.5, high * 0.75)], (0.15, 0.15), 0, 1, sign),
        *[tube([(-0.1, y, high), (-0.1, y, high + 0.5)], 0.02, ZINC, 8) for y in (-0.1, 0.05, 0.12)],
    ]


VARIANTS: dict[str, variants.Builder] = {
    "desk": _desk,
    "packing_table": _packing_table,
    "chair": _chair,
    "shelving": _shelving,
    "locker": _locker,
    "electrical": _electrical,
}
build = partial(variants.build, VARIANTS)
footprint = partial(variants.footprint, VARIANTS)
