"""Low-level order pickers: long forks, a battery with a backrest, a platform, a drive unit that leads.

A person stands on the platform between battery and drive unit and faces the drive unit, to -x. Dimensions of
common makes of 2 to 2.5 t: 0.8 m wide, 1.2 to 1.5 m without forks, platform 0.15 m high, forks 1.2 to 2.9 m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blender.geometry.mesh import Part, box, boxes, prism, rounded_path, tube
from blender.objects.forklift.fittings import (
    DARK,
    STEEL,
    WHITE_LAMP,
    Coat,
    Station,
    beacon,
    coat_of,
    name,
    shell,
)
from blender.parts.fittings import PAPER, wheel
from blender.sampling import chance

HALF = 0.4
"""Half of the width, metres."""
STEP = 0.17
"""Height of the platform, metres."""
BATTERY = 0.55
"""Length of the battery ahead of the platform, metres; it ends at x = 0."""


@dataclass(frozen=True)
class Shape:
    """What differs between makers, metres."""

    forks: float
    """Length of the forks."""
    platform: float
    """Length of the platform."""
    drive: float
    """Length of the drive unit."""
    high: float
    """Height of the drive unit's cover."""
    battery: float
    """Height of the battery."""
    backrest: float
    """Height of the backrest."""
    rails: bool
    """Whether bars stand at the sides of the backrest."""
    fence: bool
    """Whether a wire fence stands between battery and load."""
    bow: bool
    """Whether a high bow or mast with a lamp stands on the battery."""


def shape_of(params: dict[str, Any]) -> Shape:
    """Return the shape that belongs to a machine's seed."""
    rng = np.random.default_rng([params["seed"], 1])
    return Shape(
        forks=float(rng.choice([1.2, 1.6, 2.0, 2.4, 2.4, 2.8])),
        platform=float(rng.uniform(0.5, 0.62)),
        drive=float(rng.uniform(0.45, 0.65)),
        high=float(rng.uniform(0.85, 1.4)),
        battery=float(rng.uniform(0.7, 0.9)),
        backrest=float(rng.uniform(1.05, 1.4)),
        rails=chance(0.4, rng),
        fence=chance(0.4, rng),
        bow=chance(0.2, rng),
    )


def station(params: dict[str, Any]) -> Station:
    """Return where the person stands: the back at the battery's backrest, facing the drive unit."""
    return Station("standing", (-BATTERY - 0.06, 0.0), STEP, np.pi)


def fork_length(params: dict[str, Any]) -> float:
    """Return the length of the forks from x = 0, metres."""
    return shape_of(params).forks


def build(params: dict[str, Any]) -> list[Part]:
    """Build a low-level order picker."""
    rng = np.random.default_rng(params["seed"])
    shape, coat = shape_of(params), coat_of(params, rng)
    return [
        *_battery(shape, coat, rng),
        *_platform(shape, coat),
        *_drive(shape, coat, rng),
        *_forks(shape, coat, fork_top(params)),
    ]


def fork_top(params: dict[str, Any]) -> float:
    """Return the height of the forks' top, metres: they rise by 0.12 m at most."""
    return 0.085 + min(0.12, 0.1 * float(params["lift"]))


def _battery(shape: Shape, coat: Coat, rng: np.random.Generator) -> list[Part]:
    """Build the battery's box, the backrest on it, and what stands between operator and load."""
    top = shape.battery
    paint = (coat.body, coat.trim, DARK)[int(rng.integers(3))]
    parts = [
        box((-BATTERY, 0.02 - HALF, 0.08), (0.0, HALF - 0.02, top - 0.05), paint),
        box((-BATTERY - 0.01, -HALF, top - 0.05), (0.0, HALF, top), DARK),
        prism(
            [
                (top, -BATTERY + 0.02),
                (shape.backrest, -BATTERY + 0.08),
                (shape.backrest, -BATTERY - 0.02),
                (top - 0.2, -BATTERY - 0.06),
                (top - 0.2, -BATTERY),
            ][::-1],
            -0.28,
            0.28,
            1,
            DARK,
        ),
        *name((-0.28, -HALF + 0.019, 0.55 * top), 0.3, 1, -1, coat.lettering),
        *name((-0.28, HALF - 0.019, 0.55 * top), 0.3, 1, 1, coat.lettering),
    ]
    if shape.rails:
        for y in (-0.35, 0.35):
            rail = [
                (-BATTERY + 0.1, y, top),
                (-BATTERY + 0.1, y, 1.35),
                (-BATTERY - 0.25, y, 1.3),
                (-BATTERY - 0.25, y, 1.1),
            ]
            parts.append(tube(rounded_path(rail, 0.1), 0.018, coat.guard, 6))
    if shape.fence:
        high = rng.uniform(1.2, 1.8)
        hoop = [
            (-0.05, 0.02 - HALF, top),
            (-0.05, 0.02 - HALF, high),
            (-0.05, HALF - 0.02, high),
            (-0.05, HALF - 0.02, top),
        ]
        parts += [
            tube(rounded_path(hoop, 0.08), 0.02, coat.guard, 6),
            boxes(
                [(-0.05, y, (top + high) / 2) for y in np.linspace(-0.3, 0.3, 6)],
                (0.012, 0.012, high - top),
                coat.guard,
            ),
            boxes(
                [(-0.05, 0, z) for z in np.arange(top + 0.15, high, 0.15)], (0.012, 0.74, 0.012), coat.guard
            ),
        ]
    if shape.bow:
        high = rng.uniform(1.9, 2.3)
        bow = [
            (-0.3, 0.04 - HALF, top),
            (-0.3, 0.04 - HALF, high),
            (-0.3, HALF - 0.04, high),
            (-0.3, HALF - 0.04, top),
        ]
        parts += [tube(rounded_path(bow, 0.12), 0.03, coat.guard, 6), beacon(-0.3, 0.2, high + 0.02)]
    return parts


