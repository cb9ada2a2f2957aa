"""Counterbalance trucks with three or four wheels, in several makers' shapes.

Dimensions of common makes of 1.3 to 2 t: 1.0 to 1.2 m wide, wheelbase 1.25 to 1.5 m, counterweight 0.85 to
1.1 m high, overhead guard 2.0 to 2.15 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.geometry.mesh import Material, Part, box, boxes, cylinder, rounded_path, tube
from blender.objects.forklift.fittings import (
    CUSHION,
    DARK,
    RED_LAMP,
    SEAT_FRONT,
    WHITE_LAMP,
    Coat,
    Station,
    beacon,
    coat_of,
    guard,
    mast,
    name,
    seat,
    shell,
    side,
)
from blender.parts.fittings import PAPER, ZINC, wheel
from blender.sampling import chance

MAST = 1.0
"""x of the mast, metres."""


@dataclass(frozen=True)
class _Shape:
    """Dimensions of one truck, metres, and what it has."""

    three_wheels: bool
    rear: float
    half: float
    high: float
    """Height of the counterweight."""
    blunt: float
    """Share of the rear's width that is flat."""
    two_tone: bool
    """Whether the counterweight's lower part is dark."""
    sides: bool
    """Whether the sides have the second paint."""
    gas: bool
    """Whether a gas bottle lies on the counterweight."""
    slats_along: bool


def station(params: dict[str, Any]) -> Station:
    """Return where the driver sits."""
    return Station("sitting", (-0.28 + SEAT_FRONT, 0.0), 0.8 + CUSHION)


def build(params: dict[str, Any]) -> list[Part]:
    """Build a counterbalance truck."""
    rng = np.random.default_rng(params["seed"])
    shape, coat = _shape(rng), coat_of(params, rng)
    back, front = shape.rear + 0.25, 0.62
    lean, roof = rng.uniform(0.1, 0.3), rng.uniform(2.0, 2.15)
    return [
        *_counterweight(shape, coat, rng),
        *_body(shape, coat),
        *_wheels(shape),
        *mast(MAST, params["mast"], params["lift"], rng.uniform(0.66, 0.78), chance(0.75, rng)),
        *guard(
            (back, back + lean),
            (front, front - 0.3),
            shape.half - 0.07,
            (0.7, roof),
            coat.guard,
            shape.slats_along,
        ),
        *_lamps(shape, roof, back + lean, rng),
    ]


def _shape(rng: np.random.Generator) -> _Shape:
    three = chance(0.4, rng)
    return _Shape(
        three_wheels=three,
        rear=-rng.uniform(0.95, 1.1) if three else -rng.uniform(1.1, 1.3),
        half=rng.uniform(0.48, 0.54) if three else rng.uniform(0.52, 0.58),
        high=rng.uniform(0.88, 1.1),
        blunt=rng.uniform(0.35, 0.85),
        two_tone=chance(0.45, rng),
        sides=chance(0.5, rng),
        gas=chance(0.15, rng),
        slats_along=chance(0.5, rng),
    )


def _counterweight(shape: _Shape, coat: Coat, rng: np.random.Generator) -> list[Part]:
    """Build the cast counterweight, its tow pin and a maker's name on its rear."""
    rear, half, high = shape.rear, shape.half, shape.high
    flat = half * shape.blunt
    plan = [
        (-0.32, -half),
        (-0.32, half),
        (rear + 0.25, half),
        (rear, flat),
        (rear, -flat),
        (rear + 0.25, -half),
    ]
    split = rng.uniform(0.4, 0.55)
    low = Material("paint", (0.025, 0.025, 0.027), coat.body.wear) if shape.two_tone else coat.body
    lean = rng.uniform(0.02, 0.08)
    parts = [
        shell(plan, [(0.06, 0.14), (0.0, 0.22), (0.0, split)], low, 0.12),
        shell(
            plan,
            [(0.0, split), (0.004, 0.7 * high), (lean, high - 0.07), (lean + 0.08, high)],
            coat.body,
            0.12,
        ),
        cylinder((rear - 0.012, 0, 0.36), (rear + 0.05, 0, 0.36), 0.05, DARK, 10),
    ]
    if chance(0.6, rng):
        plate = PAPER if chance(0.4, rng) else None
        parts += name((rear + 0.002, 0, 0.62 * high), min(0.4, 1.6 * flat), 0, -1, coat.lettering, plate)
    if shape.gas:
        x, z = rear + 0.27, high + 0.16
        bottle = ZINC if chance(0.5, rng) else Material("paint", (0.45, 0.05, 0.02), 0.6)
        parts += [
            cylinder((x, -0.3, z), (x, 0.3, z), 0.15, bottle, 12),
            boxes([(x, y, z) for y in (-0.18, 0.18)], (0.32, 0.03, 0.32), DARK),
        ]
    return parts


