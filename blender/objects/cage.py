"""Containers: mesh boxes, roll containers, plastic pallet boxes, stacks of crates. Unlabelled.

Origin: on the floor below the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from blender.assets import Assets
from blender.contract.limits import Weights
from blender.geometry.mesh import Colour, Material, Part, bounds, box, boxes, move, rounded_path, tube
from blender.parts import variants
from blender.parts.containers import plastic as container_colour
from blender.parts.fittings import ZINC, bright, castors, label, wire_walls
from blender.parts.loads import mixed_cartons
from blender.sampling import draw_seed

sample = variants.sample


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "cage"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""


def _mesh_box(rng: np.random.Generator) -> list[Part]:
    """Build one to four stacked mesh boxes (UIC 435-3 "Gitterbox": 1240 x 835 x 970 mm)."""
    parts: list[Part] = []
    for level in range(int(rng.choice([1, 1, 2, 2, 3, 4]))):
        painted = Material("paint", bright(rng), 0.8)
        steel = painted if rng.random() < 0.4 else Material("steel", (0.22, 0.22, 0.23), 0.8)
        parts += move(_single_mesh_box(rng, steel), (0, 0, 0.97 * level))
    return parts


def _single_mesh_box(rng: np.random.Generator, steel: Material) -> list[Part]:
    """Build a mesh box on four feet, with or without a label and cartons inside."""
    corners = [(x, y) for x in (-0.595, 0.595) for y in (-0.39, 0.39)]
    frame = [(0, y, z) for y in (-0.4, 0.4) for z in (0.13, 0.55, 0.95)]
    ends = [(x, 0, z) for x in (-0.6, 0.6) for z in (0.13, 0.95)]
    parts = [
        wire_walls((1.2, 0.8), (0.15, 0.94), 0.075, steel, "lrfb", 0.005),
        boxes([(x, y, 0.53) for x, y in corners], (0.05, 0.05, 0.86), steel),
        boxes([(x, y, 0.05) for x, y in corners], (0.12, 0.12, 0.1), steel),
        boxes(frame, (1.2, 0.035, 0.045), steel),
        boxes(ends, (0.035, 0.8, 0.045), steel),
        box((-0.6, -0.4, 0.10), (0.6, 0.4, 0.14), Material("wood", (0.25, 0.19, 0.13), 0.8)),
    ]
    if rng.random() < 0.5:
        side = int(rng.choice([-1, 1]))
        parts += label((rng.uniform(-0.3, 0.3), side * 0.425, 0.62), (0.3, 0.21), 1, side)
    if rng.random() < 0.6:
        parts += move(mixed_cartons(rng, rng.uniform(0.3, 0.72), 0.5, (1.1, 0.72)), (0, 0, 0.145))
    return parts


def _roll_cage(rng: np.random.Generator) -> list[Part]:
    """Build one to three roll containers in a row (about 0.7 x 0.8 x 1.7 m each)."""
    shades = (
        (0.7, 0.15, 0.02),
        (0.6, 0.06, 0.02),
        (0.75, 0.42, 0.02),
        (0.02, 0.02, 0.022),
        (0.06, 0.06, 0.065),
    )
    base = Material("paint", shades[int(rng.integers(5))] if rng.random() < 0.7 else bright(rng), 0.5)
    tyre = Material("rubber", (0.02, 0.09, 0.3) if rng.random() < 0.5 else (0.03, 0.03, 0.03), 0.4)
    high = rng.uniform(1.5, 1.75)
    wire = Material("paint", (0.72, 0.42, 0.02), 0.4) if rng.random() < 0.2 else ZINC
    if rng.random() < 0.25:  # empty ones, pushed into each other
        empty = _single_roll_cage(rng, base, tyre, high, wire, laden=False)
        turns = rng.normal(0, 0.02, int(rng.integers(3, 9)))
        return [part for k, turn in enumerate(turns) for part in move(empty, (0.21 * k, 0, 0), turn)]
    parts: list[Part] = []
    for number in range(int(rng.choice([1, 1, 2, 3]))):
        single = _single_roll_cage(rng, base, tyre, high, wire, laden=rng.random() < 0.6)
        parts += move(single, (0, 0.84 * number, 0), rng.normal(0, 0.02))
    return parts


def _roll_box(rng: np.random.Generator) -> list[Part]:
    """Build one to three closed roll containers with a pale trim, such as insulated boxes."""
    shell = Material("plastic", (0.5, 0.01, 0.03) if rng.random() < 0.6 else bright(rng), 0.3)
    trim, high = Material("galvanised", (0.4, 0.4, 0.41), 0.3), rng.uniform(1.4, 1.8)
    single = castors([(x, y) for x in (-0.28, 0.28) for y in (-0.3, 0.3)], 0.06)
    edges = [(x, y, 0.5 * high + 0.1) for x in (-0.35, 0.35) for y in (-0.38, 0.38)]
    single += [
        box((-0.35, -0.38, 0.15), (0.35, 0.38, high), shell),
        boxes(edges, (0.03, 0.03, high - 0.2), trim),
        boxes([(0, 0, z) for z in (0.16, 0.5 * high, high)], (0.72, 0.78, 0.04), trim),
        boxes([(0.362, 0.3, 0.55 * high)], (0.02, 0.03, 0.25), trim),
    ]
    count = int(rng.choice([1, 1, 2, 3]))
    return [part for k in range(count) for part in move(single, (0, 0.84 * k, 0), rng.normal(0, 0.02))]


def _single_roll_cage(
    rng: np.random.Generator, base: Material, tyre: Material, high: float, wire: Material, laden: bool
) -> list[Part]:
    """Build a roll container ``high`` metres high: castors, base, wire sides, some with a back."""
    parts = castors([(x, y) for x in (-0.28, 0.28) for y in (-0.32, 0.32)], 0.055, tyre)
    parts += [
        box((-0.36, -0.4, 0.138), (0.36, 0.4, 0.17), base),
        wire_walls((0.72, 0.78), (0.2, high - 0.1), 0.12, wire, "lr"),
    ]
    for side in (-0.39, 0.39):
        hoop = [(-0.35, side, 0.15), (-0.35, side, high), (0.35, side, high), (0.35, side, 0.15)]
        parts.append(tube(rounded_path(hoop, 0.15), 0.014, wire, 8))
    if rng.random() < 0.6:
        parts.append(wire_walls((0.7, 0.78), (0.2, high - 0.3), 0.14, wire, "b"))
    if laden:
        parts += move(mixed_cartons(rng, rng.uniform(0.4, 1.2), 0.4, (0.6, 0.7)), (0, 0, 0.172))
    return parts


def _tub(rng: np.random.Generator) -> list[Part]:
    """Build one to three stacked plastic pallet boxes (1.2 x 1.0 x 0.76 m) with ribs, on runners."""
    shades: tuple[Colour, ...] = (
        (0.02, 0.12, 0.35),
        (0.02, 0.02, 0.022),
        (0.4, 0.03, 0.02),
        (0.25, 0.26, 0.27),
        (0.42, 0.42, 0.40),
        (0.03, 0.12, 0.4),
        (0.04, 0.3, 0.08),
    )
    plastic = Material("plastic", shades[int(rng.integers(len(shades)))], 0.6)
    parts: list[Part] = []
    for level in range(int(rng.integers(1, 4))):
        z = 0.77 * level
        ribs = [(x, y, z + 0.42) for x in np.linspace(-0.5, 0.5, 6) for y in (-0.49, 0.49)]
        parts += [
            boxes([(0, y, z + 0.05) for y in (-0.44, 0, 0.44)], (1.18, 0.1, 0.1), plastic),
            box((-0.58, -0.48, z + 0.1), (0.58, 0.48, z + 0.72), plastic),
            box((-0.6, -0.5, z + 0.7), (0.6, 0.5, z + 0.76), plastic),
            boxes(ribs, (0.04, 0.03, 0.58), plastic),
        ]
        if rng.random() < 0.7:
            parts += label((0.25, -0.507, z + 0.45), (0.21, 0.3), 1, -1)
    return parts


def _crates(rng: np.random.Generator) -> list[Part]:
    """Build a stack of Euro crates (600 x 400 mm) on a dolly."""
    r, g, b = (round(float(c), 4) for c in container_colour(rng))
    plastic, dark = Material("plastic", (r, g, b), 0.4), Material("plastic", (0.02, 0.02, 0.02), 0.3)
    parts = castors([(x, y) for x in (-0.22, 0.22) for y in (-0.13, 0.13)], 0.05)
    parts.append(box((-0.3, -0.2, 0.125), (0.3, 0.2, 0.16), plastic))
    height = float(rng.choice([0.17, 0.22, 0.32]))
    for level in range(int(rng.integers(2, 7))):
        z, (x, y) = 0.16 + level * height, rng.normal(0, 0.006, 2)
        parts += [
            box((x - 0.29, y - 0.19, z), (x + 0.29, y + 0.19, z + height - 0.02), plastic),
            box((x - 0.3, y - 0.2, z + height - 0.05), (x + 0.3, y + 0.2, z + height - 0.002), plastic),
            boxes([(x, y, z + height - 0.08)], (0.602, 0.1, 0.04), dark),
        ]
    return parts


VARIANTS: dict[str, variants.Builder] = {
    "mesh_box": _mesh_box,
    "roll_cage": _roll_cage,
    "roll_box": _roll_box,
    "tub": _tub,
    "crates": _crates,
}
build = partial(variants.build, VARIANTS)
footprint = partial(variants.footprint, VARIANTS)

SINGLE_SIZE = {"mesh_box": (1.4, 0.95, 1.0), "roll_cage": (0.95, 0.95, 2.0)}
"""Variant that trucks carry -> maximum length, width and height of a single container, metres."""


def sample_single(variant: str, rng: np.random.Generator, assets: Assets) -> dict[str, Any]:
    """Draw one container of a key of ``SINGLE_SIZE``: neither a stack nor a row."""
    while True:  # about every third seed is a single container
        params = {"variant": variant, "seed": draw_seed(rng)}
        low, high = bounds(build(params, assets))
        if (high - low < SINGLE_SIZE[variant]).all():
            return params