def _platform(shape: Shape, coat: Coat) -> list[Part]:
    """Build the platform with its mat, and the edges beside it."""
    a, b = -BATTERY - shape.platform, -BATTERY
    return [
        box((a, -HALF, 0.07), (b, HALF, STEP - 0.02), coat.trim),
        box((a, 0.03 - HALF, STEP - 0.02), (b, HALF - 0.03, STEP), DARK),
    ]


def _drive(shape: Shape, coat: Coat, rng: np.random.Generator) -> list[Part]:
    """Build the drive unit that leads: bumper, cover in one or two colours, console, steering handle."""
    a, b, high = -BATTERY - shape.platform - shape.drive, -BATTERY - shape.platform, shape.high
    nose = rng.uniform(0.4, 0.8) * HALF
    plan = [(b, -HALF), (b, HALF), (a + 0.15, HALF), (a, nose), (a, -nose), (a + 0.15, -HALF)]
    split = rng.uniform(0.55, 0.9) * high
    upper = (DARK, DARK, coat.body, coat.trim)[int(rng.integers(4))]
    lean = rng.uniform(0.0, 0.06)
    edge = coat.trim if chance(0.6, rng) else DARK
    parts = [
        shell(plan, [(-0.02, 0.05), (-0.02, 0.2), (0.0, 0.24)], edge, 0.12),
        shell(plan, [(0.005, 0.24), (0.005 + lean / 2, split)], coat.body, 0.12),
        shell(
            plan, [(0.005 + lean / 2, split), (0.01 + lean, high - 0.06), (0.05 + lean, high)], upper, 0.12
        ),
        box((b - 0.2, -0.25, high - 0.02), (b + 0.04, 0.25, high + 0.05), DARK),
        *wheel((a + 0.25, 0, 0.13), 0.13, 0.1),
        *[w for y in (-0.33, 0.33) for w in wheel((a + 0.3, y, 0.09), 0.09, 0.06)],
    ]
    plate = PAPER if chance(0.3, rng) else None
    parts += name((a - 0.002, 0, 0.5 * (0.24 + split)), 0.28, 0, -1, coat.lettering, plate)
    bar = [
        (b, -0.17, high + 0.04),
        (b + 0.06, -0.2, high + 0.12),
        (b + 0.06, 0.2, high + 0.12),
        (b, 0.17, high + 0.04),
    ]
    parts.append(tube(rounded_path(bar, 0.05), 0.02, DARK, 6))
    if chance(0.3, rng):
        parts.append(boxes([(a, y, 0.8 * split) for y in (-0.2, 0.2)], (0.03, 0.08, 0.05), WHITE_LAMP))
    return parts


def _forks(shape: Shape, coat: Coat, top: float) -> list[Part]:
    """Build two long forks on load rollers."""
    end = shape.forks
    blade = [(0.0, top - 0.06), (0.0, top), (end - 0.1, top), (end, top - 0.03), (end, top - 0.06)]
    wheels = [w for y in (-0.185, 0.185) for w in wheel((end - 0.25, y, 0.042), 0.042, 0.1)]
    return [
        *[prism([(z, x) for x, z in blade], y - 0.085, y + 0.085, 1, STEEL) for y in (-0.185, 0.185)],
        box((-0.02, -0.27, 0.06), (0.03, 0.27, top + 0.25), coat.body),
        *wheels,
    ]
