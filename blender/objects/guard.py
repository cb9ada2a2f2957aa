"""Guards: bollards, rails, rack-end protectors, cones, wire fences. Unlabelled.

Detectors confuse them with pallet trucks, because they are yellow and black, upright and knee-high.
Origin: on the floor below the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from blender.contract.limits import Weights
from blender.geometry.mesh import Colour, Material, Part, box, boxes, cylinder, plates, rounded_path, tube
from blender.parts import protectors, variants
from blender.parts.fittings import BLACK, YELLOW, ZINC, label, striped, wire_walls

sample = variants.sample
LEMON: Colour = (0.62, 0.68, 0.03)
"""The greenish yellow of some plastic guards, linear RGB."""


@dataclass(frozen=True)
class Ranges:
    """Ranges of [scene.objects.NAME] with builder = "guard"."""

    variants: Annotated[dict[str, float], Weights(VARIANTS)]
    """Weights of the variants."""


def _yellow(rng: np.random.Generator) -> Material:
    """Draw a yellow paint and its wear."""
    shades: tuple[Colour, ...] = (YELLOW, (0.78, 0.38, 0.01), (0.80, 0.58, 0.03), (0.72, 0.35, 0.01))
    if rng.random() < 0.1:
        shades = (LEMON,)
    return Material("paint", shades[int(rng.integers(len(shades)))], round(float(rng.uniform(0.2, 0.9)), 2))


def _bollard(rng: np.random.Generator) -> list[Part]:
    """Build a post on a plate, some with black bands."""
    paint, black = _yellow(rng), Material("paint", BLACK, 0.4)
    radius, height = rng.uniform(0.045, 0.11), rng.uniform(0.5, 1.3)
    plate = 2 * radius + rng.uniform(0.04, 0.1)
    parts = [
        cylinder((0, 0, 0), (0, 0, height), radius, paint, 20),
        boxes([(0, 0, 0.006)], (plate, plate, 0.012), black if rng.random() < 0.4 else paint),
    ]
    if rng.random() < 0.35:
        wide = rng.uniform(0.05, 0.13)
        bands = np.arange(0.2, height - 0.1, 2.2 * wide)
        parts += [cylinder((0, 0, z), (0, 0, z + wide), radius + 0.002, black, 20) for z in bands]
    if rng.random() < 0.3:
        parts.append(cylinder((0, 0, height), (0, 0, height + 0.02), 0.9 * radius, black, 20))
    return parts


def _hoop(rng: np.random.Generator) -> list[Part]:
    """Build a bent tube, knee-high to hip-high."""
    width, height = rng.uniform(0.4, 1.2), rng.uniform(0.35, 1.0)
    corners = [(0, -width / 2, 0), (0, -width / 2, height), (0, width / 2, height), (0, width / 2, 0)]
    paint = _yellow(rng)
    feet = [(0, y, 0.005) for y in (-width / 2, width / 2)]
    return [tube(rounded_path(corners, 0.12), 0.03, paint, 10), boxes(feet, (0.16, 0.16, 0.01), paint)]


def _rail(rng: np.random.Generator) -> list[Part]:
    """Build two rails along x on three posts."""
    paint = _yellow(rng)
    length, levels = rng.uniform(1.2, 3.0), (0.2, 0.45) if rng.random() < 0.6 else (0.45, 0.95)
    posts = [(x, 0, levels[1] / 2 + 0.06) for x in np.linspace(-length / 2, length / 2, 3)]
    feet = [(x, 0, 0.006) for x, _, _ in posts]
    rails = [(0, 0.06, z) for z in levels]
    return [
        boxes(rails, (length + 0.1, 0.05, 0.14), paint),
        boxes(
            posts, (0.1, 0.08, levels[1] + 0.12), paint if rng.random() < 0.6 else Material("paint", BLACK)
        ),
        boxes(feet, (0.2, 0.2, 0.012), paint),
    ]


def _rack_guard(rng: np.random.Generator) -> list[Part]:
    """Build a rack-end protector along y: a low striped plate between two corner posts."""
    length, height = 1.0, rng.uniform(0.3, 0.45)
    colours = (YELLOW, BLACK) if rng.random() < 0.6 else (YELLOW, YELLOW)
    ends = [(0, y, 0.22) for y in (-length / 2, length / 2)]
    return [
        striped((0, 0, height - 0.1), (0.03, length, 0.18), 1, 0.12, colours),
        boxes(ends, (0.12, 0.1, 0.44), _yellow(rng)),
    ]


def _double_rail(rng: np.random.Generator) -> list[Part]:
    """Build a plastic barrier along y: two round rails between posts with black feet and caps."""
    yellow, black = _yellow(rng), Material("plastic", BLACK, 0.4)
    skin = Material("plastic", yellow.colour, yellow.wear)
    half, posts = rng.uniform(0.5, 1.15), 2 if rng.random() < 0.7 else 3
    high, thick = rng.uniform(0.42, 0.6), rng.uniform(0.05, 0.08)
    parts: list[Part] = []
    for y in np.linspace(-half, half, posts):
        parts += [
            cylinder((0, y, 0.09), (0, y, high), thick + 0.02, skin, 16),
            cylinder((0, y, 0), (0, y, 0.09), thick + 0.035, black, 16),
            cylinder((0, y, high), (0, y, high + 0.02), thick + 0.015, black, 16),
        ]
    levels = (0.17, high - 0.1) if rng.random() < 0.75 else (high - 0.12,)
    return [*parts, *[tube([(0, -half, z), (0, half, z)], thick, skin, 10) for z in levels]]


def _end_plate(rng: np.random.Generator) -> list[Part]:
    """Build a steel rack-end protector along y: a folded plate with cheeks at both ends and dark bolts."""
    paint = _yellow(rng)
    half, high = rng.uniform(0.45, 1.15), rng.uniform(0.22, 0.42)
    cheeks = [(0.14, y, high / 2) for y in (-half, half)]
    bolts = [(-0.008, y, z) for y in (-0.9 * half, 0.9 * half) for z in (0.06, high - 0.05)]
    parts = [
        boxes([(0, 0, high / 2), (0.06, 0, high)], [(0.012, 2 * half, high), (0.13, 2 * half, 0.012)], paint),
        boxes(cheeks, (0.28, 0.012, high), paint),
        plates(bolts, (0.03, 0.03), 0, -1, Material("steel", (0.15, 0.15, 0.15))),
    ]
    if rng.random() < 0.3:  # warning stripes on the plate
        stripes = [(-0.007, y, high / 2) for y in np.arange(-0.85, 0.86, 0.34) * half]
        parts.append(plates(stripes, (0.15 * half, 0.9 * high), 0, -1, Material("paint", BLACK, 0.4)))
    return parts


def _kerb(rng: np.random.Generator) -> list[Part]:
    """Build a low beam along y on two feet, such as a kerb or a wheel stop."""
    paint = _yellow(rng)
    half, high = rng.uniform(0.5, 1.3), rng.uniform(0.1, 0.24)
    if rng.random() < 0.4:
        return [striped((0, 0, high / 2), (0.12, 2 * half, high), 1, 0.2, (paint.colour, BLACK))]
    feet = [(0, y, 0.03) for y in (-0.85 * half, 0.85 * half)]
    return [
        tube(
            [(0, -half, high - 0.045), (0, half, high - 0.045)], 0.05, paint, 8 if rng.random() < 0.5 else 4
        ),
        boxes(feet, (0.2, 0.14, 0.06), paint),
        boxes([(0, y, high / 2) for y in (-0.85 * half, 0.85 * half)], (0.05, 0.06, high), paint),
    ]


def _portal(rng: np.random.Generator) -> list[Part]:
    """Build a portal of square tubes along y, from a single frame to a long table-like one."""
    paint = _yellow(rng)
    half, high, thick = rng.choice([0.4, 0.45, 1.0, 1.5]), rng.uniform(0.8, 1.05), rng.uniform(0.07, 0.11)
    deep = 0.0 if half < 0.5 else rng.uniform(0.3, 0.7)
    legs = [(x, y, high / 2) for x in (0.0, deep)[: 1 + (deep > 0)] for y in (-half, half)]
    parts = [
        boxes(legs, (thick, thick, high), paint),
        boxes([(x, y, 0.006) for x, y, _ in legs], (0.2, 0.2, 0.012), paint),
        boxes([(x, 0, high - thick / 2) for x, y, _ in legs if y > 0], (thick, 2 * half, thick), paint),
    ]
    if deep:
        ties = [(deep / 2, y, high - thick / 2) for y in (-half, half)]
        parts.append(boxes(ties, (deep, thick, thick), paint))
    return parts


def _box_guard(rng: np.random.Generator) -> list[Part]:
    """Build a corner guard: a steel box that is open at one side and stands on short feet."""
    paint = _yellow(rng)
    x, y, high = rng.uniform(0.3, 0.6), rng.uniform(0.4, 1.0), rng.uniform(0.3, 0.5)
    walls = [(x / 2, 0, high / 2 + 0.04), (0, -y / 2, high / 2 + 0.04), (0, y / 2, high / 2 + 0.04)]
    sizes = [(0.012, y, high), (x, 0.012, high), (x, 0.012, high)]
    feet = [(s * x * 0.45, t * y * 0.46, 0.02) for s in (-1, 1) for t in (-1, 1)]
    parts = [
        boxes(walls, sizes, paint),
        boxes([(0, 0, high + 0.04)], (x + 0.012, y + 0.012, 0.01), paint),
        boxes(feet, (0.08, 0.08, 0.04), paint),
    ]
    if rng.random() < 0.5:
        bands = [(x / 2 + 0.008, t * y, high / 2 + 0.04) for t in (-0.38, -0.13, 0.13, 0.38)]
        parts.append(plates(bands, (0.11 * y, 0.95 * high), 0, 1, Material("paint", BLACK, 0.4)))
    return parts


def _column_guard(rng: np.random.Generator) -> list[Part]:
    """Build a column in a shell of stacked yellow plastic rings with black bands."""
    skin = Material("plastic", _yellow(rng).colour, 0.4)
    half, high = rng.uniform(0.22, 0.34), rng.uniform(0.9, 1.3)
    rings = np.arange(0.0, high - 0.2, high / 3)
    parts = [tube([(0, 0, z), (0, 0, z + high / 3 - 0.04)], half, skin, 8) for z in rings]
    parts.append(tube([(0, 0, 0), (0, 0, high)], half - 0.02, Material("plastic", BLACK, 0.4), 8))
    return [*parts, boxes([(0, 0, 1.9)], (half, half, 3.8), Material("paint", (0.5, 0.5, 0.48), 0.5))]


def _upright_guard(rng: np.random.Generator) -> list[Part]:
    """Build a protector of a rack's upright, as in ``blender.parts.protectors``; it faces +x."""
    style = protectors.STYLES[int(rng.integers(len(protectors.STYLES)))]
    colour = ("yellow", "yellow", "yellow", "lime", "orange", "red")[int(rng.integers(6))]
    return [part.moved(yaw=np.pi / 2) for part in protectors.upright(style, colour, rng)]


