"""Small things of a warehouse floor, unlabelled: bollards, barriers, drums, roll cages, bins, trolleys.

Origin: on the floor below the middle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blender.assortment import Assortment, sample
from blender.mesh import Colour, Material, Part, box, boxes, cylinder, rounded_path, tube
from blender.ranges import check_names

_BRIGHT: tuple[Colour, ...] = (
    (0.75, 0.42, 0.02),
    (0.5, 0.03, 0.02),
    (0.03, 0.1, 0.4),
    (0.05, 0.2, 0.08),
    (0.3, 0.3, 0.31),
    (0.7, 0.15, 0.02),
)


@dataclass(frozen=True)
class Ranges:
    """What varies: only which thing it is; each thing varies by itself."""

    variants: dict[str, float]
    """Weight of each: a key of VARIANTS."""

    def __post_init__(self) -> None:
        check_names("variants", self.variants, VARIANTS)


def _bright(rng: np.random.Generator) -> Colour:
    return _BRIGHT[int(rng.integers(len(_BRIGHT)))]


def _bollard(rng: np.random.Generator) -> list[Part]:
    paint = Material("paint", (0.78, 0.45, 0.02), 0.5)
    radius, height = rng.uniform(0.05, 0.12), rng.uniform(0.6, 1.6)
    parts = [
        cylinder((0, 0, 0), (0, 0, height), radius, paint),
        boxes([(0, 0, 0.006)], (0.25, 0.25, 0.012), paint),
    ]
    if rng.random() < 0.5:
        band = Material("paint", (0.02, 0.02, 0.02), 0.3)
        parts += [cylinder((0, 0, z), (0, 0, z + 0.1), radius + 0.002, band) for z in (0.3, 0.55)]
    return parts


def _barrier(rng: np.random.Generator) -> list[Part]:
    paint = Material("paint", (0.78, 0.45, 0.02), 0.4)
    rails = [(0, 0, z) for z in (0.2, 0.45)]
    posts = [(x, 0, 0.28) for x in (-0.9, 0, 0.9)]
    return [boxes(rails, (2.0, 0.08, 0.14), paint), boxes(posts, (0.1, 0.1, 0.56), paint)]


def _drum(rng: np.random.Generator) -> list[Part]:
    steel = Material("paint" if rng.random() < 0.6 else "plastic", _bright(rng), 0.5)
    rings = [cylinder((0, 0, z), (0, 0, z + 0.02), 0.297, steel, 28) for z in (0.0, 0.29, 0.58, 0.86)]
    return [cylinder((0, 0, 0.01), (0, 0, 0.87), 0.29, steel, 28), *rings]


def _mesh_walls(x: float, y: float, low: float, high: float, gap: float, wire: Material) -> list[Part]:
    """Four walls of welded wire as thin bars."""
    centres, sizes = [], []
    w = 0.006
    for side in (-y / 2, y / 2):
        for at in np.arange(-x / 2, x / 2 + 1e-6, gap):
            centres.append((at, side, (low + high) / 2))
            sizes.append((w, w, high - low))
        for at in np.arange(low, high + 1e-6, gap):
            centres.append((0, side, at))
            sizes.append((x, w, w))
    for side in (-x / 2, x / 2):
        for at in np.arange(-y / 2, y / 2 + 1e-6, gap):
            centres.append((side, at, (low + high) / 2))
            sizes.append((w, w, high - low))
        for at in np.arange(low, high + 1e-6, gap):
            centres.append((side, 0, at))
            sizes.append((w, y, w))
    return [boxes(centres, sizes, wire)]


def _roll_cage(rng: np.random.Generator) -> list[Part]:
    wire = Material("galvanised", (0.5, 0.5, 0.52), 0.3)
    black = Material("rubber", (0.02, 0.02, 0.02), 0.5)
    posts = [(x, y, 0.95) for x in (-0.35, 0.35) for y in (-0.4, 0.4)]
    wheels = [
        cylinder((x, y - 0.015, 0.06), (x, y + 0.015, 0.06), 0.06, black, 14)
        for x in (-0.3, 0.3)
        for y in (-0.35, 0.35)
    ]
    base = box((-0.36, -0.41, 0.14), (0.36, 0.41, 0.17), Material("paint", _bright(rng), 0.4))
    parts = [
        *_mesh_walls(0.7, 0.8, 0.18, 1.65, 0.13, wire),
        boxes(posts, (0.03, 0.03, 1.6), wire),
        base,
        *wheels,
    ]
    if rng.random() < 0.6:
        count = int(rng.integers(2, 9))
        centres = np.stack(
            [
                rng.uniform(-0.18, 0.18, count),
                rng.uniform(-0.2, 0.2, count),
                0.3 + 0.22 * (np.arange(count) % 5),
            ],
            1,
        )
        tint = rng.uniform(0.7, 1.1, (count, 1)) * np.array([0.84, 0.54, 0.28])
        parts.append(boxes(centres, (0.3, 0.34, 0.21), Material("cardboard", (0.5, 0.5, 0.5), 0.3), tint))
    return parts


def _mesh_box(rng: np.random.Generator) -> list[Part]:
    """A wire-mesh pallet (gitterbox: 1240 x 835 x 970 mm)."""
    steel = (
        Material("paint", _bright(rng), 0.6)
        if rng.random() < 0.5
        else Material("steel", (0.2, 0.2, 0.21), 0.7)
    )
    parts: list[Part] = []
    for level in range(int(rng.integers(1, 4))):
        z = 0.97 * level
        parts += [p.moved((0, 0, z)) for p in _mesh_walls(1.2, 0.8, 0.15, 0.93, 0.1, steel)]
        posts = [(x, y, z + 0.48) for x in (-0.6, 0.6) for y in (-0.4, 0.4)]
        parts += [
            boxes(posts, (0.05, 0.05, 0.95), steel),
            box((-0.6, -0.4, z + 0.10), (0.6, 0.4, z + 0.14), steel),
        ]
        if rng.random() < 0.5:
            fill = z + 0.14 + rng.uniform(0.2, 0.7)
            parts.append(
                box((-0.57, -0.37, z + 0.15), (0.57, 0.37, fill), Material("plastic", _bright(rng), 0.5))
            )
    return parts


def _bin(rng: np.random.Generator) -> list[Part]:
    body, lid = Material("plastic", _bright(rng), 0.3), Material("plastic", _bright(rng), 0.2)
    dark = Material("rubber", (0.02, 0.02, 0.02), 0.5)
    return [
        box((-0.28, -0.24, 0.08), (0.28, 0.24, 0.95), body),
        box((-0.31, -0.26, 0.95), (0.32, 0.26, 1.02), lid),
        cylinder((-0.24, -0.27, 0.1), (-0.24, 0.27, 0.1), 0.1, dark),
    ]


def _trolley(rng: np.random.Generator) -> list[Part]:
    """A platform trolley with a push bar: four wheels and a loop, but no pallet truck."""
    frame = Material("paint", _bright(rng), 0.4)
    deck, dark = Material("wood", (0.35, 0.25, 0.15), 0.5), Material("rubber", (0.03, 0.03, 0.03), 0.5)
    bar = rounded_path(
        [(-0.48, -0.28, 0.2), (-0.5, -0.28, 0.98), (-0.5, 0.28, 0.98), (-0.48, 0.28, 0.2)], 0.1
    )
    wheels = [
        cylinder((x, y - 0.02, 0.08), (x, y + 0.02, 0.08), 0.08, dark, 16)
        for x in (-0.38, 0.38)
        for y in (-0.25, 0.25)
    ]
    parts = [box((-0.5, -0.3, 0.17), (0.5, 0.3, 0.21), deck), tube(bar, 0.016, frame, 8), *wheels]
    if rng.random() < 0.5:
        shelf = [(x, y, 0.6) for x in (-0.48, 0.48) for y in (-0.28, 0.28)]
        parts += [boxes(shelf, (0.03, 0.03, 0.8), frame), box((-0.5, -0.3, 0.58), (0.5, 0.3, 0.6), deck)]
    return parts


def _sack_truck(rng: np.random.Generator) -> list[Part]:
    frame, dark = Material("paint", _bright(rng), 0.4), Material("rubber", (0.02, 0.02, 0.02), 0.5)
    rail = rounded_path(
        [(0.0, -0.17, 0.05), (-0.14, -0.17, 1.15), (-0.14, 0.17, 1.15), (0.0, 0.17, 0.05)], 0.12
    )
    rungs = [
        tube(
            [(-0.035 * k - 0.01, -0.17, 0.28 * k + 0.05), (-0.035 * k - 0.01, 0.17, 0.28 * k + 0.05)],
            0.012,
            frame,
            8,
        )
        for k in (1, 2, 3)
    ]
    wheels = [cylinder((-0.1, y, 0.13), (-0.1, y + 0.05, 0.13), 0.13, dark) for y in (-0.27, 0.22)]
    return [tube(rail, 0.016, frame, 8), *rungs, *wheels, box((0.0, -0.2, 0.02), (0.22, 0.2, 0.03), frame)]


def _cabinet(rng: np.random.Generator) -> list[Part]:
    steel = Material("paint", _bright(rng) if rng.random() < 0.4 else (0.4, 0.41, 0.42), 0.4)
    handle = Material("plastic", (0.02, 0.02, 0.02), 0.2)
    height = rng.uniform(0.9, 2.0)
    return [
        box((-0.22, -0.45, 0.05), (0.22, 0.45, height), steel),
        box((0.22, -0.03, 0.6), (0.235, -0.01, 0.75), handle),
    ]


def _extinguisher(rng: np.random.Generator) -> list[Part]:
    red, black = Material("paint", (0.6, 0.02, 0.02), 0.2), Material("plastic", (0.02, 0.02, 0.02), 0.2)
    return [
        cylinder((0, 0, 0.02), (0, 0, 0.48), 0.08, red),
        cylinder((0, 0, 0.48), (0, 0, 0.56), 0.03, black, 12),
        tube([(0.02, 0, 0.54), (0.1, 0, 0.45), (0.1, 0, 0.2)], 0.011, black, 8),
    ]


def _ladder(rng: np.random.Generator) -> list[Part]:
    alu = Material("galvanised", (0.6, 0.6, 0.62), 0.2)
    height = rng.uniform(1.4, 2.4)
    rails = [
        tube([(s * 0.5, y, 0.0), (0.0, y * 0.8, height)], 0.022, alu, 6)
        for s in (-1, 1)
        for y in (-0.25, 0.25)
    ]
    steps = [((1 - z / height) * 0.5, 0, z) for z in np.arange(0.3, height, 0.28)]
    return [*rails, boxes(steps, (0.08, 0.44, 0.025), alu)]


VARIANTS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "bollard": _bollard,
    "barrier": _barrier,
    "drum": _drum,
    "roll_cage": _roll_cage,
    "mesh_box": _mesh_box,
    "bin": _bin,
    "trolley": _trolley,
    "sack_truck": _sack_truck,
    "cabinet": _cabinet,
    "extinguisher": _extinguisher,
    "ladder": _ladder,
}
SIZES = {
    "bollard": (0.26, 0.26),
    "barrier": (2.0, 0.15),
    "drum": (0.62, 0.62),
    "roll_cage": (0.75, 0.85),
    "mesh_box": (1.28, 0.86),
    "bin": (0.66, 0.58),
    "trolley": (1.08, 0.64),
    "sack_truck": (0.5, 0.6),
    "cabinet": (0.48, 0.92),
    "extinguisher": (0.24, 0.2),
    "ladder": (1.06, 0.55),
}
"""Length and width on the floor, metres."""

_THINGS = Assortment(VARIANTS, SIZES)
footprint, build = _THINGS.footprint, _THINGS.build

__all__ = ["Ranges", "build", "footprint", "sample"]
