"""Reach trucks: a cab whose driver sits sideways or stands, a battery ahead of it, a mast between two legs.

Dimensions of common makes of 1.4 to 2 t: 1.25 m wide, 2.4 to 2.5 m long without forks, overhead guard 2.1 to
2.2 m, lowered mast 2.2 to 3.6 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.geometry.mesh import Material, Part, box, boxes, cylinder, prism, tube
from blender.objects.forklift.fittings import (
    CUSHION,
    DARK,
    RED_LAMP,
    SEAT_FRONT,
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
from blender.parts.fittings import PAPER, wheel
from blender.sampling import chance

HALF = 0.62
"""Half of the chassis' width, metres."""
SILL = 0.36
"""Height of the cab's floor and of its entry, metres."""
DRIVER = -0.54
"""x of the driver, metres."""
BASE = 0.7
"""Height of the base of the seat, metres."""
REAR, BATTERY, FRONT = -1.15, -0.02, 0.36
"""x of the rear, of the battery's rear and of its front, metres."""


@dataclass(frozen=True)
class Shape:
    """What differs between makers and between trucks, metres."""

    stand_on: bool
    turn: int
    """Side of the cab's entry and of the driver's view: +1 or -1 along y."""
    wall: float
    """Height of the wall behind the driver's back."""
    rear_wall: float
    """Height of the rear wall."""
    low_edge: bool
    """Whether the lower edge has the second paint."""
    dark_battery: bool
    reach: float
    """x of the mast, between the battery and the ends of the legs."""
    taller: float
    """Height of the lowered mast above the profile's height."""
    legs: float
    """Height of the legs."""


def shape_of(params: dict[str, Any]) -> Shape:
    """Return the shape that belongs to a truck's seed."""
    rng = np.random.default_rng([params["seed"], 1])
    return Shape(
        stand_on=chance(0.2, rng),
        turn=int(rng.choice([-1, 1])),
        wall=float(rng.uniform(1.0, 1.35)),
        rear_wall=float(rng.choice([SILL, 0.75, 0.95, 1.15])),
        low_edge=chance(0.5, rng),
        dark_battery=chance(0.5, rng),
        reach=float(rng.uniform(0.52, 0.6) if chance(0.75, rng) else rng.uniform(0.7, 1.2)),
        taller=float(rng.uniform(0.0, 1.0)),
        legs=float(rng.uniform(0.26, 0.36)),
    )


def station(params: dict[str, Any]) -> Station:
    """Return where the driver sits or stands; the driver faces sideways."""
    shape = shape_of(params)
    yaw = shape.turn * np.pi / 2
    if shape.stand_on:
        return Station("standing", (DRIVER, -shape.turn * 0.28), SILL + 0.005, yaw)
    return Station("sitting", (DRIVER, -shape.turn * (0.22 - SEAT_FRONT)), BASE + CUSHION, yaw)


def build(params: dict[str, Any]) -> list[Part]:
    """Build a reach truck."""
    rng = np.random.default_rng(params["seed"])
    shape, coat = shape_of(params), coat_of(params, rng)
    return [
        *_chassis(shape, coat, rng),
        *_cab(shape, coat),
        *_legs(shape, coat, rng),
        *mast(
            shape.reach,
            params["mast"] + shape.taller,
            params["lift"],
            rng.uniform(0.68, 0.8),
            chance(0.6, rng),
        ),
        *_roof(coat, rng),
    ]


def _chassis(shape: Shape, coat: Coat, rng: np.random.Generator) -> list[Part]:
    """Build the lower chassis with its rounded rear, the rear wall, the battery and the drive wheel."""
    edge = coat.trim if shape.low_edge else coat.body
    plan = [
        (BATTERY, -HALF),
        (BATTERY, HALF),
        (REAR + 0.12, HALF),
        (REAR, HALF - 0.15),
        (REAR, 0.15 - HALF),
        (REAR + 0.12, -HALF),
    ]
    parts = [
        shell(plan, [(0.04, 0.06), (0.0, 0.1), (0.0, 0.24)], edge, 0.1),
        shell(plan, [(0.0, 0.24), (0.0, SILL - 0.04), (0.02, SILL)], coat.body, 0.1),
        box(
            (BATTERY, 0.03 - HALF, 0.1), (FRONT, HALF - 0.03, 0.82), DARK if shape.dark_battery else coat.body
        ),
        box((BATTERY - 0.02, 0.03 - HALF, 0.82), (FRONT, HALF - 0.03, 0.88), DARK),
        *wheel((-0.8, 0.2 * shape.turn, 0.17), 0.17, 0.12),
    ]
    if shape.rear_wall > SILL:
        wall = [
            (REAR + 0.22, -HALF),
            (REAR + 0.22, HALF),
            (REAR + 0.12, HALF),
            (REAR, HALF - 0.15),
            (REAR, 0.15 - HALF),
            (REAR + 0.12, -HALF),
        ]
        top = shape.rear_wall
        parts.append(shell(wall, [(0.0, SILL), (0.005, top - 0.06), (0.03, top)], coat.body, 0.06))
        parts += name(
            (REAR - 0.002, 0.1, 0.5 * (SILL + top)),
            0.36,
            0,
            -1,
            coat.lettering,
            PAPER if chance(0.3, rng) else None,
        )
    else:
        parts += name((REAR - 0.002, 0.15, 0.32), 0.3, 0, -1, coat.lettering)
    parts.append(boxes([(REAR + 0.01, y, SILL + 0.08) for y in (-0.42, 0.42)], (0.05, 0.08, 0.06), RED_LAMP))
    return parts