def _cone(rng: np.random.Generator) -> list[Part]:
    """Build a traffic cone."""
    orange, white = Material("plastic", (0.75, 0.12, 0.02), 0.3), Material("reflective", (0.7, 0.7, 0.7), 0.2)
    height = rng.uniform(0.4, 0.75)
    return [
        box((-0.17, -0.17, 0), (0.17, 0.17, 0.03), orange),
        tube([(0, 0, 0.03), (0, 0, height)], (0.12, 0.02), orange, 16),
        tube([(0, 0, height * 0.5), (0, 0, height * 0.7)], (0.075, 0.053), white, 16),
    ]


def _fence(rng: np.random.Generator) -> list[Part]:
    """Build a panel of a wire fence, as around machines."""
    steel = ZINC if rng.random() < 0.5 else Material("paint", BLACK if rng.random() < 0.5 else YELLOW, 0.4)
    width, height = rng.uniform(1.0, 2.6), rng.uniform(1.6, 2.3)
    ends = [(x, 0, height / 2 + 0.03) for x in (-width / 2, width / 2)]
    rims = [(0, 0, z) for z in (0.15, height)]
    return [
        wire_walls((width, 0.0), (0.15, height), 0.07, steel, "l", 0.004),
        boxes(ends, (0.05, 0.05, height + 0.06), steel),
        boxes(rims, (width, 0.03, 0.03), steel),
        boxes([(x, 0, 0.004) for x, _, _ in ends], (0.14, 0.14, 0.008), steel),
        *(label((0.2, -0.02, 1.5), (0.3, 0.2), 1, -1) if rng.random() < 0.5 else []),
    ]


