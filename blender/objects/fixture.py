"""What stands along walls and aisles for good, unlabelled: wire fences, guard rails, pipes, desks, shelves.

Thin upright things beside bright steel: in a photograph they are what tillers are mistaken for.
Origin: on the floor below the middle; long things lie along x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from blender.assortment import Assortment, sample
from blender.mesh import Colour, Material, Part, box, boxes, cylinder, rounded_path, tube
from blender.ranges import check_names

_STEEL = Material("galvanised", (0.55, 0.56, 0.57), 0.3)
_BLACK = Material("plastic", (0.02, 0.02, 0.022), 0.4)
_YELLOW = Material("paint", (0.78, 0.45, 0.02), 0.5)
_PAINTS: tuple[Colour, ...] = (
    (0.03, 0.1, 0.4),
    (0.3, 0.3, 0.31),
    (0.02, 0.02, 0.022),
    (0.08, 0.25, 0.06),
    (0.75, 0.42, 0.02),
)


@dataclass(frozen=True)
class Ranges:
    """What varies: only which thing it is; each thing varies by itself."""

    variants: dict[str, float]
    """Weight of each: a key of VARIANTS."""

    def __post_init__(self) -> None:
        check_names("variants", self.variants, VARIANTS)


def _paint(rng: np.random.Generator) -> Material:
    return Material("paint", _PAINTS[int(rng.integers(len(_PAINTS)))], float(rng.uniform(0.2, 0.7)))


def _fence(rng: np.random.Generator) -> list[Part]:
    """A panel of wire mesh between two posts."""
    height, gap = rng.uniform(1.8, 2.4), rng.uniform(0.06, 0.11)
    frame = _paint(rng) if rng.random() < 0.6 else _STEEL
    across, up = np.arange(-0.95, 0.96, gap), np.arange(0.15, height, gap * 1.6)
    centres = [(x, 0.0, (0.15 + height) / 2) for x in across] + [(0.0, 0.0, z) for z in up]
    sizes = [(0.005, 0.005, height - 0.15)] * len(across) + [(1.9, 0.005, 0.005)] * len(up)
    posts = boxes([(s * 0.975, 0, height / 2) for s in (-1, 1)], (0.05, 0.05, height), frame)
    rails = boxes([(0, 0, z) for z in (0.15, height - 0.015)], (1.9, 0.03, 0.03), frame)
    return [posts, rails, boxes(centres, sizes, _STEEL)]


def _guard_rail(rng: np.random.Generator) -> list[Part]:
    """Two beams on posts, yellow or yellow and black."""
    beams = [(0, 0.04, z) for z in ((0.2, 0.45) if rng.random() < 0.5 else (0.3,))]
    posts = [(x, -0.03, 0.3) for x in (-0.95, 0.95)]
    feet = [(x, 0.0, 0.006) for x in (-0.95, 0.95)]
    dark = _BLACK if rng.random() < 0.5 else _YELLOW
    return [
        boxes(beams, (2.1, 0.06, 0.13), _YELLOW),
        boxes(posts, (0.11, 0.08, 0.6), dark),
        boxes(feet, (0.2, 0.2, 0.012), dark),
    ]


def _pipes(rng: np.random.Generator) -> list[Part]:
    """Down-pipes and cable ducts in a row."""
    parts: list[Part] = []
    x = -0.4
    while x < 0.4:
        radius, height = rng.uniform(0.025, 0.1), rng.uniform(1.6, 3.2)
        x += radius
        material = _BLACK if rng.random() < 0.5 else _paint(rng)
        parts.append(cylinder((x, 0, 0), (x, 0, height), radius, material, 16))
        if rng.random() < 0.5:
            parts.append(cylinder((x, 0, 0.4), (x, 0, 0.46), radius * 1.2, material, 16))
        x += radius + rng.uniform(0.01, 0.15)
    return parts


def _desk(rng: np.random.Generator) -> list[Part]:
    """A packing table: top, frame, a shelf above, a box or a screen on it."""
    steel, wood = _paint(rng), Material("wood", (0.45, 0.33, 0.2), 0.3)
    legs = [(sx * 0.72, sy * 0.32, 0.42) for sx in (-1, 1) for sy in (-1, 1)]
    parts = [
        boxes([(0, 0, 0.86)], (1.6, 0.75, 0.04), wood),
        boxes(legs, (0.05, 0.05, 0.84), steel),
        boxes([(0, 0, 0.2)], (1.5, 0.6, 0.02), steel),
    ]
    if rng.random() < 0.6:
        posts = [(sx * 0.75, -0.34, 1.25) for sx in (-1, 1)]
        parts += [boxes(posts, (0.04, 0.04, 0.8), steel), boxes([(0, -0.24, 1.6)], (1.6, 0.3, 0.03), wood)]
    if rng.random() < 0.5:
        parts.append(box((-0.5, -0.1, 1.0), (0.0, -0.06, 1.32), _BLACK))
        parts.append(box((-0.28, -0.1, 0.88), (-0.22, -0.06, 1.0), _BLACK))
    if rng.random() < 0.7:
        card = Material("cardboard", (0.42, 0.28, 0.16), 0.4)
        parts.append(box((0.15, -0.2, 0.88), (0.55, 0.15, 0.88 + rng.uniform(0.15, 0.4)), card))
    return parts


def _chair(rng: np.random.Generator) -> list[Part]:
    """An office chair: five feet, a column, seat and back."""
    cloth = Material("fabric", (0.02, 0.02, 0.03) if rng.random() < 0.6 else (0.03, 0.06, 0.2), 0.3)
    turn = rng.uniform(0, 2 * np.pi)
    parts: list[Part] = [cylinder((0, 0, 0.08), (0, 0, 0.45), 0.028, _STEEL, 12)]
    for angle in np.arange(5) * 2 * np.pi / 5:
        end = (0.26 * np.cos(angle), 0.26 * np.sin(angle), 0.06)
        parts.append(tube([(0, 0, 0.1), end], 0.018, _BLACK, 8))
        parts.append(cylinder((end[0], end[1], 0.0), (end[0], end[1], 0.055), 0.022, _BLACK, 10))
    seat = [
        box((-0.23, -0.23, 0.45), (0.23, 0.23, 0.52), cloth),
        box((-0.26, -0.2, 0.62), (-0.2, 0.2, 1.05), cloth),
        tube([(-0.2, 0, 0.47), (-0.27, 0, 0.5), (-0.27, 0, 0.75)], 0.02, _BLACK, 8),
    ]
    return parts + [part.moved(yaw=turn) for part in seat]


def _shelf(rng: np.random.Generator) -> list[Part]:
    """A light shelf of angle steel with small boxes."""
    frame, height = _STEEL if rng.random() < 0.5 else _paint(rng), rng.uniform(1.6, 2.1)
    posts = [(sx * 0.48, sy * 0.18, height / 2) for sx in (-1, 1) for sy in (-1, 1)]
    levels = np.linspace(0.15, height - 0.1, 5)
    parts = [
        boxes(posts, (0.035, 0.035, height), frame),
        boxes([(0, 0, z) for z in levels], (1.0, 0.4, 0.025), frame),
    ]
    bins = [
        ((x, 0.02, z + 0.1), (0.15, 0.3, 0.15))
        for z in levels[:-1]
        for x in np.arange(-0.36, 0.4, 0.18)
        if rng.random() < 0.6
    ]
    if bins:
        tints = np.array([_PAINTS[int(rng.integers(len(_PAINTS)))] for _ in bins])
        plain = Material("plastic", (1.0, 1.0, 1.0), 0.3)
        parts.append(boxes([c for c, _ in bins], [s for _, s in bins], plain, tints))
    return parts


def _hose(rng: np.random.Generator) -> list[Part]:
    """A coil of hose on a post, with a bracket."""
    ring = [(0.2 * np.cos(t), 0.07, 1.0 + 0.2 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 20)[:-1]]
    colour = Material("rubber", (0.4, 0.03, 0.02) if rng.random() < 0.5 else (0.02, 0.02, 0.02), 0.4)
    hang = [(0.18, 0.07, 0.9), (0.2, 0.08, 0.45), (0.1, 0.1, 0.03)]
    return [
        boxes([(0, 0, 0.7)], (0.06, 0.05, 1.4), _STEEL),
        tube(ring, 0.03, colour, 8, closed=True),
        tube(rounded_path(hang, 0.1), 0.014, colour, 8),
    ]


VARIANTS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "fence": _fence,
    "guard_rail": _guard_rail,
    "pipes": _pipes,
    "desk": _desk,
    "chair": _chair,
    "shelf": _shelf,
    "hose": _hose,
}
SIZES = {
    "fence": (2.0, 0.08),
    "guard_rail": (2.14, 0.22),
    "pipes": (1.2, 0.26),
    "desk": (1.62, 0.8),
    "chair": (0.66, 0.66),
    "shelf": (1.04, 0.44),
    "hose": (0.5, 0.26),
}
"""Length and width on the floor, metres."""

_THINGS = Assortment(VARIANTS, SIZES)
footprint, build = _THINGS.footprint, _THINGS.build

__all__ = ["Ranges", "build", "footprint", "sample"]