def _cab(shape: Shape, coat: Coat) -> list[Part]:
    """Build the wall behind the driver's back, slanting to the entry, the seat, the console and the wheel."""
    s, wall = shape.turn, shape.wall
    inner = 0.36
    # Seen from behind: high at the driver's back, sloping down towards the entry.
    slope = [(HALF, SILL), (HALF, wall - 0.05), (HALF - 0.06, wall), (inner, wall), (0.22, SILL)]
    outline = [(-s * y, z) for y, z in slope]
    parts = [
        prism(outline if s < 0 else outline[::-1], REAR + 0.1, BATTERY, 0, coat.body),
        box((REAR + 0.15, -inner, SILL - 0.02), (BATTERY, inner, SILL + 0.005), DARK),
        *name((-0.6, -s * (HALF + 0.002), 0.7 * wall), 0.4, 1, -s, coat.lettering),
    ]
    console = sorted((s * 0.05, s * 0.55))
    parts.append(box((-0.14, console[0], SILL), (BATTERY, console[1], 1.02), DARK))
    if shape.stand_on:
        parts.append(_pad(s))
    else:
        parts += seat(DRIVER, -s * 0.22, BASE, s * np.pi / 2)
        low, high = sorted((-s * 0.42, s * 0.0))
        parts.append(box((DRIVER - 0.25, low, SILL), (DRIVER + 0.25, high, BASE), DARK))
    wheel_at = (-0.92, s * 0.42)
    parts += [
        tube([(wheel_at[0], wheel_at[1], SILL), (*wheel_at, 1.0)], 0.045, DARK, 6),
        cylinder((*wheel_at, 1.0), (*wheel_at, 1.03), 0.13, DARK, 14),
    ]
    return parts


def _pad(s: int) -> Part:
    """Build the backrest of a driver who stands."""
    low, high = sorted((-s * 0.37, -s * 0.3))
    return box((DRIVER - 0.25, low, 0.7), (DRIVER + 0.25, high, 1.32), DARK)


def _legs(shape: Shape, coat: Coat, rng: np.random.Generator) -> list[Part]:
    """Build the two legs beside the mast, with load wheels at their ends."""
    high = shape.legs
    leg = [(1.7, 0.1), (0.1, 0.08), (0.1, high + 0.06), (1.3, high), (1.62, 0.24), (1.72, 0.18)]
    paint = (coat.body, coat.trim, DARK)[int(rng.integers(3))]
    wheels = [w for y in (-0.55, 0.55) for w in wheel((1.5, y, 0.165), 0.165, 0.15)]
    return [*[side(leg, 0.065, paint, y) for y in (-0.55, 0.55)], *wheels]


def _roof(coat: Coat, rng: np.random.Generator) -> list[Part]:
    """Build the overhead guard; some have a beacon or a lamp on it."""
    high = rng.uniform(2.08, 2.25)
    thick = rng.uniform(0.03, 0.05)
    posts: Material = coat.guard
    rear = REAR + rng.uniform(0.08, 0.25)
    parts = guard(
        (rear, rear + rng.uniform(-0.02, 0.15)),
        (0.05, rng.uniform(0.0, 0.3)),
        HALF - 0.06,
        (SILL, high),
        posts,
        chance(0.5, rng),
        thick,
    )
    if chance(0.5, rng):
        parts.append(beacon(rear + 0.25, rng.choice([-1, 1]) * 0.4, high + 0.03))
    return parts