def _body(shape: _Shape, coat: Coat) -> list[Part]:
    """Build hood, sides, cowl, fenders, seat and steering wheel."""
    half, sides = shape.half, coat.trim if shape.sides else coat.body
    cowl = [(0.78, 0.2), (0.5, 0.2), (0.5, 0.62), (0.58, 1.12), (0.74, 1.12), (0.82, 0.62)]
    fender = [(1.12, 0.3), (0.3, 0.3), (0.34, 0.6), (0.55, 0.74), (0.9, 0.74), (1.08, 0.6)]
    skirt = [(0.6, 0.2), (-0.5, 0.2), (-0.5, 0.8), (-0.1, 0.8), (0.12, 0.48), (0.6, 0.46)]
    grip = rounded_path(
        [(0.47, -0.12, 1.22), (0.47, 0.12, 1.22), (0.3, 0.12, 1.1), (0.3, -0.12, 1.1)], 0.11, closed=True
    )
    return [
        side(cowl, half - 0.08, DARK),
        *[side(skirt, 0.05, sides, y) for y in (0.07 - half, half - 0.07)],
        box((-0.5, 0.12 - half, 0.2), (0.6, half - 0.12, 0.46), DARK),
        box((-0.62, 0.12 - half, 0.46), (-0.07, half - 0.12, 0.8), DARK if shape.sides else coat.body),
        *[side(fender, 0.11, sides, y) for y in (0.08 - half, half - 0.08)],
        *seat(-0.28, 0.0, 0.8),
        tube(grip, 0.014, DARK, 6, closed=True),
        tube([(0.6, 0, 1.05), (0.4, 0, 1.17)], 0.025, DARK, 6),
        boxes([(-0.15, y, 0.66) for y in (0.018 - half, half - 0.018)], (0.34, 0.006, 0.08), coat.lettering),
    ]


def _wheels(shape: _Shape) -> list[Part]:
    """Build the drive wheels in front and the steered wheel or wheels behind."""
    rear = shape.rear + 0.4
    steered = (-0.11, 0.11) if shape.three_wheels else (0.1 - shape.half, shape.half - 0.1)
    radius = 0.22 if shape.three_wheels else 0.26
    return [
        *[w for y in (0.08 - shape.half, shape.half - 0.08) for w in wheel((0.72, y, 0.31), 0.31, 0.2)],
        *[w for y in steered for w in wheel((rear, y, radius), radius, 0.16)],
    ]


def _lamps(shape: _Shape, roof: float, back: float, rng: np.random.Generator) -> list[Part]:
    """Build head lamps on the cowl or the roof, tail lamps on the counterweight or the posts, a beacon."""
    half = shape.half - 0.1
    head = (0.86, 1.0) if chance(0.5, rng) else (0.38, roof - 0.1)
    parts = [boxes([(head[0], y, head[1]) for y in (-half, half)], (0.06, 0.12, 0.12), WHITE_LAMP)]
    if chance(0.5, rng):
        tail, z = shape.rear + 0.16, shape.high - 0.16
    else:
        tail, z = back - 0.05, roof - 0.12
    parts.append(boxes([(tail, y, z) for y in (-half, half)], (0.06, 0.1, 0.12), RED_LAMP))
    if chance(0.6, rng):
        parts.append(beacon(back + 0.1, rng.choice([-1, 1]) * 0.3, roof + 0.03))
    return parts