def _sign_stand(rng: np.random.Generator) -> list[Part]:
    """Build an A-shaped warning sign on the floor."""
    paint = Material("plastic", (0.8, 0.6, 0.03), 0.2)
    parts = []
    for side in (-1, 1):
        legs = [[(side * 0.16, y, 0), (side * 0.02, y, 0.62)] for y in (-0.13, 0.13)]
        parts += [tube(leg, 0.012, paint, 6) for leg in legs]
        parts.append(boxes([(side * 0.085, 0, 0.36)], (0.012, 0.25, 0.36), paint))
        parts += label((side * 0.093, 0, 0.38), (0.16, 0.2), 0, side)
    return parts


VARIANTS: dict[str, variants.Builder] = {
    "bollard": _bollard,
    "hoop": _hoop,
    "rail": _rail,
    "rack_guard": _rack_guard,
    "double_rail": _double_rail,
    "end_plate": _end_plate,
    "kerb": _kerb,
    "portal": _portal,
    "box_guard": _box_guard,
    "column_guard": _column_guard,
    "upright_guard": _upright_guard,
    "cone": _cone,
    "fence": _fence,
    "sign_stand": _sign_stand,
}
build = partial(variants.build, VARIANTS)
footprint = partial(variants.footprint, VARIANTS)
